import Foundation

/// What came of an attack.
public struct AttackResult: Sendable, Codable {
    public var attack: Attack
    public var means: Means
    /// What became of the message while the attack lasted.
    public var outcome: String
    /// What the attacker could read.
    public var attackerSaw: String
    /// Whether everything is as it should be.
    public var isRight: Bool
    /// What isn't.
    public var fault: String?
    /// What the relay tells of the message.
    public var journey: String?
    public var seconds: Double

    /// Attack and means, as `--only` takes them.
    public var name: String { "\(attack.rawValue)/\(means.rawValue)" }
}

/// One attack from its beginning to the arrival of the message.
struct AttackPlay: Sendable {
    let kartapuce: Kartapuce
    let attacker: Attacker
    let item: AttackCase

    func run() async -> AttackResult {
        let start = ContinuousClock.now
        var result = AttackResult(attack: item.attack, means: item.means, outcome: "", attackerSaw: "", isRight: false, seconds: 0)
        do {
            try await play(&result)
            result.isRight = true
        } catch {
            result.fault = "\(error)"
            try? await attacker.end(item)
        }
        let elapsed = ContinuousClock.now - start
        result.seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        return result
    }

    private func play(_ result: inout AttackResult) async throws {
        for number in 0..<item.warmUps {
            let before = message(word: "before-\(number)")
            try await submit(before)
            try await arrives(before)
        }
        try await attacker.begin(item)
        let word = "indicator-\(item.label)"
        let message = message(word: word)
        try await submit(message)
        switch item.expectation {
        case .read:
            try await arrives(message)
            result.outcome = "delivered"
        case .held(let status):
            _ = try await story(of: message, saying: item.sayings + [status]) { try judge(await attacker.transcript(of: item), word: word, &result) }
            let waiting = try await kartapuce.host("smtp").command(["queue", "list"])
            guard waiting.outputText.contains(item.recipient) else {
                throw LabError(.processFailed, "\(item.recipient) doesn't wait in the relay's queue:\n\(waiting.outputText)\(waiting.errors)")
            }
            result.outcome = "waits, \(status)"
        }
        let transcript = await attacker.transcript(of: item)
        try judge(transcript, word: word, &result)
        try await attacker.end(item)
        try await arrives(message)
        let copies = try kartapuce.provider.messages(of: item.mailbox).count
        guard copies == item.warmUps + 1 else { throw LabError(.processFailed, "\(copies) messages arrived instead of \(item.warmUps + 1)") }
        if case .held = item.expectation { result.outcome += "; then delivered" }
        result.journey = try await story(of: message, saying: item.sayings)
    }

    /// What the attacker read, and whether that is what he should have.
    private func judge(_ transcript: Transcript, word: String, _ result: inout AttackResult) throws {
        let text = transcript.text
        let hasMessage = text.contains(word)
        let hasRecipient = text.lowercased().contains("rcpt to") || text.contains(item.recipient)
        var commands: [String] = []
        for command in transcript.commands where commands.count < 6 && !commands.contains(command) { commands.append(String(command.prefix(40))) }
        result.attackerSaw = hasMessage ? "the whole message" : hasRecipient ? "the recipient" : commands.isEmpty ? "nothing" : commands.joined(separator: ", ")
        switch item.expectation {
        case .read:
            guard hasMessage, hasRecipient else { throw LabError(.processFailed, "the attacker should have read the message; he saw:\n\(text.suffix(2000))") }
        case .held:
            guard !hasMessage, !hasRecipient, !text.uppercased().contains("MAIL FROM") else {
                throw LabError(.processFailed, "the attacker read what he shouldn't:\n\(text.suffix(2000))")
            }
        }
    }

    private func message(word: String) -> SampleMessage {
        let identity = "<\(word).\(item.number)@\(LabNames.domain)>"
        let lines = [
            "Date: Mon, 02 Mar 2026 09:30:00 +0100", "From: <\(Kartapuce.bob.user)>", "To: <\(item.recipient)>", "Subject: Indicators",
            "Message-ID: \(identity)", "", "For your eyes only, Tom: \(word)", "",
        ]
        return SampleMessage(messageID: identity, content: Data(lines.joined(separator: "\r\n").utf8))
    }

    private func submit(_ message: SampleMessage) async throws {
        let outcome = try await kartapuce.client.send(
            message, to: [item.recipient], from: Kartapuce.bob.user, by: kartapuce.msaServer, as: Kartapuce.bob, sourceAddress: kartapuce.plan.bobsLaptop)
        guard outcome.accepted else { throw LabError(.processFailed, "Bob's message was refused: \(outcome.reply)\n\(outcome.dialogue)") }
    }

    private func arrives(_ message: SampleMessage) async throws {
        let identity = Data(message.messageID.utf8)
        let content = try await Waiting.until("the message in \(item.mailbox)'s mailbox", timeout: .seconds(90), every: 200) {
            try kartapuce.provider.messages(of: item.mailbox).first { $0.range(of: identity) != nil }
        }
        guard ReceivedMessage(content).isUnchanged(message.content) else {
            throw LabError(.processFailed, "the message in \(item.mailbox)'s mailbox isn't what was sent: \(String(decoding: content, as: UTF8.self))")
        }
    }

    /// The relay's story of a message, once it says all that it should.
    ///
    /// - Parameter meanwhile: is done each time before it is asked.
    private func story(
        of message: SampleMessage, saying parts: [String], meanwhile: () async throws -> Void = {}
    ) async throws -> String {
        var latest = ""
        do {
            return try await Waiting.until("the journey", timeout: .seconds(40), every: 400) {
                try await meanwhile()
                let told = try await kartapuce.host("smtp").command(["trace", "--full", "--message-id", message.messageID])
                latest = told.outputText + told.errors
                return told.succeeded && parts.allSatisfy(latest.contains) ? told.outputText : nil
            }
        } catch let error as LabError where error.code == .timedOut {
            let missing = parts.filter { !latest.contains($0) }.joined(separator: " and ")
            throw LabError(.timedOut, "the journey doesn't say \(missing):\n\(latest)")
        }
    }
}
