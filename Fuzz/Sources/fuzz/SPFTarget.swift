import DNS

@testable import MailAuthentication

/// SPF: a record, a text with macros, and a whole evaluation on a zone. The input is a zone, a line `====`, and on further lines the client's
/// address, what it said in HELO, and the sender; or a record alone, which is then that of kartapuce.test.
enum SPFTarget {
    private static let client = IPAddress("203.0.113.7") ?? .v6(0, 0)

    static func run(_ data: [UInt8]) {
        let input = Input(data)
        let (zoneText, rest) = input.halves
        record(rest)
        macros(rest)
        var zone = fuzzedZone(zoneText)
        var lines = rest.split(separator: 0x0A, maxSplits: 3, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        if zoneText.isEmpty, let domain = try? DomainName("kartapuce.test") {
            zone.add(domain, .txt, .txt(rest))
            zone.add(domain, .a, .address(client))
            zone.add(domain, .mx, .mx(preference: 10, exchange: domain))
            lines = []
        }
        let address = lines.first.flatMap { IPAddress($0) } ?? client
        let helo = lines.count > 1 ? lines[1] : "mx.kartapuce.test"
        let sender = lines.count > 2 ? lines[2] : "alice@kartapuce.test"
        let resolver = zone
        let evaluation = CallingThread.run {
            await SPFChecker(resolver: resolver, receivingHost: "mx.gmail.test").check(
                address: address, helo: helo, mailFrom: input.has(0) ? nil : sender, at: fuzzedTime)
        }
        check(evaluation)
        let field = evaluation.receivedSPF(receiver: "mx.gmail.test", address: address, helo: helo, mailFrom: sender)
        require(field.isPrintable, "a Received-SPF field with other octets than printable ones")
        require(field.hasPrefix("\(evaluation.result.rawValue) ("), "a Received-SPF field without its result")
    }

    private static func check(_ evaluation: SPFEvaluation) {
        let limits = SPFLimits()
        require(evaluation.lookups <= limits.lookups + 1, "\(evaluation.lookups) terms that asked the DNS")
        require(evaluation.voidLookups <= limits.voidLookups + 1, "\(evaluation.voidLookups) terms without an answer")
        require(evaluation.terms.count <= limits.evidence, "\(evaluation.terms.count) terms are kept")
        let questions = evaluation.terms.reduce(0) { $0 + $1.lookups.count }
        require(questions <= (limits.lookups + 2) * (limits.names + 2) * 2, "\(questions) questions to the DNS")
        if let explanation = evaluation.explanation {
            require(evaluation.result == .fail, "an explanation of \(evaluation.result)")
            require(explanation.isPrintable && explanation.utf8.count <= limits.explanation, "the explanation “\(explanation)”")
        }
        switch evaluation.result {
        case .none, .temperror, .permerror: require(evaluation.problem != nil, "\(evaluation.result) without a reason")
        case .pass, .fail, .softfail, .neutral: break
        }
    }

    private static func record(_ octets: [UInt8]) {
        guard let record = try? SPFRecord(parsing: octets) else { return }
        require(record.directives.count <= SPFRecordParser.termLimit, "\(record.directives.count) directives")
        // The same terms with one blank between them are the same record.
        let text = record.text.split(separator: " ").joined(separator: " ")
        let again = try? SPFRecord(parsing: text)
        require(again?.directives == record.directives && again?.redirect == record.redirect, "“\(text)” is read otherwise without blanks")
    }

    private static func macros(_ octets: [UInt8]) {
        guard let text = try? SPFMacroString(parsing: String(decoding: octets, as: UTF8.self), isExplanation: true) else { return }
        let values = SPFMacroValues(
            localPart: "a.b-c%{s}", senderDomain: "kartapuce.test", domain: "gmail.test", address: "203.0.113.7", dottedAddress: "203.0.113.7",
            isIPv6: false, helo: "mx.kartapuce.test", receiver: "mx.gmail.test", time: 1_795_500_000)
        let name = text.expandedName(values)
        require(name.utf8.count <= 253 || !name.contains("."), "a name of \(name.utf8.count) octets")
        if let long = text.expanded(values, limit: 1_000) { require(long.utf8.count <= 1_000, "a text of \(long.utf8.count) octets") }
    }
}
