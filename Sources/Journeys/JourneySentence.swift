import SMTP

/// One operation in words: one line, and further ones below it where there is more to say. Not yet neutralised.
struct JourneySentence {
    let lines: [String]

    /// No operation takes more lines.
    private static let lineLimit = 40

    init(_ operation: JourneyEvent.Operation) {
        let lines =
            switch operation {
            case .connected(let value): Self.connected(value)
            case .secured(let value): Self.secured(value)
            case .protected(let value): Self.protected(value)
            case .authenticated(let value):
                ["\(value.user) \(value.succeeded ? "logged in" : "failed to log in") by \(value.mechanism)"]
            case .exchanged(let value): Self.exchanged(value)
            case .resolved(let value): Self.resolved(value)
            case .described(let value): Self.described(value)
            case .checked(let value): ["\(value.check): \(value.result)\(value.explanation.isEmpty ? "" : " — \(value.explanation)")"]
            case .judged(let value): Self.judged(value)
            case .decided(let value): Self.decided(value)
            case .committed(let value):
                [
                    "stored durably as \(value.queueID), \(JourneyText.size(value.byteCount)), for \(Self.list(value.recipients))"
                ]
            case .routed(let value): ["\(value.recipient) goes to \(value.destination): \(value.reason)"]
            case .attempted(let value): Self.attempted(value)
            case .delivered(let value): Self.delivered(value)
            case .notified(let value): Self.notified(value)
            case .queued(let value): ["\(value.queueID) \(value.action): \(value.reason)"]
            case .abandoned(let value): ["the client left: \(value.reason)"]
            }
        self.lines = lines.count > Self.lineLimit ? lines.prefix(Self.lineLimit) + ["… and \(lines.count - Self.lineLimit) more"] : lines
    }

    /// The word in the second column: at most eight letters.
    static func label(of operation: JourneyEvent.Operation) -> String {
        switch operation {
        case .connected: "connect"
        case .secured: "tls"
        case .protected: "receipt"
        case .authenticated: "login"
        case .exchanged: "smtp"
        case .resolved: "dns"
        case .described: "message"
        case .checked: "check"
        case .judged: "report"
        case .decided: "decision"
        case .committed: "commit"
        case .routed: "route"
        case .attempted: "attempt"
        case .delivered: "mailbox"
        case .notified: "notice"
        case .queued: "queue"
        case .abandoned: "end"
        }
    }

    private static func connected(_ value: JourneyEvent.Connected) -> [String] {
        let client = endpoint(value.client, value.clientPort)
        return [
            "← client \(client) connected to \(endpoint(value.server, value.serverPort)) (\(value.listener))\(value.proxy.map { ", as the proxy \($0) says" } ?? "")"
        ]
    }

    private static func endpoint(_ address: String, _ port: Int) -> String {
        address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }

    private static func secured(_ value: JourneyEvent.Secured) -> [String] {
        let cipher = (value.cipher.isEmpty ? "" : ", \(value.cipher)") + (value.group.map { ", \($0)" } ?? "")
        var identity =
            switch value.verification {
            case "verified": "its certificate is verified"
            case "unverified": "its certificate is not verified"
            default: "without a certificate of the peer"
            }
        if let subject = value.peerSubject { identity += " (\(subject))" }
        if !value.peerRoles.isEmpty { identity += ", one of our hosts: \(value.peerRoles.joined(separator: ", "))" }
        return ["\(value.version)\(cipher), with \(value.peer), \(identity)"]
    }

    private static func protected(_ value: JourneyEvent.Protected) -> [String] {
        let wanted =
            switch value.level {
            case "authenticated": "TLS with a proven host is required"
            case "encrypted": "TLS is required"
            case "opportunistic": "TLS where it is offered"
            default: "no TLS is wanted"
            }
        let got =
            value.encrypted
            ? "\(value.version ?? "TLS")\(value.group.map { " by \($0)" } ?? ""), \(value.authenticated ? "the host is proven" : "the host isn't proven")"
            : "NOT ENCRYPTED"
        var lines = ["\(value.peer): \(wanted) (\(value.source)); \(got)"]
        lines += value.steps + value.checks
        if let leaf = value.chain.first { lines.append("certificate: \(leaf)") }
        if let reason = value.reason { lines.append("\(value.verdict == "refuse" ? "not sent there" : "not sent now"): \(reason)") }
        if let report = value.tlsReport {
            let failures = report.failures.map(\.type).joined(separator: ", ")
            lines.append("\(value.nextHop) will be told (RFC 8460): \(failures.isEmpty ? "all is well" : failures), \(report.policyType)")
        }
        return lines
    }

