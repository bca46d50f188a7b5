import FoundationEssentials
import NIOCore
import Testing

@testable import IMAP

@Suite("SEARCH")
struct SearchTests {
    static let context = SearchContext(lastSequenceNumber: 9, lastUID: 90, saved: [42])

    static func found(_ key: String, in lines: [String], flags: Set<String> = []) -> Bool? {
        guard case .search(let query, _)? = command("SEARCH \(key)") else { return nil }
        let octets = ByteBuffer(string: lines.joined(separator: "\r\n"))
        let message = IMAPMessage(
            sequenceNumber: 3, uid: 42, flags: flags, internalDate: Date(timeIntervalSince1970: 86_400 * 10 + 86_399), size: 100,
            content: query.key.need == .row ? nil : octets)
        return message.matches(query.key, in: context)
    }

    static let metadata: [(String, Bool)] = [
        ("ALL", true), ("1:2", false), ("2:4", true), ("3,9", true), ("*", false), ("*:2", true), ("UID 42", true), ("UID 43:*", false), ("UID 1:*", true),
        ("$", true), ("UID $", true), ("SEEN", true), ("UNSEEN", false), ("KEYWORD $JUNK", true), ("UNKEYWORD $Junk", false), ("KEYWORD Junk", false),
        ("DRAFT", false), ("NEW", false), ("RECENT", false), ("OLD", true), ("BEFORE 11-Jan-1970", false), ("ON 11-Jan-1970", true),
        ("SINCE 11-Jan-1970", true), ("BEFORE 12-Jan-1970", true), ("SINCE 12-Jan-1970", false), ("ON 12-Jan-1970", false), ("LARGER 99", true),
        ("LARGER 100", false), ("SMALLER 100", false), ("SMALLER 101", true), ("NOT SEEN", false), ("OR UNSEEN ALL", true), ("OR UNSEEN DRAFT", false),
        ("SEEN ALL", true), ("SEEN DRAFT", false), ("(SEEN (OR DRAFT NOT 4))", true),
    ]

    @Test("keys that need no octets", arguments: metadata) func withoutOctets(key: String, expected: Bool) {
        guard case .search(let query, _)? = command("SEARCH \(key)") else {
            Issue.record("not read")
            return
        }
        #expect(query.key.need == .row)
        #expect(Self.found(key, in: [], flags: ["\\seen", "$Junk"]) == expected)
    }

    static let letter = [
        "Date: Thu, 1 Jan 2026 00:30:00 +0200", "From: =?utf-8?q?J=C3=BCrgen?= <juergen@kartapuce.test>", "To: jack@gmail.test", "Cc: tom@gmail.test",
        "Subject: =?iso-8859-1?q?Gr=FC=DFe?= =?utf-8?b?IGF1cw==?=", "  Köln", "X-Empty:", "MIME-Version: 1.0",
        "Content-Type: multipart/mixed; boundary=X", "", "--X", "Content-Type: text/plain; charset=iso-8859-15",
        "Content-Transfer-Encoding: quoted-printable", "", "Die Rechnung =FCber 5 =A4 ist lang=", "jaehrig.", "--X",
        "Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: base64", "Content-Disposition: attachment; filename*=utf-8''Stra%C3%9Fe.html",
        "", "PHA+w4RwZmVsPC9wPg==", "--X", "Content-Type: application/octet-stream", "", "Banane", "--X", "Content-Type: message/rfc822", "",
        "Subject: =?utf-8?q?Pflaume?=", "", "Traube", "--X", "Content-Type: text/plain; charset=x-unknown", "", "Mango", "--X--", "",
    ]

    static let texts: [(String, Bool)] = [
        ("SUBJECT \"GRÜSSE\"", true), ("SUBJECT \"grüße aus\"", true), ("SUBJECT \"aus  köln\"", true), ("SUBJECT =?iso", false), ("SUBJECT \"\"", true),
        ("FROM \"jürgen <\"", true), ("FROM juergen@", true), ("FROM jack", false), ("TO JACK", true), ("CC tom", true), ("BCC tom", false),
        ("BCC \"\"", false),
        ("HEADER X-Empty \"\"", true), ("HEADER x-empty y", false), ("HEADER None \"\"", false), ("HEADER mime-version 1.0", true),
        ("BODY \"rechnung über 5 €\"", true), ("BODY langjaehrig", true), ("BODY \"ÄPFEL\"", true), ("BODY banane", false), ("BODY traube", true),
        ("BODY pflaume", true), ("BODY mango", true), ("BODY \"grüße\"", false), ("BODY jack", false), ("BODY \"\"", true), ("TEXT \"\"", true),
        ("TEXT \"subject: grüße\"", true), ("TEXT jack", true), ("TEXT application/octet", true), ("TEXT \"straße.html\"", true), ("TEXT Kirsche", false),
        ("TEXT traube", true), ("SENTON 1-Jan-2026", true), ("SENTON 31-Dec-2025", false), ("SENTSINCE 1-Jan-2026", true), ("SENTBEFORE 1-Jan-2026", false),
        ("SENTBEFORE 2-Jan-2026", true), ("TEXT jack NOT BODY traube", false), ("OR BODY kirsche SUBJECT aus", true), ("NOT (BODY kirsche)", true),
    ]

    @Test("texts, decoded and without regard to case", arguments: texts) func decoded(key: String, expected: Bool) {
        #expect(Self.found(key, in: Self.letter) == expected)
    }

    @Test("what a delivery status notification says of a recipient is found")
    func deliveryStatus() {
        let notice = [
            "Subject: failed", "MIME-Version: 1.0", "Content-Type: multipart/report; report-type=delivery-status; boundary=X", "", "--X",
            "Content-Type: text/plain", "", "Alas.", "--X", "Content-Type: message/delivery-status", "", "Original-Envelope-Id: QQ314159", "",
            "Final-Recipient: rfc822; tom@gmail.test", "Action: failed", "--X--", "",
        ]
        for key in ["BODY tom@gmail.test", "TEXT QQ314159", "BODY \"action: failed\""] { #expect(Self.found(key, in: notice) == true, "\(key)") }
        #expect(Self.found("BODY bob@kartapuce.test", in: notice) == false)
    }

    @Test("a message without Date was sent on no day", arguments: ["SENTON 1-Jan-2026", "SENTBEFORE 1-Jan-2026", "SENTSINCE 1-Jan-2026"])
    func noDate(key: String) {
        #expect(Self.found(key, in: ["Subject: x", "", ""]) == false)
        #expect(Self.found(key, in: ["Date: soon", "", ""]) == false)
    }

    static let patterns: [(String, String, Bool)] = [
        ("", "", true), ("a", "", false), ("abab", "aababab", true), ("abac", "ababac", true), ("aab", "aaab", true), ("ab", "ba", false), ("é", "CAFÉ", true),
        ("ß", "SS", true), ("SS", "ß", true), ("σ", "ΟΔΟΣ", true), ("ς", "σ", true), ("K", "k", true), ("ü", "u", false), ("\u{0}", "a\u{0}b", true),
    ]

    @Test("patterns", arguments: patterns) func occurs(pattern: String, text: String, expected: Bool) {
        #expect(TextPattern(pattern).occurs(in: FoldedText(text)) == expected)
    }

    @Test("a text made to be searched slowly costs no more than another") func repetitive() {
        let text = String(repeating: "a", count: 200_000)
        let pattern = TextPattern(String(repeating: "a", count: 50_000) + "b")
        #expect(!pattern.occurs(in: FoldedText(text)))
        #expect(pattern.occurs(in: FoldedText(text + "B")))
    }
}
