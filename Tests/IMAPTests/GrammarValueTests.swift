import FoundationEssentials
import NIOCore
import Testing

@testable import IMAP

@Suite("Values of the IMAP grammar")
struct GrammarValueTests {
    static let sets: [(String, UInt32, [ClosedRange<UInt32>])] = [
        ("1", 9, [1...1]), ("3:1", 9, [1...3]), ("*", 9, [9...9]), ("12:*", 9, [9...12]), ("5:*,1:2,2:6", 9, [1...9]), ("7,1,3:4", 9, [1...1, 3...4, 7...7]),
        ("*", 0, []), ("4294967295:*", 9, [9...4_294_967_295]),
    ]

    @Test("sequence sets", arguments: sets) func readSets(text: String, largest: UInt32, ranges: [ClosedRange<UInt32>]) {
        guard case .uidExpunge(let set)? = command("UID EXPUNGE \(text)") else {
            Issue.record("not read")
            return
        }
        #expect(set.description == text)
        #expect(set.ranges(largest: largest) == ranges)
        for number in 1...20 as ClosedRange<UInt32> {
            #expect(set.contains(number, largest: largest) == ranges.contains { $0.contains(number) }, "\(number)")
        }
    }

    @Test("sequence sets of numbers") func writeSets() {
        #expect(SequenceSet.text([]) == "")
        #expect(SequenceSet.text([1, 2, 3, 7, 9, 10, .max]) == "1:3,7,9:10,4294967295")
    }

    static let names: [(String, String)] = [
        ("INBOX", "INBOX"), ("A & B", "A &- B"), ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"), ("Grüße", "Gr&APwA3w-e"),
        ("😀", "&2D3eAA-"), ("&é&", "&-&AOk-&-"), ("", ""),
    ]

    @Test("modified UTF-7 (RFC 3501 §5.1.3)", arguments: names) func encodeAndDecode(name: String, encoded: String) {
        #expect(ModifiedUTF7.encode(name) == encoded)
        #expect(ModifiedUTF7.decode(encoded) == name)
    }

    @Test(
        "what no encoder of modified UTF-7 makes",
        arguments: ["&", "&AOk", "&AGE-", "&2D0-", "&AO-", "&AOl-", "&!-", "é", "a\n", "&AOk-&AOk-", "&3gDYPQ-"])
    func refuse(text: String) { #expect(ModifiedUTF7.decode(text) == nil) }

    static let moments: [(String, Double?)] = [
        ("17-Jul-1996 02:44:25 -0700", 837_596_665), (" 1-Jan-1970 00:00:00 +0000", 0), ("01-jan-1970 00:00:00 -0001", 60),
        ("29-Feb-2023 00:00:00 +0000", nil), ("1-Jan-1970 24:00:00 +0000", nil), ("1-Jan-1970 0:00:00 +0000", nil),
        ("1-Jan-1970 +1:00:00 +0000", nil), ("1-Jan-1970 00:00:00 +00:0", nil), ("1-Jan-1970 00:00:00 +0060", nil), ("1-Jan-1970 00:00:00", nil),
        ("+1-Jan-1970 00:00:00 +0000", nil), ("1-Jan-+197 00:00:00 +0000", nil), ("1-Jän-1970 00:00:00 +0000", nil), ("", nil), ("- - -", nil),
    ]

    @Test("moments", arguments: moments) func readMoments(text: String, seconds: Double?) {
        #expect(IMAPDate.parseMoment(text)?.timeIntervalSince1970 == seconds)
    }

    static let written: [(Double, String)] = [
        (0, " 1-Jan-1970 00:00:00 +0000"), (837_596_665.9, "17-Jul-1996 09:44:25 +0000"), (-1, "31-Dec-1969 23:59:59 +0000"),
        (951_782_400, "29-Feb-2000 00:00:00 +0000"), (1e18, "31-Dec-9999 23:59:59 +0000"), (-1e18, " 1-Jan-0001 00:00:00 +0000"),
    ]

    @Test("dates are written in UTC", arguments: written) func writeMoments(seconds: Double, text: String) {
        #expect(IMAPDate.text(Date(timeIntervalSince1970: seconds)) == text)
        if abs(seconds) < 1e12 { #expect(IMAPDate.parseMoment(text)?.timeIntervalSince1970 == seconds.rounded(.down)) }
    }

    @Test("days there and back") func days() {
        for day in stride(from: -719_162, to: 2_932_896, by: 97) {
            let civil = IMAPDate.civil(day)
            #expect(IMAPDate.days(year: civil.year, month: civil.month, day: civil.day) == day)
        }
        #expect(IMAPDate.day(Date(timeIntervalSince1970: -1)) == -1)
        #expect(IMAPDate.day(Date(timeIntervalSince1970: 86_399), offsetSeconds: 1) == 1)
    }

    static let patterns: [(String, String, Bool)] = [
        ("*", "a/b", true), ("%", "a", true), ("%", "a/b", false), ("a/%", "a/b", true), ("a/%", "a/b/c", false), ("a*c", "a/b/c", true),
        ("inbox", "INBOX", true),
        ("%/%", "a/b", true), ("", "a", false), ("", "", true), ("a%", "a", true), ("*b*b*b", "abbb", true),
    ]

    @Test("patterns of LIST", arguments: patterns) func match(pattern: String, name: String, matches: Bool) {
        #expect(MailboxPattern(pattern).matches(name) == matches)
    }

    static let strings: [(String, String, String)] = [
        ("", "\"\"", "\"\""), ("INBOX", "\"INBOX\"", "INBOX"), ("a \"b\\", #""a \"b\\""#, #""a \"b\\""#), ("nil", "\"nil\"", "\"nil\""),
        ("é", "{2}\r\né", "{2}\r\né"), ("a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb"), ("a\0b", "{3}\r\na b", "{3}\r\na b"),
        ("a\tb", "{3}\r\na\tb", "{3}\r\na\tb"),
    ]

    @Test("strings of answers", arguments: strings) func writeStrings(text: String, string: String, astring: String) {
        var out = ByteBuffer()
        ResponseText.string(text, into: &out)
        #expect(String(buffer: out) == string)
        out.clear()
        ResponseText.astring(text, into: &out)
        #expect(String(buffer: out) == astring)
        out.clear()
        ResponseText.nstring(text, into: &out)
        ResponseText.nstring(nil as String?, into: &out)
        #expect(String(buffer: out) == string + "NIL")
    }

    @Test("long strings are literals") func longString() {
        var out = ByteBuffer()
        ResponseText.string(String(repeating: "a", count: 1001), into: &out)
        #expect(String(buffer: out).hasPrefix("{1001}\r\naaa"))
    }
}
