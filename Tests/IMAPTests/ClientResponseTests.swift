import IMAP
import NIOCore
import Testing

@Suite("Responses as a client reads them")
struct ClientResponseTests {
    /// Reads all responses of a text that arrives in pieces of this many octets.
    private func read(_ octets: [UInt8], pieces: Int = .max, limits: IMAPClientLimits = .init()) throws(IMAPResponseError) -> [IMAPServerResponse] {
        var reader = IMAPResponseReader(limits: limits)
        var responses: [IMAPServerResponse] = []
        var rest = octets[...]
        while !rest.isEmpty {
            reader.receive(ByteBuffer(bytes: rest.prefix(pieces)))
            rest = rest.dropFirst(pieces)
            while let text = try reader.next() { responses.append(try IMAPServerResponse(parsing: text, limits: limits)) }
        }
        return responses
    }

    private static func message(_ number: Int, _ change: (inout IMAPServerMessage) -> Void) -> IMAPServerResponse {
        var message = IMAPServerMessage(sequenceNumber: number)
        change(&message)
        return .fetch(message)
    }

    static let table: [(String, IMAPServerResponse)] = [
        ("+ \r\n", .continuation("")), ("+\r\n", .continuation("")), ("+ cj1hYmM=\r\n", .continuation("cj1hYmM=")),
        ("a1 OK done\r\n", .completion(tag: "a1", .init(.ok, text: "done"))),
        ("a1 no [NONEXISTENT] gone\r\n", .completion(tag: "a1", .init(.no, code: "NONEXISTENT", text: "gone"))),
        ("a1 BAD\r\n", .completion(tag: "a1", .init(.bad))),
        ("a1 OK [CAPABILITY IMAP4rev1 MOVE] hi\n", .completion(tag: "a1", .init(.ok, code: "CAPABILITY IMAP4rev1 MOVE", text: "hi"))),
        ("* OK [UIDVALIDITY 7] ok\r\n", .status(.init(.ok, code: "UIDVALIDITY 7", text: "ok"))), ("* BYE bye\r\n", .status(.init(.bye, text: "bye"))),
        ("* OK [unclosed code\r\n", .status(.init(.ok, text: "[unclosed code"))),
        ("* CAPABILITY imap4rev1 AUTH=PLAIN\r\n", .capability(["IMAP4REV1", "AUTH=PLAIN"])),
        ("* 3 EXISTS\r\n", .exists(3)), ("* 0 RECENT\r\n", .other("RECENT")), ("* 7 EXPUNGE\r\n", .expunge(7)), ("* FLAGS (\\Seen)\r\n", .other("FLAGS")),
        ("* SEARCH\r\n", .search([])), ("* SEARCH 3 1 2\r\n", .search([3, 1, 2])), ("* SEARCH 4 (MODSEQ 9)\r\n", .search([4])),
        ("* ESEARCH (TAG \"a\") UID ALL 1:3,7\r\n", .search([1, 2, 3, 7])), ("* ESEARCH (TAG \"a\") UID COUNT 5 ALL 3:1\r\n", .search([1, 2, 3])),
        ("* ESEARCH (TAG \"a\")\r\n", .search([])),
        ("* LIST (\\HasNoChildren \\Sent) \"/\" \"Gesendet &AOk-\"\r\n", .mailbox(.init(name: "Gesendet é", attributes: ["\\hasnochildren", "\\sent"]))),
        ("* LIST () NIL inbox\r\n", .mailbox(.init(name: "INBOX", delimiter: nil))), ("* LIST () \"/\" {3}\r\na\"b\r\n", .mailbox(.init(name: "a\"b"))),
        ("* LIST () \"\\\\\" \"a\\\"b\"\r\n", .mailbox(.init(name: "a\"b", delimiter: "\\"))), ("* LIST () \"/\" \"&bad\"\r\n", .mailbox(.init(name: "&bad"))),
        ("* STATUS INBOX (MESSAGES 3 unseen 1)\r\n", .mailboxStatus(name: "INBOX", ["MESSAGES": 3, "UNSEEN": 1])),
        ("* 1 FETCH (UID 9 FLAGS (\\Seen $Work) RFC822.SIZE 44)\r\n", message(1) { ($0.uid, $0.flags, $0.size) = (9, ["\\seen", "$work"], 44) }),
        (
            "* 2 FETCH (BODY[HEADER.FIELDS (FROM \"TO]\")] {5}\r\na\r\nb) UID 3 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\r\n",
            message(2) {
                ($0.uid, $0.internalDate, $0.sections) = (3, "17-Jul-1996 02:44:25 -0700", ["HEADER.FIELDS (FROM \"TO]\")": ByteBuffer(string: "a\r\nb)")])
            }
        ),
        ("* 2 FETCH (BODY[]<0> \"x\" BODY[TEXT] NIL MODSEQ (5))\r\n", message(2) { $0.sections = ["": ByteBuffer(string: "x")] }),
        ("* 1 FETCH (BODY[] ~{2}\r\n\u{0}\u{1})\r\n", message(1) { $0.sections = ["": ByteBuffer(bytes: [0, 1])] }),
        ("* 1 FETCH ()\r\n", message(1) { _ in }), ("* VANISHED 1:2\r\n", .other("VANISHED")),
    ]

