import DNS
import Testing

@testable import MailAuthentication

/// A Received-SPF field that is written piece by piece is what interpolation would make.
struct ReceivedSPFFieldTests {
    private static let pieces = [
        "gmail.test", "bob", "@", ".", "..", "-", "_", " ", "(", ")", "\\", "\"", "\r\n", "\t", "\u{0}", "\u{7F}", "caf\u{E9}", "e\u{301}", "\u{1F600}", "=",
        ";",
        String(repeating: "a", count: 250), String(repeating: "(", count: 290),
    ]

    private static func text(_ generator: inout DKIMSeededGenerator) -> String {
        (0..<Int.random(in: 0...4, using: &generator)).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
    }

    @Test func fieldsAtRandom() {
        var generator = DKIMSeededGenerator(seed: 12)
        for result in SPFResult.allCases {
            for identity in [SPFIdentity.helo, .mailfrom] {
                for round in 0..<300 {
                    let evaluation = SPFEvaluation(
                        result: result, identity: identity, domain: Self.text(&generator), explanation: nil,
                        mechanism: round % 2 == 0 ? nil : Self.text(&generator), problem: round % 3 == 0 ? nil : Self.text(&generator), terms: [],
                        omittedTerms: 0, lookups: 0, voidLookups: 0)
                    let address = round % 4 == 0 ? IPAddress.v4(0xCB00_7109) : round % 4 == 1 ? .v6(0, 0xFFFF_CB00_7109) : .v6(0x2001_0DB8_0000_0000, 1)
                    let (receiver, helo, mailFrom) = (Self.text(&generator), Self.text(&generator), Self.text(&generator))
                    #expect(
                        evaluation.receivedSPF(receiver: receiver, address: address, helo: helo, mailFrom: mailFrom)
                            == evaluation.plainReceivedSPF(receiver: receiver, address: address, helo: helo, mailFrom: mailFrom))
                }
            }
        }
    }
}

extension SPFEvaluation {
    /// The same by interpolation.
    fileprivate func plainReceivedSPF(receiver: String, address: IPAddress, helo: String, mailFrom: String) -> String {
        let address = address.unmapped
        let who = identity == .helo ? "host \(domain)" : "domain of \(mailFrom.isEmpty ? "postmaster@\(domain)" : mailFrom)"
        let says =
            switch result {
            case .pass: "\(who) designates \(address) as permitted sender"
            case .fail: "\(who) does not designate \(address) as permitted sender"
            case .softfail: "transitioning \(who) does not designate \(address) as permitted sender"
            case .neutral: "\(address) is neither permitted nor denied by \(who)"
            case .none: "\(who) does not provide an SPF record"
            case .temperror: "a temporary error prevents the check of \(who)"
            case .permerror: "the record of \(who) cannot be evaluated"
            }
        var pairs = [
            ("receiver", receiver), ("identity", identity.rawValue), ("client-ip", "\(address)"), ("envelope-from", mailFrom), ("helo", helo),
            ("mechanism", mechanism ?? "default"),
        ]
        if let problem { pairs.append(("problem", problem)) }
        let list = pairs.map { "\($0)=\(Self.quoted($1))" }.joined(separator: "; ")
        return "\(result.rawValue) (\(Self.comment("\(receiver): \(says)"))) \(list)"
    }

    /// Printable text within a comment, its parentheses and backslashes escaped (RFC 5322 §3.2.2).
    private static func comment(_ text: String) -> String {
        plain(text, limit: 300).escaping { $0 == UInt8(ascii: "(") || $0 == UInt8(ascii: ")") || $0 == UInt8(ascii: "\\") }
    }

    private static func quoted(_ text: String) -> String {
        let text = plain(text, limit: 300)
        return isDotAtom(text) ? text : "\"" + text.escaping { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") } + "\""
    }

    /// `dot-atom` (RFC 5322 §3.2.3) of letters, digits, hyphens and underscores.
    private static func isDotAtom(_ text: String) -> Bool {
        var previous = UInt8(ascii: ".")
        for octet in text.utf8 {
            switch octet {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"): break
            case UInt8(ascii: ".") where previous != octet: break
            default: return false
            }
            previous = octet
        }
        return previous != UInt8(ascii: ".")
    }

    /// Without controls and what isn't ASCII, which older programs can't read in a trace field.
    private static func plain(_ text: String, limit: Int) -> String {
        if text.utf8.count <= limit, text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.prefix(limit).map { (0x20...0x7E).contains($0.value) ? $0 : "?" }))
    }
}
