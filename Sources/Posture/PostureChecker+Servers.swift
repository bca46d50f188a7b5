import DNS
import FoundationEssentials
import MailAuthentication
import TransportSecurity

/// The mail servers: names of their addresses, what they say, encryption, certificates, DANE and MTA-STS.
extension PostureChecker {
    /// What is known of one server.
    struct Server: Sendable {
        var host: PostureExchange.Host
        var dane: DANEDecision
        var daneLookups: [DNSLookup]
        /// What each address said; `nil` where nobody asked.
        var observations: [(address: IPAddress, reverse: ReverseNameEvaluation, said: PostureSMTPObservation?)]
        /// The outdated versions of TLS that were tried at each address.
        var attempts: [(address: IPAddress, attempts: [PostureVersionAttempt])] = []
    }

    func servers(_ subject: PostureSubject) async -> [PostureFinding] {
        guard !subject.exchange.hosts.isEmpty else { return [] }
        let policy = await mtasts(subject)
        var room = options.addressLimit
        var work: [(host: PostureExchange.Host, addresses: [IPAddress])] = []
        for host in subject.exchange.hosts {
            let addresses = Array(host.addresses.prefix(room))
            room -= addresses.count
            work.append((host, addresses))
        }
        let servers = await withTaskGroup(of: (Int, Server).self) { group in
            for (number, piece) in work.enumerated() {
                group.addTask { (number, await look(at: piece.host, piece.addresses, subject)) }
            }
            var found: [Int: Server] = [:]
            for await (number, server) in group { found[number] = server }
            return work.indices.compactMap { found[$0] }
        }
        var findings = policy.findings
        for server in servers {
            findings += daneRecords(server, subject)
            for (number, observation) in server.observations.enumerated() {
                findings += reverse(observation.reverse)
                guard let said = observation.said else { continue }
                findings += speech(server.host, observation.address, observation.reverse, said)
                guard said.contact == .greeted else { continue }
                findings += encryption(server, observation.address, said, policy: policy.policy, subject.now)
                if number == 0, options.triesRelaying { findings += PostureRelaying.judge(server.host.name.ascii, said.answers) }
            }
        }
        findings += servers.flatMap { outdated($0.host.name, $0.attempts, .smtp) }
        findings += policy.attempts.flatMap { outdated($0.host, [(address: $0.address, attempts: $0.attempts)], .https) }
        if probes.smtp == nil {
            findings.append(
                PostureFinding(.smtpUnchecked, subject.domain.ascii, "no mail server was spoken to: nothing is known of encryption and certificates"))
        }
        findings.append(protection(servers, policy, subject))
        return findings
    }

    private func look(at host: PostureExchange.Host, _ addresses: [IPAddress], _ subject: PostureSubject) async -> Server {
        let mx = subject.exchange.lookup.answer
        let isExchanger = mx?.outcome == .records
        let destination = DANEDestination(
            nextHop: subject.domain, host: host.name,
            origin: isExchanger ? .exchanger(mx?.security ?? .insecure, canonicalNextHop: mx?.canonicalName) : .nextHop)
        let decision = await DANELookup(resolver: resolver, followsInsecureExchangers: true).decide(destination, known: host.lookups)
        var server = Server(host: host, dane: decision, daneLookups: decision.lookups.filter { $0.type == .tlsa }, observations: [])
        // DANE doesn't ask where nothing is signed; somebody may have published records all the same.
        if server.daneLookups.isEmpty, let lookup = await ask("_25._tcp", below: host.name, .tlsa) { server.daneLookups = [lookup] }
        let envelopes = options.triesRelaying ? PostureEnvelope.all(for: subject.domain) : []
        for (number, address) in addresses.enumerated() {
            let reverse = await ReverseNameChecker(resolver: resolver).check(address)
            let said = await probes.smtp?.observe(host: decision.baseDomain ?? host.name, address: address, envelopes: number == 0 ? envelopes : [])
            server.observations.append((address, reverse, said))
            if let versions = probes.versions, said?.tls.isEncrypted ?? false {
                server.attempts.append((address, await versions.tryOutdated(.smtp, host: decision.baseDomain ?? host.name, address: address)))
            }
        }
        return server
    }

    // MARK: Names

    private func reverse(_ evaluation: ReverseNameEvaluation) -> [PostureFinding] {
        let address = "\(evaluation.address)"
        let evidence = evaluation.lookups.map(PostureFinding.Evidence.init)
        switch evaluation.result {
        case .pass: return [PostureFinding(.reverseGood, address, "is \(evaluation.names.map(\.ascii).joined(separator: ", "))", evidence)]
        case .permerror: return [PostureFinding(.reverseMissing, address, "has no name", evidence)]
        case .fail:
            let names = evaluation.claimed.map(\.ascii).joined(separator: ", ")
            return [PostureFinding(.reverseMismatch, address, "says that it is \(names), which has other addresses", evidence)]
        case .temperror: return [PostureFinding(.reverseUnknown, address, "gives no answer for its name: \(evaluation.problem ?? "")", evidence)]
        }
    }

