import Foundation

/// The use case of the picture with real messages: what must arrive, arrives octet for octet; what must be refused, is refused with the right reply.
public struct UseCase: Sendable {
    let kartapuce: Kartapuce
    /// Varies the messages, so that the use case can be run again on the same laboratory.
    let seed: UInt64
    private let report: @Sendable (String) -> Void

    public init(_ kartapuce: Kartapuce, seed: UInt64 = 1, report: @escaping @Sendable (String) -> Void = { _ in }) {
        self.kartapuce = kartapuce
        self.seed = seed
        self.report = report
    }

    /// Runs all scenarios; one that fails doesn't keep the others from running.
    public func run() async -> [ScenarioResult] {
        [
            await scenario("Bob to Jack, inside the internal zone (internalsmtp → imap)", bobToJack),
            await scenario("Bob to Tom (msa → smtp → provider)", bobToTom),
            await scenario("Tom to Bob (provider → mail → imap)", tomToBob),
            await scenario("Bob reads Tom's message in a browser and answers it (webmail → imap, msa)", answerByWebmail),
            await scenario("An unknown recipient is refused at RCPT", unknownRecipient),
            await scenario("Tom's provider tells him about an unknown recipient", unknownRecipientThroughProvider),
            await scenario("A stranger says that he is hacker@kartapuce.test (attacker → mail)", forgedSender),
            await scenario("A wrong password is refused", wrongPassword),
            await scenario("The provider is down: Bob's message waits and arrives later", providerDown),
        ]
    }

    /// What a scenario found out, when it went well.
    struct Finding {
        var detail: String
        var messageID: String?
        /// The hosts that took part, as the message's journey must name them.
        var hosts: [String] = []
    }

    private func scenario(_ name: String, _ body: () async throws -> Finding) async -> ScenarioResult {
        report("• \(name)")
        let clock = ContinuousClock()
        let start = clock.now
        var result = ScenarioResult(name: name, passed: false, detail: "", seconds: 0)
        do {
            let finding = try await body()
            result.detail = finding.detail
            if let messageID = finding.messageID {
                result.messageID = messageID
                result.journey = try await journey(of: messageID, through: finding.hosts)
            }
            result.passed = true
        } catch {
            result.detail = "\(error)"
        }
        let elapsed = clock.now - start
        result.seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        report("  \(result.passed ? "passed" : "FAILED") after \(String(format: "%.1f", result.seconds)) s: \(result.detail)")
        return result
    }

    // MARK: What must arrive

    func bobToJack() async throws -> Finding {
        let message = sample(
            from: Kartapuce.bob.user,
            to: Kartapuce.jack.user,
            subject: "Indicateurs de compromission – à bloquer aujourd’hui",
            1,
            megabytes: 3
        )
        try await submit(message, to: [Kartapuce.jack.user], by: kartapuce.internalServer)
        try await expectInInbox(of: Kartapuce.jack, message, from: kartapuce.plan.jacksLaptop)
        return Finding(detail: "\(size(message)) read back over IMAPS, unchanged", messageID: message.messageID, hosts: ["internalsmtp", "imap"])
    }

    func bobToTom() async throws -> Finding {
        let message = sample(from: Kartapuce.bob.user, to: "tom@gmail.test", subject: "Für Tom: une pièce jointe", 2, megabytes: 4)
        try await submit(message, to: ["tom@gmail.test"], by: kartapuce.msaServer)
        try await expectAtProvider("tom", message)
        // His provider proved itself by DANE before it heard of Tom; its policy of MTA-STS is known too.
        let proofs = ["(dane); TLSv1.3", "the host is proven", "dane (dane): holds", "mta-sts: enforce"]
        _ = try await journey(of: message.messageID, through: ["msa", "smtp"], saying: proofs)
        return Finding(
            detail: "\(size(message)) in Tom's mailbox at his provider, unchanged, the provider proven by DANE", messageID: message.messageID,
            hosts: ["msa", "smtp"])
    }

    func tomToBob() async throws -> Finding {
        let message = sample(from: "tom@gmail.test", to: Kartapuce.bob.user, subject: "Re: Für Tom: merci, c’est noté ✓", 3, megabytes: 2)
        try await injectAtProvider(message, to: Kartapuce.bob.user)
        try await expectInInbox(of: Kartapuce.bob, message, from: kartapuce.plan.bobsLaptop)
        // What the edge found out travels inwards with the message.
        _ = try await journey(of: message.messageID, through: ["mail", "imap"], saying: ["spf: pass", "dmarc: pass", "capsule: believed"])
        // Postfix knew by DANE that it spoke with Kartapuce's edge.
        let levels = Set(kartapuce.provider.tlsLevels(with: "mail.\(LabNames.domain)"))
        guard levels == ["Verified"] else {
            throw LabError(.processFailed, "the provider's Postfix says of its sessions with the edge: \(levels.sorted().joined(separator: ", "))")
        }
        return Finding(
            detail: "\(size(message)) read back over IMAPS, unchanged; the edge proven by DANE to the provider's Postfix", messageID: message.messageID,
            hosts: ["mail", "imap"])
    }

