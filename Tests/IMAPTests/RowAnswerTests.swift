import FoundationEssentials
import MailMessage
import NIOCore
import Testing

@testable import IMAP

/// What is answered from rows and summaries is what the whole message would answer.
@Suite("Answers without the message")
struct RowAnswerTests {
    static let flags: [Set<String>] = [[], ["\\seen", "$Junk"], ["\\Seen", "\\Draft"], ["a", "B", "\\Flagged"]]

    @Test("SEARCH by rows", arguments: SearchTests.metadata.map(\.0)) func search(key: String) {
        guard case .search(let query, _)? = command("SEARCH \(key)") else {
            Issue.record("not read")
            return
        }
        let context = SearchContext(lastSequenceNumber: 9, lastUID: 90, saved: [42], key: query.key)
        var search = RowSearch([query.key], in: context)
        for round in 0..<2 {
            // The second time the places mean something else.
            let flags = round == 0 ? Self.flags : Self.flags.reversed()
            search.use(flags, generation: round)
            for place in flags.indices {
                for (number, uid, day, size) in [(3, 42, 10, 100), (9, 90, 11, 99), (1, 7, 9, 101)] as [(Int, UInt32, Double, Int)] {
                    let date = Date(timeIntervalSince1970: 86_400 * day + 86_399)
                    let message = IMAPMessage(sequenceNumber: number, uid: uid, flags: flags[place], internalDate: date, size: size, content: nil)
                    #expect(
                        search.matches(number: number, uid: uid, flags: place, internalDate: date, size: size) == message.matches(query.key, in: context),
                        "\(key) \(number) \(flags[place])")
                }
            }
        }
    }

    @Test("FETCH of rows", arguments: ["FAST", "FLAGS", "(UID FLAGS)", "(RFC822.SIZE INTERNALDATE UID FLAGS UID)"]) func rows(items: String) throws {
        guard case .fetch(_, let asked, _)? = command("FETCH 1 \(items)") else {
            Issue.record("not read")
            return
        }
        for includesUID in [false, true] {
            let answered = FetchItem.answered(asked, includesUID: includesUID)
            var writer = try #require(FetchRowWriter(answered))
            var (written, expected) = (ByteBuffer(), ByteBuffer())
            for (generation, flags) in [Self.flags, Self.flags.reversed()].enumerated() {
                writer.use(flags, generation: generation)
                for (place, number) in zip(flags.indices, [1, 9, 10, 1_234_567_890]) {
                    let date = Date(timeIntervalSince1970: Double(number))
                    writer.add(number: number, uid: .max, flags: place, internalDate: date, size: number)
                    IMAPMessage(sequenceNumber: number, uid: .max, flags: flags[place], internalDate: date, size: number, content: nil)
                        .writeFetch(asked, includesUID: includesUID, into: &expected)
                }
                writer.flush(into: &written)
            }
            #expect(written == expected)
        }
        #expect(FetchRowWriter([.uid, .envelope]) == nil)
    }

    static let headers: [String] = [
        SearchTests.letter.joined(separator: "\r\n"),
        "Received: by x\r\n\tfor y\r\nFROM : Tom <tom@gmail.test>, (c) a@b.test\r\nfrom: second@gmail.test\r\nSubject:\r\n\r\nbody",
        "Subject: only\nTo: undisclosed: ;\nDate: Thu, 1 Jan 2026 00:30:00 +0200\n\nbare",
        "From nobody Thu Jan  1\r\nSubject: x\r\n", "Subject: no end", "",
        "X: y\r\n folded\r\nCc: =?utf-8?q?J=C3=BCrgen?= <j@kartapuce.test>\r\n more\r\n\r\n",
        "\r\nSubject: body\r\n", "To: \u{e9}\"a\\\"b\" <x@y.test>\r\nnot a field\r\nSubject: body\r\n\r\n",
        "Message-ID: <1@a.test>\r\nIn-Reply-To: <2@a.test>\r\n\r\n",
    ]

    @Test("summaries answer as the message", arguments: headers) func summaries(text: String) throws {
        let whole = ByteBuffer(string: text)
        let summary = try #require(HeaderSummary.octets(of: whole, isWhole: true))
        for items in ["ENVELOPE", "BODY.PEEK[HEADER.FIELDS (Subject FROM to)]", "BODY.PEEK[HEADER.FIELDS (Date)]<3.9>"] {
            guard case .fetch(_, let asked, _)? = command("FETCH 1 \(items)") else {
                Issue.record("not read")
                return
            }
            #expect(asked.map(\.need) == [.summary])
            #expect(fetch(items, of: summary) == fetch(items, of: whole))
        }
        for (key, _) in SearchTests.texts {
            guard case .search(let query, _)? = command("SEARCH \(key)"), query.key.need == .summary else { continue }
            let date = Date(timeIntervalSince1970: 0)
            let found = [whole, summary].map { octets in
                IMAPMessage(sequenceNumber: 3, uid: 42, flags: [], internalDate: date, size: 9, content: octets)
                    .matches(query.key, in: SearchContext(lastSequenceNumber: 9, lastUID: 90, saved: [], key: query.key))
            }
            #expect(found[0] == found[1], "\(key)")
        }
    }

    @Test("what needs more than a summary") func needs() {
        for (items, need) in [
            ("BODY[HEADER.FIELDS (Subject X)]", .content), ("BODY[HEADER]", .content), ("BODY[1.HEADER.FIELDS (Subject)]", .content),
            ("BODY[HEADER.FIELDS.NOT (Subject)]", .content), ("BODYSTRUCTURE", .content), ("ENVELOPE", .summary), ("FLAGS", .row),
        ] as [(String, MessageNeed)] {
            guard case .fetch(_, let asked, _)? = command("FETCH 1 \(items)") else {
                Issue.record("not read")
                return
            }
            #expect(asked.map(\.need) == [need], "\(items)")
        }
        // Too long for a summary, or its header's end isn't there.
        let long = ByteBuffer(string: "To: \(String(repeating: "a@b.test, ", count: 2000))\r\n\r\n")
        #expect(HeaderSummary.octets(of: long, isWhole: true) == nil)
        #expect(HeaderSummary.octets(of: ByteBuffer(string: "Subject: x\r\nTo: b"), isWhole: false) == nil)
        #expect(HeaderSummary.octets(of: ByteBuffer(string: "Subject: x\r\n\r\n"), isWhole: false) != nil)
    }
}
