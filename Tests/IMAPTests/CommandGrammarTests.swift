import FoundationEssentials
import NIOCore
import Testing

@testable import IMAP

@Suite("IMAP commands")
struct CommandGrammarTests {
    static let simple: [(String, IMAPCommand)] = [
        ("CAPABILITY", .capability), ("noop", .noop), ("LogOut", .logout), ("STARTTLS", .startTLS), ("CHECK", .check), ("CLOSE", .close),
        ("UNSELECT", .unselect), ("EXPUNGE", .expunge), ("NAMESPACE", .namespace), ("IDLE", .idle), ("ID NIL", .id), ("ID ()", .id),
        (#"ID ("name" "Bob's program" "version" NIL)"#, .id),
        (#"LOGIN bob "correct \"horse\" \\""#, .login(user: "bob", password: #"correct "horse" \"#)),
        ("LOGIN {3}\r\nbob {6}\r\nabc{3}", .login(user: "bob", password: "abc{3}")),
        ("LOGIN {3+}\r\nbob {0+}\r\n", .login(user: "bob", password: "")),
        ("AUTHENTICATE plain", .authenticate(mechanism: "PLAIN", initialResponse: nil)),
        ("AUTHENTICATE PLAIN =", .authenticate(mechanism: "PLAIN", initialResponse: [])),
        ("AUTHENTICATE PLAIN AGIAYw==", .authenticate(mechanism: "PLAIN", initialResponse: [0, 0x62, 0, 0x63])),
        ("ENABLE imap4rev2 CONDSTORE", .enable(["IMAP4REV2", "CONDSTORE"])),
        ("SELECT inbox", .select("inbox")), (#"EXAMINE "Sent &- Kept""#, .examine("Sent & Kept")),
        ("SELECT &ZeVnLIqe-", .select("日本語")), ("SELECT \"Grüße\"", .select("Grüße")), ("SELECT a]b", .select("a]b")),
        ("CREATE Sent", .create("Sent", specialUse: nil)), (#"CREATE Sent (USE (\Sent))"#, .create("Sent", specialUse: "Sent")),
        ("DELETE Old", .delete("Old")), ("RENAME Old New", .rename("Old", to: "New")), ("SUBSCRIBE x", .subscribe("x")),
        ("UNSUBSCRIBE x", .unsubscribe("x")), (#"LSUB "" %"#, .lsub(reference: "", pattern: "%")),
        (
            "STATUS INBOX (MESSAGES uidnext UIDVALIDITY UNSEEN DELETED SIZE RECENT)",
            .status("INBOX", [.messages, .uidNext, .uidValidity, .unseen, .deleted, .size, .recent])
        ),
        ("COPY 1,3:5 Archive", .copy(numbers(1...1, 3...5), to: "Archive", isUID: false)),
        ("UID COPY 7 Archive", .copy(numbers(7...7), to: "Archive", isUID: true)),
        ("MOVE 2 Archive", .move(numbers(2...2), to: "Archive", isUID: false)),
        ("UID MOVE $ Archive", .move(SequenceSet([], isSavedResult: true), to: "Archive", isUID: true)),
        ("UID EXPUNGE 3:*", .uidExpunge(SequenceSet([SequenceSet.Element(.number(3), .largest)]))),
        (
            #"STORE 1 FLAGS (\Seen $Junk)"#,
            .store(numbers(1...1), StoreChange(operation: .replace, flags: ["\\Seen", "$Junk"], isSilent: false), isUID: false)
        ),
        (
            #"STORE 1 +FLAGS.SILENT \Seen"#,
            .store(numbers(1...1), StoreChange(operation: .add, flags: ["\\Seen"], isSilent: true), isUID: false)
        ),
        (
            #"UID STORE 4294967295 -flags \Seen \Draft"#,
            .store(
                numbers(4_294_967_295...4_294_967_295), StoreChange(operation: .remove, flags: ["\\Seen", "\\Draft"], isSilent: false), isUID: true)
        ),
        ("STORE 1 FLAGS ()", .store(numbers(1...1), StoreChange(operation: .replace, flags: [], isSilent: false), isUID: false)),
    ]

    @Test("are read", arguments: simple) func read(line: String, expected: IMAPCommand) {
        #expect(command(line) == expected)
    }

    static func part(
        _ path: [Int], _ content: BodySection.Content, _ name: String, peek: Bool = false, _ partial: PartialRange? = nil
    )
        -> FetchItem
    {
        .section(BodySection(path: path, content: content), partial: partial, isPeek: peek, name: name)
    }

    static let fetches: [(String, [FetchItem])] = [
        ("ALL", [.flags, .internalDate, .size, .envelope]), ("fast", [.flags, .internalDate, .size]),
        ("FULL", [.flags, .internalDate, .size, .envelope, .body]), ("BODY", [.body]), ("(UID BODYSTRUCTURE)", [.uid, .bodyStructure]),
        ("RFC822", [part([], .all, "RFC822")]), ("RFC822.HEADER", [part([], .header, "RFC822.HEADER", peek: true)]),
        ("RFC822.TEXT", [part([], .text, "RFC822.TEXT")]), ("BODY[]", [part([], .all, "BODY[]")]),
        ("body.peek[1.2.mime]", [part([1, 2], .mime, "BODY[1.2.MIME]", peek: true)]),
        ("BODY[3]<0.100>", [part([3], .all, "BODY[3]<0>", PartialRange(first: 0, count: 100))]),
        ("BODY[TEXT]<5.4294967295>", [part([], .text, "BODY[TEXT]<5>", PartialRange(first: 5, count: .max))]),
        (#"BODY.PEEK[HEADER.FIELDS (From "To")]"#, [part([], .headerFields(["From", "To"]), "BODY[HEADER.FIELDS (From To)]", peek: true)]),
        (
            #"BODY[2.HEADER.FIELDS.NOT ("a[\"" "")]"#,
            [part([2], .headerFieldsNot(["a[\"", ""]), #"BODY[2.HEADER.FIELDS.NOT ("a[\"" "")]"#)]
        ),
    ]

    @Test("FETCH: items", arguments: fetches) func fetch(items: String, expected: [FetchItem]) {
        #expect(command("FETCH 1 \(items)") == .fetch(numbers(1...1), expected, isUID: false))
        #expect(command("UID FETCH 1 \(items)") == .fetch(numbers(1...1), expected, isUID: true))
    }

    @Test("FETCH: what sets \\Seen") func seen() {
        #expect(Self.part([], .all, "BODY[]").setsSeen)
        #expect(!Self.part([], .all, "BODY[]", peek: true).setsSeen)
        #expect(!FetchItem.envelope.setsSeen && FetchItem.envelope.need == .summary && FetchItem.size.need == .row)
    }

    static let searches: [(String, SearchQuery)] = [
        ("ALL", SearchQuery(returns: nil, key: .all)),
        ("RETURN () unseen", SearchQuery(returns: [.all], key: .flag("\\Seen", false))),
        ("RETURN (MIN MAX COUNT SAVE) CHARSET UTF-8 SUBJECT Grüße", SearchQuery(returns: nil, key: .all)),
        (
            "RETURN (MIN MAX COUNT SAVE) CHARSET UTF-8 SUBJECT \"Grüße\"",
            SearchQuery(returns: [.min, .max, .count, .save], key: .header("subject", "Grüße"))
        ),
        ("CHARSET us-ascii FROM {3}\r\nbob TO jack", SearchQuery(returns: nil, key: .and([.header("from", "bob"), .header("to", "jack")]))),
        (
            "OR NOT SEEN (DELETED 1:3) BODY x",
            SearchQuery(returns: nil, key: .and([.or(.not(.flag("\\Seen", true)), .and([.flag("\\Deleted", true), .sequence(numbers(1...3))])), .body("x")]))
        ),
        ("SINCE 1-Jan-1970 BEFORE \"2-Jan-1970\" ON 31-dec-1969", SearchQuery(returns: nil, key: .and([.since(0), .before(1), .on(-1)]))),
        (
            "SENTSINCE 1-Mar-2024 SENTBEFORE 29-Feb-2024 SENTON 1-Jan-2000",
            SearchQuery(returns: nil, key: .and([.sentSince(19_783), .sentBefore(19_782), .sentOn(10_957)]))
        ),
        (
            "LARGER 5 SMALLER 0 KEYWORD $Junk UNKEYWORD x",
            SearchQuery(returns: nil, key: .and([.larger(5), .smaller(0), .flag("$Junk", true), .flag("x", false)]))
        ),
        (
            "UID 5:* $ *",
            SearchQuery(
                returns: nil,
                key: .and([
                    .uid(SequenceSet([SequenceSet.Element(.number(5), .largest)])), .sequence(SequenceSet([], isSavedResult: true)),
                    .sequence(SequenceSet([SequenceSet.Element(.largest, .largest)])),
                ]))
        ),
        (
            #"HEADER "List-Id" "" TEXT a NEW OLD"#,
            SearchQuery(returns: nil, key: .and([.header("List-Id", ""), .text("a"), .recent(true), .recent(false)]))
        ),
    ]

    @Test("SEARCH: keys", arguments: searches) func search(text: String, expected: SearchQuery) {
        // An atom has no octets over 127 (RFC 9051 §9).
        let isCommand = !text.hasSuffix("SUBJECT Grüße")
        #expect(command("SEARCH \(text)") == (isCommand ? .search(expected, isUID: false) : nil))
    }

    @Test("LIST: options") func list() {
        var query = ListQuery(reference: "", patterns: ["*"])
        #expect(command(#"LIST "" *"#) == .list(query))
        #expect(command(#"LIST () "" "*""#) == .list(query))
        query.patterns = ["INBOX", "a/%"]
        query.onlySubscribed = true
        query.isRecursive = true
        query.status = [.messages]
        #expect(command(#"LIST (SUBSCRIBED RECURSIVEMATCH) "" (INBOX a/%) RETURN (CHILDREN STATUS (MESSAGES) SPECIAL-USE)"#) == .list(query))
        #expect(command(#"LIST (RECURSIVEMATCH) "" *"#) == nil)
    }

    @Test("know when they may be given") func states() {
        #expect(IMAPCommand.noop.states == Set(SessionState.allCases))
        #expect(IMAPCommand.login(user: "bob", password: "").states == [.notAuthenticated])
        #expect(IMAPCommand.expunge.states == [.selected])
        #expect(IMAPCommand.select("INBOX").states == [.authenticated, .selected])
    }

    @Test("names in UTF-8 are taken as they are where the client enabled them") func utf8Names() {
        #expect(command("SELECT &ZeVnLIqe-", usesUTF8: true) == .select("&ZeVnLIqe-"))
        #expect(command("SELECT &ZeVnLIqe-", usesUTF8: false) == .select("日本語"))
    }

    static let bad: [(String, String, IMAPParseError.Code, Int)] = [
        ("", "*", .unexpected, 0), (" NOOP", "*", .unexpected, 0), ("+ NOOP", "*", .unexpected, 0), ("a", "a", .unexpected, 1),
        ("a ", "a", .unexpected, 2), ("a  NOOP", "a", .unexpected, 2), ("a FROB", "a", .unknownCommand, 2), ("a NOOP ", "a", .unexpected, 6),
        ("a NOOP x", "a", .unexpected, 6), ("a UID NOOP 1", "a", .unknownCommand, 6), ("a APPEND INBOX", "a", .unknownCommand, 2),
        ("a LOGIN bob", "a", .unexpected, 11), ("a LOGIN bob \"x", "a", .unexpected, 14), (#"a LOGIN bob "\x""#, "a", .unexpected, 14),
        ("a LOGIN bob \u{e9}", "a", .unexpected, 12), ("a SELECT &", "a", .badEncoding, 9), ("a SELECT &AGE-", "a", .badEncoding, 9),
        ("a SELECT &AAo-", "a", .badEncoding, 9), ("a SELECT {3+}\r\nx\ny", "a", .badEncoding, 9), ("a STATUS INBOX ()", "a", .unexpected, 17),
        ("a FETCH 0 FLAGS", "a", .outOfRange, 8), ("a FETCH 4294967296 FLAGS", "a", .outOfRange, 8), ("a FETCH 1: FLAGS", "a", .unexpected, 10),
        ("a FETCH 1,,2 FLAGS", "a", .unexpected, 10), ("a FETCH 1 ()", "a", .unexpected, 12), ("a FETCH 1 BODY[MIME]", "a", .unexpected, 15),
        ("a FETCH 1 BODY[1.]", "a", .unexpected, 17), ("a FETCH 1 BODY[0]", "a", .outOfRange, 15), ("a FETCH 1 BODY[]<1.0>", "a", .outOfRange, 19),
        ("a FETCH 1 BODY[HEADER.FIELDS ()]", "a", .unexpected, 31), ("a FETCH 1 BODY[HEADER.FIELDS (\"a b\")]", "a", .unexpected, 36),
        ("a FETCH 1 (ALL)", "a", .unexpected, 11), ("a SEARCH", "a", .unexpected, 8), ("a SEARCH CHARSET KOI8-R ALL", "a", .badCharset, 17),
        ("a SEARCH ON 30-Feb-2026", "a", .outOfRange, 12), ("a SEARCH ON +1-Feb-2026", "a", .outOfRange, 12),
        ("a SEARCH LARGER -1", "a", .unexpected, 16), ("a SEARCH (ALL", "a", .unexpected, 13), ("a SEARCH OR ALL", "a", .unexpected, 15),
        ("a AUTHENTICATE PLAIN %", "a", .badEncoding, 21), ("a LOGIN x {1+}\r\n\u{0}", "a", .badEncoding, 10),
        ("a STORE 1 FLAGS (\\)", "a", .unexpected, 18),
        ("a SEARCH " + String(repeating: "(", count: 40) + "ALL", "a", .tooLarge, 9 + 32),
        ("a SEARCH " + String(repeating: "NOT ", count: 40) + "ALL", "a", .tooLarge, 9 + 32 * 4),
        ("a SEARCH " + String(repeating: "ALL ", count: 1001) + "ALL", "a", .tooLarge, 9 + 1000 * 4),
        ("a FETCH 1" + String(repeating: ",1", count: 4096) + " FLAGS", "a", .tooLarge, 8 + 4096 * 2),
        (String(repeating: "t", count: 300) + " NOOP", "*", .tooLarge, 0),
    ]

    @Test("that are none are answered with what was expected where", arguments: bad)
    func errors(line: String, tag: String, code: IMAPParseError.Code, offset: Int) {
        guard case .bad(let foundTag, let error)? = events(line + "\r\n").last else {
            Issue.record("no error, but \(events(line + "\r\n"))")
            return
        }
        #expect(foundTag == tag)
        #expect(error.code == code, "\(error)")
        #expect(error.offset == offset, "\(error)")
    }
}