    // MARK: What must be refused

    func unknownRecipient() async throws -> Finding {
        let message = sample(from: "alice@gmail.test", to: "nobody@kartapuce.test", subject: "À personne", 4)
        let outcome = try await kartapuce.client.send(
            message,
            to: ["nobody@kartapuce.test"],
            from: "alice@gmail.test",
            by: kartapuce.inboundServer,
            as: nil,
            sourceAddress: kartapuce.plan.provider
        )
        guard !outcome.accepted, outcome.reply.hasPrefix("550 5.1.1") || outcome.reply.hasPrefix("550-5.1.1") else {
            throw LabError(.processFailed, "expected 550 5.1.1, got “\(outcome.reply)”:\n\(outcome.dialogue)")
        }
        guard outcome.dialogue.contains("RCPT TO"), !outcome.dialogue.contains("> DATA"), !outcome.dialogue.contains("> BDAT") else {
            throw LabError(.processFailed, "refused, but not at RCPT:\n\(outcome.dialogue)")
        }
        return Finding(detail: outcome.reply)
    }

    func unknownRecipientThroughProvider() async throws -> Finding {
        let message = sample(from: "tom@gmail.test", to: "nobody@kartapuce.test", subject: "Quelqu’un ?", 5)
        try await injectAtProvider(message, to: "nobody@kartapuce.test")
        let notice = try await Waiting.until("a failure notice in Tom's mailbox", timeout: .seconds(60), every: 200) {
            try kartapuce.provider.messages(of: "tom").map { String(decoding: $0, as: UTF8.self) }
                .first { $0.contains("multipart/report") && $0.contains(message.messageID) }
        }
        guard notice.contains("5.1.1") else { throw LabError(.processFailed, "the failure notice doesn't say 5.1.1:\n\(notice.prefix(3000))") }
        return Finding(detail: "Postfix's own notice to Tom says 5.1.1; Kartapuce sent none")
    }

    /// SPF proves the stranger's own domain, and nothing proves the one that Bob would see: DMARC refuses it, and the journey says why.
    func forgedSender() async throws -> Finding {
        let message = sample(from: "hacker@kartapuce.test", to: Kartapuce.bob.user, subject: "Ton mot de passe expire", 8)
        let outcome = try await kartapuce.client.send(
            message,
            to: [Kartapuce.bob.user],
            from: "hacker@bogus.test",
            by: kartapuce.inboundServer,
            as: nil,
            sourceAddress: kartapuce.plan.attacker
        )
        guard !outcome.accepted, outcome.reply.hasPrefix("550 5.7.1"), outcome.reply.contains("DMARC") else {
            throw LabError(.processFailed, "expected 550 5.7.1 by DMARC, got “\(outcome.reply)”:\n\(outcome.dialogue)")
        }
        return Finding(detail: outcome.reply)
    }

    func wrongPassword() async throws -> Finding {
        let message = sample(from: Kartapuce.bob.user, to: Kartapuce.jack.user, subject: "Pas moi", 6)
        let outcome = try await kartapuce.client.send(
            message,
            to: [Kartapuce.jack.user],
            from: Kartapuce.bob.user,
            by: kartapuce.msaServer,
            as: .init(user: Kartapuce.bob.user, password: "not-bobs-password"),
            sourceAddress: kartapuce.plan.bobsLaptop
        )
        guard !outcome.accepted, outcome.reply.hasPrefix("535 5.7.8") else {
            throw LabError(.processFailed, "expected 535 5.7.8, got “\(outcome.reply)”:\n\(outcome.dialogue)")
        }
        return Finding(detail: outcome.reply)
    }

    // MARK: What must wait

