import IMAP
import NIOCore
import Testing

/// LIST and LSUB (RFC 9051 §6.3.9, RFC 3501 §6.3.9).
@Suite struct MailboxListTests {
    private let list = MailboxList([
        .init(name: "INBOX", isSubscribed: true, specialUse: nil), .init(name: "Sent", isSubscribed: true, specialUse: "Sent"),
        .init(name: "Lists", isSubscribed: false, specialUse: nil), .init(name: "Lists/Swift", isSubscribed: true, specialUse: nil),
        .init(name: "Gone/Left", isSubscribed: false, specialUse: nil), .init(name: "Gr\u{fc}\u{df}e", isSubscribed: false, specialUse: nil),
    ])

    private func lines(_ pattern: String, reference: String = "", isRev2: Bool = true, _ change: (inout ListQuery) -> Void = { _ in }) -> [String] {
        var decoder = IMAPCommandDecoder()
        decoder.append(ByteBuffer(string: "a LIST \"\(reference)\" \"\(pattern)\"\r\n"))
        guard case .command(_, .list(var query)) = decoder.next() else { return ["no query"] }
        change(&query)
        return written(list.listings(for: query).map(IMAPResponse.list), isRev2: isRev2)
    }

    private func written(_ responses: [IMAPResponse], isRev2: Bool) -> [String] {
        var buffer = ByteBuffer()
        for response in responses { response.write(into: &buffer, isRev2: isRev2) }
        return String(buffer: buffer).split(separator: "\r\n").map { String($0.dropFirst(7)) }
    }

    @Test func patternsAndAttributes() {
        #expect(lines("") == ["(\\Noselect) \"/\" \"\""])
        #expect(
            lines("%") == [
                "(\\HasNoChildren \\Subscribed) \"/\" INBOX", "(\\HasNoChildren \\Subscribed \\Sent) \"/\" \"Sent\"",
                "(\\HasChildren) \"/\" \"Lists\"", "(\\NonExistent \\Noselect \\HasChildren) \"/\" \"Gone\"",
                "(\\HasNoChildren) \"/\" \"Gr\u{fc}\u{df}e\"",
            ])
        #expect(lines("Lists/*") == ["(\\HasNoChildren \\Subscribed) \"/\" \"Lists/Swift\""])
        #expect(lines("%", reference: "Lists/") == lines("Lists/*"))
        #expect(lines("inbox") == lines("INBOX"))
        #expect(lines("Gr*", isRev2: false) == ["(\\HasNoChildren) \"/\" \"Gr&APwA3w-e\""])
        #expect(lines("nothing").isEmpty)
        #expect(list.attributes(of: "Sent").contains("\\Sent"))
        #expect(list.attributes(of: "x") == ["\\NonExistent"])
    }

    @Test func selectionOptions() {
        #expect(lines("*") { $0.onlySubscribed = true }.count == 3)
        #expect(lines("*") { $0.onlySpecialUse = true } == ["(\\HasNoChildren \\Subscribed \\Sent) \"/\" \"Sent\""])
        let recursive = lines("%") {
            $0.onlySubscribed = true
            $0.isRecursive = true
        }
        #expect(recursive.count == 3)
        #expect(recursive.last == "(\\HasChildren) \"/\" \"Lists\" (\"CHILDINFO\" (\"SUBSCRIBED\"))")
    }

    @Test func subscriptionsOfTheOldKind() {
        let lines = written(list.subscriptions(reference: "", pattern: "%").map(IMAPResponse.lsub), isRev2: false)
        #expect(lines == ["() \"/\" INBOX", "() \"/\" \"Sent\"", "(\\Noselect) \"/\" \"Lists\""])
        #expect(list.subscriptions(reference: "", pattern: "*").map(\.name) == ["INBOX", "Sent", "Lists/Swift"])
    }
}