    private func speech(
        _ host: PostureExchange.Host, _ address: IPAddress, _ reverse: ReverseNameEvaluation, _ said: PostureSMTPObservation
    ) -> [PostureFinding] {
        let evidence = [PostureFinding.Evidence(.smtp, "connect to \(address) port 25", said.greeting.isEmpty ? "\(said.contact.words)" : said.greeting)]
        switch said.contact {
        case .unreachable(let reason): return [PostureFinding(.smtpUnreachable, host.name.ascii, "can't be reached at \(address): \(reason)", evidence)]
        case .refused(let reason): return [PostureFinding(.smtpRefused, host.name.ascii, "refuses to speak at \(address): \(reason)", evidence)]
        case .greeted: break
        }
        var findings: [PostureFinding] = []
        let words = said.greeting.split(separator: " ", maxSplits: 1)
        let greeted = words.first.flatMap { try? DomainName($0) }
        let expected = reverse.names.isEmpty ? [host.name] : reverse.names
        if let greeted, expected.contains(greeted) {
            findings.append(PostureFinding(.smtpGood, host.name.ascii, "answers as \(greeted.ascii)", evidence))
        } else {
            let names = expected.map(\.ascii).joined(separator: ", ")
            findings.append(
                PostureFinding(.smtpName, host.name.ascii, "greets as “\(words.first ?? "")”, and \(address) is \(names)", evidence))
        }
        if let software = PostureBanner.software(in: said.greeting) {
            findings.append(PostureFinding(.smtpBanner, host.name.ascii, "tells everybody that it is \(software)", evidence))
        }
        return findings
    }

    // MARK: All together

    /// Whether a sender that wants to can insist on encryption with the right server.
    private func protection(_ servers: [Server], _ policy: PolicyState, _ subject: PostureSubject) -> PostureFinding {
        let isSecure = subject.exchange.lookup.answer?.security == .secure
        let hasDANE = isSecure && servers.allSatisfy { $0.dane.outcome == .authenticate }
        let hasPolicy = policy.policy?.mode == .enforce || policy.isUnchecked
        let ways = (hasDANE ? ["DANE"] : []) + (hasPolicy ? [policy.isUnchecked ? "MTA-STS (if its policy is in force)" : "MTA-STS"] : [])
        guard !ways.isEmpty else {
            return PostureFinding(
                .transportUnprotected, subject.domain.ascii, "has neither DANE for all its mail servers nor an MTA-STS policy that is enforced")
        }
        return PostureFinding(.transportGood, subject.domain.ascii, "lets senders insist on encryption by \(ways.joined(separator: " and "))")
    }
}

extension PostureSMTPObservation.Contact {
    /// In words.
    var words: String {
        switch self {
        case .greeted: "a greeting"
        case .unreachable(let reason), .refused(let reason): reason
        }
    }
}

/// What greetings give away.
enum PostureBanner {
    private static let names = [
        "postfix", "exim", "sendmail", "microsoft", "exchange", "opensmtpd", "qmail", "haraka", "zimbra", "postern", "dovecot", "courier", "kerio",
        "mdaemon", "james", "groupwise", "domino", "mailenable", "hmailserver", "icewarp", "openbsd", "debian", "ubuntu", "centos",
    ]

    /// The software or version that a greeting names, behind the host's name.
    static func software(in greeting: String) -> String? {
        for word in greeting.split(separator: " ").dropFirst().prefix(40) {
            let plain = String(word.filter { $0.isLetter || $0.isNumber || $0 == "." || $0 == "-" || $0 == "/" }.prefix(64))
            if names.contains(where: { plain.lowercased().hasPrefix($0) }) { return plain }
            // A version, such as 4.98 or v3.8.1: an address has three points, and a time has none.
            let parts = plain.drop { $0 == "v" }.split(separator: ".")
            if (2...3).contains(parts.count), parts.allSatisfy({ $0.allSatisfy(\.isNumber) }) { return plain }
        }
        return nil
    }
}

/// Whether a server passes mail on for strangers.
enum PostureRelaying {
    static func judge(_ host: String, _ answers: [PostureSMTPObservation.Answer]) -> [PostureFinding] {
        guard !answers.isEmpty else { return [] }
        let evidence = answers.map { answer in
            PostureFinding.Evidence(
                .smtp, "MAIL FROM:<\(answer.envelope.sender)> RCPT TO:<\(answer.envelope.recipient)>", "\(answer.code.map { "\($0) " } ?? "")\(answer.text)")
        }
        func isTaken(_ answer: PostureSMTPObservation.Answer) -> Bool { answer.code.map { (200...299).contains($0) } ?? false }
        let takesAnything = answers.contains { $0.envelope.form == .control && isTaken($0) }
        var open: [PostureEnvelope.Form] = []
        var isUnclear = false
        for answer in answers {
            switch answer.envelope.form {
            case .control: break
            case .plain, .nullSender, .ownSender, .sourceRoute:
                if isTaken(answer) { open.append(answer.envelope.form) }
                if answer.code.map({ $0 < 500 && !(200...299).contains($0) }) ?? true { isUnclear = true }
            case .percent, .quoted, .bang:
                // A server that takes every recipient of its domain takes these as well, and may refuse them later.
                if isTaken(answer) { if takesAnything { isUnclear = true } else { open.append(answer.envelope.form) } }
            }
        }
        if !open.isEmpty {
            return [PostureFinding(.relayOpen, host, "accepts \(open.map(\.name).joined(separator: ", "))", evidence)]
        }
        if isUnclear {
            let reason = takesAnything ? "it takes every recipient at first" : "it puts some tries off"
            return [PostureFinding(.relayUnclear, host, "doesn't say clearly whether it passes mail on: \(reason)", evidence)]
        }
        return [PostureFinding(.relayGood, host, "refused each of the \(answers.count { $0.envelope.form != .control }) ways that were tried", evidence)]
    }
}