    func providerDown() async throws -> Finding {
        let message = sample(from: Kartapuce.bob.user, to: "mike@gmail.test", subject: "Pendant la panne", 7, megabytes: 1)
        let relay = try kartapuce.host("smtp")
        await kartapuce.provider.stop()
        var waited = ""
        do {
            try await submit(message, to: ["mike@gmail.test"], by: kartapuce.msaServer)
            waited = try await Waiting.until("Bob's message in the queue of smtp", timeout: .seconds(30), every: 200) {
                let listed = try await relay.command(["queue", "list"])
                guard listed.succeeded else { throw LabError(.processFailed, "postern queue list: \(listed.errors)") }
                return listed.outputText.split(separator: "\n").first { $0.contains("mike@gmail.test") }.map(String.init)
            }
        } catch {
            try await kartapuce.provider.start()
            throw error
        }
        report("  waits in the queue of smtp: \(waited)")
        try await kartapuce.provider.start()
        try await expectAtProvider("mike", message)
        try await Waiting.until("the queue of smtp being empty", timeout: .seconds(30), every: 200) { () -> Bool? in
            try await relay.command(["queue", "list"]).outputText.contains("mike@gmail.test") ? nil : true
        }
        return Finding(
            detail: "queued while the provider was down, delivered when it was back",
            messageID: message.messageID,
            hosts: ["msa", "smtp"]
        )
    }

    // MARK: Steps

    /// The story of a message, once the inside has collected it from every host that took part.
    private func journey(of messageID: String, through hosts: [String], saying parts: [String] = []) async throws -> String {
        let names = hosts.map { "\($0).\(LabNames.domain)" }
        var latest = ""
        do {
            return try await Waiting.until("the journey", timeout: .seconds(20), every: 300) {
                let told = try await kartapuce.host("imap").command(["trace", "--full", "--message-id", messageID])
                latest = told.outputText + told.errors
                let isComplete = (names + parts).allSatisfy(latest.contains) && !latest.contains("waits in a queue")
                return told.succeeded && isComplete ? told.outputText : nil
            }
        } catch let error as LabError where error.code == .timedOut {
            throw LabError(.timedOut, "the journey doesn't name \((names + parts).joined(separator: " and ")) after 20 s; postern trace says:\n\(latest)")
        }
    }

    func sample(from: String, to: String, subject: String, _ number: UInt64, megabytes: Int = 0) -> SampleMessage {
        .make(.init(from: from, to: to, subject: subject, seed: seed &* 1000 &+ number, attachmentBytes: megabytes * 1_000_000 + 2000))
    }

    private func submit(_ message: SampleMessage, to recipients: [String], by server: MailClient.Server) async throws {
        let outcome = try await kartapuce.client.send(
            message,
            to: recipients,
            from: Kartapuce.bob.user,
            by: server,
            as: Kartapuce.bob,
            sourceAddress: kartapuce.plan.bobsLaptop
        )
        guard outcome.accepted else { throw LabError(.processFailed, "\(server.host) refused Bob's message: \(outcome.reply)\n\(outcome.dialogue)") }
    }

    func injectAtProvider(_ message: SampleMessage, to recipient: String) async throws {
        let outcome = try await kartapuce.client.send(
            message,
            to: [recipient],
            from: "tom@gmail.test",
            by: kartapuce.providerServer,
            as: nil,
            sourceAddress: kartapuce.plan.tomsLaptop
        )
        guard outcome.accepted else { throw LabError(.processFailed, "Tom's provider refused: \(outcome.dialogue)") }
    }

    func expectInInbox(of person: MailClient.Login, _ message: SampleMessage, from laptop: String) async throws {
        let content = try await Waiting.until("the message in \(person.user)'s inbox", timeout: .seconds(60), every: 200) {
            try await kartapuce.client.fetch(messageID: message.messageID, of: person, from: kartapuce.imapServer, sourceAddress: laptop)
        }
        try expectUnchanged(content, message, where: "\(person.user)'s inbox")
    }

    private func expectAtProvider(_ user: String, _ message: SampleMessage) async throws {
        let identity = Data(message.messageID.utf8)
        let content = try await Waiting.until("the message in \(user)'s mailbox at the provider", timeout: .seconds(90), every: 200) {
            try kartapuce.provider.messages(of: user).first { $0.prefix(16 * 1024).range(of: identity) != nil }
        }
        try expectUnchanged(content, message, where: "\(user)'s mailbox")
    }

    private func expectUnchanged(_ content: Data, _ message: SampleMessage, where place: String) throws {
        guard ReceivedMessage(content).isUnchanged(message.content) else {
            throw LabError(
                .processFailed,
                "the message in \(place) isn't what was sent: \(content.count) octets instead of \(message.content.count) and the fields above; begins:\n"
                    + String(decoding: content.prefix(1500), as: UTF8.self)
            )
        }
    }

    private func size(_ message: SampleMessage) -> String { String(format: "%.1f MB", Double(message.content.count) / 1e6) }
}