    @Test("Each response is what it says, in whatever pieces it comes", arguments: table.indices)
    func responses(_ index: Int) throws {
        let (text, expected) = Self.table[index]
        for pieces in [1, 2, 3, 7, Int.max] { #expect(try read(Array(text.utf8), pieces: pieces) == [expected], "\(text) by \(pieces)") }
    }

    @Test("All of them, one after the other")
    func together() throws {
        let octets = Self.table.flatMap { Array($0.0.utf8) }
        #expect(try read(octets, pieces: 5) == Self.table.map(\.1))
    }

    @Test(
        "What is no response is refused",
        arguments: [
            "\r\n", "*\r\n", "* \r\n", "a1\r\n", "a1 MAYBE\r\n", "a1 BYE x\r\n", "* 1 FETCH\r\n", "* 1 FETCH UID\r\n", "* 1 FETCH (UID 0)\r\n",
            "* 1 FETCH (UID 99999999999)\r\n", "* 1 FETCH (UID\r\n",
            "* 99999999999 EXISTS\r\n", "* SEARCH x\r\n", "* SEARCH 0\r\n", "* ESEARCH ALL 0:3\r\n", "* ESEARCH ALL 1:2:3\r\n", "* LIST\r\n",
            "* LIST x \"/\" y\r\n", "* LIST () \"/\"\r\n", "* STATUS INBOX\r\n",
            "* 1 FETCH (BODY[HEADER UID 1)\r\n", "* 1 FETCH (FLAGS (\\Seen)\r\n", "* LIST () \"/\" \"unclosed\r\n",
        ])
    func refused(_ text: String) { #expect(throws: IMAPResponseError.self) { try read(Array(text.utf8)) } }

    @Test("Limits end what never ends")
    func limits() {
        var limits = IMAPClientLimits()
        limits.lineLength = 1000
        limits.literalLength = 100
        limits.literalCount = 3
        limits.nestingDepth = 4
        limits.valueCount = 50
        let endless = [
            String(repeating: "a", count: 2000), "* LIST {101}\r\n", "* LIST {99999999999999999999}\r\n",
            "* 1 FETCH " + String(repeating: "(", count: 100) + "\r\n",
            "* 1 FETCH (" + String(repeating: "a ", count: 60) + ")\r\n", "* ESEARCH ALL 1:4294967295\r\n",
            "* 1 FETCH (" + String(repeating: "{1}\r\nx ", count: 9),
        ]
        for text in endless {
            let error = #expect(throws: IMAPResponseError.self) { try read(Array(text.utf8), pieces: 100, limits: limits) }
            #expect(error?.code == .tooLarge, "\(text.prefix(30))")
        }
    }

    @Test("Damaged responses are refused or read, and never more", .timeLimit(.minutes(2)))
    func mutations() {
        var random = SplitMix64(state: 7)
        let octets = Self.table.flatMap { Array($0.0.utf8) }
        let interesting = Array("(){}[]\"\\*% \r\n0129~<>".utf8)
        for _ in 0..<600 {
            var damaged = octets
            for _ in 0...Int(random.next() % 4) {
                let place = Int(random.next() % UInt64(damaged.count))
                switch random.next() % 4 {
                case 0: damaged[place] = interesting[Int(random.next() % UInt64(interesting.count))]
                case 1: damaged.remove(at: place)
                case 2: damaged.insert(interesting[Int(random.next() % UInt64(interesting.count))], at: place)
                default: damaged.removeSubrange(place..<min(damaged.count, place + 20))
                }
            }
            let whole = try? read(damaged)
            // However the octets arrive, the outcome is the same.
            #expect((try? read(damaged, pieces: 3)) == whole)
        }
    }

    private struct SplitMix64 {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }
}

@Suite("Commands as a client writes them")
struct ClientCommandTests {
    static let table: [(IMAPClientCommand, String)] = [
        (.capability, "t CAPABILITY\r\n"), (.list, "t LIST \"\" \"*\"\r\n"), (.select(mailbox: "INBOX"), "t SELECT \"INBOX\"\r\n"),
        (.examine(mailbox: "a\"\\b"), "t EXAMINE \"a\\\"\\\\b\"\r\n"),
        (.select(mailbox: "é\r\nx LOGOUT"), "t SELECT \"&AOkADQAK-x LOGOUT\"\r\n"), (.status(mailbox: "A", ["UNSEEN"]), "t STATUS \"A\" (UNSEEN)\r\n"),
        (.fetch(1...5, items: "UID FLAGS"), "t FETCH 1:5 (UID FLAGS)\r\n"), (.uidFetch([3, 9], items: "BODY.PEEK[]"), "t UID FETCH 3,9 (BODY.PEEK[])\r\n"),
        (.uidStore([1], adding: true, flags: ["\\Seen"]), "t UID STORE 1 +FLAGS.SILENT (\\Seen)\r\n"),
        (.uidStore([1], adding: false, flags: ["\\Seen"]), "t UID STORE 1 -FLAGS.SILENT (\\Seen)\r\n"),
        (.uidMove([1], to: "Trash"), "t UID MOVE 1 \"Trash\"\r\n"), (.uidExpunge([1, 2]), "t UID EXPUNGE 1,2\r\n"),
        (.uidSearchText("é\r\n"), "t UID SEARCH CHARSET UTF-8 TEXT {4}\r\n|é\r\n|\r\n"),
        (.append(mailbox: "Sent", flags: ["\\Seen"], message: ByteBuffer(string: "ab")), "t APPEND \"Sent\" (\\Seen) {2}\r\n|ab|\r\n"),
        (.logout, "t LOGOUT\r\n"),
    ]

    @Test("Nothing that somebody typed becomes a command of its own", arguments: table.indices)
    func commands(_ index: Int) {
        let (command, expected) = Self.table[index]
        let text = command.pieces(tag: "t").map { piece in
            switch piece {
            case .text(let text): text
            case .literal(let octets): String(buffer: octets)
            }
        }
        #expect(text.joined(separator: "|") == expected)
    }
}