    private static func exchanged(_ value: JourneyEvent.Exchanged) -> [String] {
        let (there, back) = value.outbound ? ("→", "←") : ("←", "→")
        let replies = replyLines(value.reply)
        return ["\(there) \(value.command)"] + replies.map { "\(back) \($0)" }
    }

    private static func replyLines(_ reply: SMTPReply) -> [String] {
        let status = reply.enhancedStatus.map { "\($0) " } ?? ""
        return reply.lines.enumerated().map { index, line in
            "\(reply.code)\(index + 1 < reply.lines.count ? "-" : " ")\(status)\(line)"
        }
    }

    private static func resolved(_ value: JourneyEvent.Resolved) -> [String] {
        let answer =
            switch value.outcome {
            case "records": list(value.records)
            case "noData": "no such records"
            case "nonexistentDomain": "no such name"
            default: "no answer (\(value.outcome))"
            }
        let security =
            switch value.security {
            case "secure": "DNSSEC: secure"
            case "insecure": "DNSSEC: not signed"
            case "bogus": "DNSSEC: BOGUS, not used"
            default: "DNSSEC: unknown"
            }
        return ["\(value.name) \(value.type) = \(answer) [\(security)]"]
    }

    private static func described(_ value: JourneyEvent.Described) -> [String] {
        var lines = ["\(JourneyText.size(value.byteCount)), SHA-256 \(value.sha256)"]
        if let from = value.from { lines.append("From: \(from)") }
        return lines
    }

    private static func judged(_ value: JourneyEvent.Judged) -> [String] {
        let overrides = value.overrides.map { "; \($0.type)" }.joined()
        return [
            "\(value.recordDomain) asks for reports: mail from \(value.headerFrom) by \(value.sourceIP), DMARC \(value.result), done: \(value.disposition)\(overrides)"
        ]
    }

    private static func decided(_ value: JourneyEvent.Decided) -> [String] {
        let verdict =
            switch value.verdict {
            case "accept": "accepted"
            case "reject": "REFUSED"
            case "tempfail": "refused for now"
            default: value.verdict
            }
        let whom = value.recipient.map { "\($0): " } ?? ""
        return ["\(whom)\(verdict), \(value.reason)"] + (value.reply.map { replyLines($0).map { "→ \($0)" } } ?? [])
    }

    private static func attempted(_ value: JourneyEvent.Attempted) -> [String] {
        let target = [value.host, value.address.map { "(\($0))" }].compactMap { $0 }.joined(separator: " ")
        let speaker = value.isLocal ? "we say" : "it says"
        var lines = [
            "attempt \(value.attempt) for \(value.recipient) (queue \(value.queueID)) by \(value.destination)\(target.isEmpty ? "" : " at \(target)"): \(value.result)",
            "\(speaker) “\(value.reply)”",
        ]
        lines += value.failures.map { "before that: \($0)" }
        if let next = value.nextAttempt { lines.append("next attempt at \(JourneyTime(next).iso8601)") }
        return lines
    }

    private static func delivered(_ value: JourneyEvent.Delivered) -> [String] {
        let again = value.isDuplicate ? ", was there already: nothing changed" : ""
        return ["\(value.recipient) → mailbox \(value.mailbox) of \(value.user), UID \(value.uid) (UIDVALIDITY \(value.uidValidity))\(again)"]
    }

    private static func notified(_ value: JourneyEvent.Notified) -> [String] {
        let who = value.notified.map { "\($0) is told" } ?? "nobody is told"
        let trace = value.notificationTrace.map { ", journey \($0)" } ?? ""
        return ["\(who) of \(value.kind) for \(value.recipient)\(trace): \(value.reason)"]
    }

    private static func list(_ words: [String]) -> String {
        words.count <= 10 ? words.joined(separator: ", ") : "\(words.prefix(10).joined(separator: ", ")) and \(words.count - 10) more"
    }
}
