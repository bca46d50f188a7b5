import FoundationEssentials
import NIOCore
import Testing

@testable import IMAP

@Suite("The decoder of IMAP commands")
struct CommandDecoderTests {
    static let streams: [String] = [
        "a NOOP\r\nb LOGIN {3}\r\nbob {6}\r\nabc{3}\r\nc CHECK\r\n",
        "a LOGIN {3+}\r\nb{b \"x\"\r\n\r\nb NOOP\n",
        "a APPEND {5}\r\nINBOX (\\Seen $Kept) \" 1-Jul-2026 02:44:25 -0700\" {10+}\r\nFrom: \r\n\r\n\r\nb NOOP\r\n",
        "a APPEND INBOX UTF8 (~{4}\r\n\0\r\n\0)\r\nb NOOP\r\n",
        "a APPEND INBOX {2}\r\nabTAIL\r\nb NOOP\r\n",
        "a SELECT {9000}\r\nb NOOP\r\n",
        "a SEARCH SUBJECT {99999999999+}\r\nb NOOP\r\n",
        "a SEARCH TEXT {2}\r\n\r\n FROM {2}\r\n{}\r\n",
    ]

    @Test("gives the same events however the octets are cut", arguments: streams, [AppendAnswer.accept, .refuse])
    func splits(stream: String, answer: AppendAnswer) {
        let octets = Array(stream.utf8)
        let whole = events(octets, append: answer)
        #expect(!whole.isEmpty)
        for first in 1..<octets.count {
            #expect(events(octets, pieces: [first], append: answer) == whole, "cut at \(first)")
        }
        #expect(events(octets, pieces: [Int](repeating: 1, count: octets.count), append: answer) == whole)
    }

    @Test("asks for synchronising literals only") func continuations() {
        #expect(
            events("a LOGIN {3}\r\nbob {1+}\r\nx\r\n") == [.continuationWanted, .command(tag: "a", .login(user: "bob", password: "x"))])
    }

    @Test("takes octets of a literal for what they are, whatever they look like") func literalLooksLikeHeader() {
        #expect(
            events("a LOGIN bob {6+}\r\nabc{3}\r\nb NOOP\r\n") == [
                .command(tag: "a", .login(user: "bob", password: "abc{3}")), .command(tag: "b", .noop),
            ])
    }

    @Test("obeys the limit of LITERAL- (RFC 7888 §5)") func literalMinus() {
        let octets = String(repeating: "x", count: 4096)
        #expect(
            events("a LOGIN bob {4096+}\r\n\(octets)\r\n") == [.command(tag: "a", .login(user: "bob", password: octets))])
        let tooLong = events("a LOGIN bob {4097+}\r\n\(octets)x\r\nb NOOP\r\n")
        #expect(tooLong.count == 1)
        guard case .fatal(let error)? = tooLong.first else {
            Issue.record("\(tooLong)")
            return
        }
        #expect(error.code == .tooLarge && error.offset == 12)
        #expect(events("a LOGIN bob {4097}\r\n\(octets)x\r\n").count == 2)
    }

    @Test("limits synchronising literals, their number, and commands") func limits() {
        var limits = IMAPLimits()
        limits.literalLength = 10
        limits.literalCount = 2
        limits.commandLength = 60
        guard case .bad("a", let long)? = events("a LOGIN {11}\r\n", limits: limits).first else {
            Issue.record("a long literal was taken")
            return
        }
        #expect(long.code == .tooLarge && long.offset == 8)
        let many = events("a SEARCH TEXT {1}\r\nx TEXT {1}\r\nx TEXT {1}\r\nb NOOP\r\n", limits: limits)
        #expect(many.count == 4 && many.last == .command(tag: "b", .noop))
        let line = "a SEARCH " + String(repeating: "ALL ", count: 100) + "ALL"
        let tooLong = IMAPParseError(.tooLarge, at: 60, "a shorter command expected")
        for (end, expected) in [
            ("\r\nb NOOP\r\n", [.bad(tag: "a", tooLong), .command(tag: "b", .noop)]),
            (" {5}\r\nb NOOP\r\n", [.bad(tag: "a", tooLong), .command(tag: "b", .noop)]),
            (" {5+}\r\nb NOOP\r\n", [.fatal(tooLong)]),
        ] as [(String, [IMAPCommandDecoder.Event])] {
            let octets = Array((line + end).utf8)
            #expect(events(octets, limits: limits) == expected)
            for piece in 1...70 {
                #expect(events(octets, pieces: [Int](repeating: piece, count: octets.count), limits: limits) == expected, "pieces of \(piece)")
            }
        }
    }

    @Test("a line of exactly the limit is a command, however it is cut") func exactLimit() {
        var limits = IMAPLimits()
        limits.commandLength = 10
        for (line, isCommand) in [("abcde NOOP", true), ("abcdef NOOP", false), ("abcdefg NOOP", false)] {
            let octets = Array((line + "\r\n").utf8)
            for first in 1..<octets.count {
                var found = false
                if case .command? = events(octets, pieces: [first], limits: limits).first { found = true }
                #expect(found == isCommand, "\(line) cut at \(first)")
            }
        }
    }

    static func request(_ length: Int, waits: Bool) -> AppendRequest {
        AppendRequest(
            tag: "a", mailbox: "INBOX", flags: [], internalDate: nil, length: length, isSynchronising: waits, hasClosingParenthesis: false)
    }

    @Test("APPEND: the message comes after it is accepted") func acceptAppend() {
        #expect(
            events("a APPEND INBOX {4}\r\na\r\n\0\r\nb NOOP\r\n") == [
                .append(Self.request(4, waits: true)), .appendOctets(ByteBuffer(string: "a\r\n\0")), .appendEnded, .command(tag: "b", .noop),
            ])
    }

    @Test("APPEND: nothing comes before the decision") func undecidedAppend() {
        var decoder = IMAPCommandDecoder()
        decoder.append(ByteBuffer(string: "a APPEND INBOX {4+}\r\nabcd\r\nb NOOP\r\n"))
        #expect(decoder.next() == .append(Self.request(4, waits: false)))
        #expect(decoder.next() == nil)
        #expect(decoder.pendingOctets == 14)
        decoder.acceptAppend()
        #expect(decoder.next() == .appendOctets(ByteBuffer(string: "abcd")))
    }

    @Test("APPEND: a client that waits sends nothing when refused, one that doesn't is heard out") func refuseAppend() {
        #expect(events("a APPEND INBOX {4}\r\nb NOOP\r\n", append: .refuse) == [.append(Self.request(4, waits: true)), .command(tag: "b", .noop)])
        #expect(
            events("a APPEND INBOX {4+}\r\nx y\n\r\nb NOOP\r\n", append: .refuse) == [.append(Self.request(4, waits: false)), .command(tag: "b", .noop)])
    }

    @Test("APPEND: flags, date and UTF8") func appendArguments() {
        let date = IMAPDate.parseMoment("17-Jul-1996 02:44:25 -0700")
        #expect(date?.timeIntervalSince1970 == 837_596_665)
        let expected = AppendRequest(
            tag: "a", mailbox: "日本語", flags: ["\\Seen"], internalDate: date, length: 1, isSynchronising: true, hasClosingParenthesis: true)
        let found = events("a APPEND &ZeVnLIqe- (\\Seen) \"17-Jul-1996 02:44:25 -0700\" UTF8 (~{1}\r\nx)\r\n")
        #expect(found == [.append(expected), .appendOctets(ByteBuffer(string: "x")), .appendEnded])
    }

    @Test("APPEND: wrong arguments end the connection only where octets follow unasked") func badAppend() {
        guard case .bad("a", let waiting)? = events("a APPEND INBOX (x {4}\r\n").first,
            case .fatal(let unasked)? = events("a APPEND INBOX (x {4+}\r\n").first
        else {
            Issue.record("no error")
            return
        }
        #expect(waiting == unasked && waiting.offset == 18)
        guard case .fatal? = events("a APPEND INBOX {4097+}\r\n").first, case .fatal? = events("a APPEND INBOX {1}\r\nx {1+}\r\ny").last else {
            Issue.record("octets would be taken for commands")
            return
        }
    }

    @Test("lines outside of commands") func lines() {
        var decoder = IMAPCommandDecoder()
        decoder.append(ByteBuffer(string: "DONE\r\n*\nrest"))
        #expect(decoder.nextLine() == Array("DONE".utf8))
        #expect(decoder.nextLine() == Array("*".utf8))
        #expect(decoder.nextLine() == nil)
        var limits = IMAPLimits()
        limits.commandLength = 10
        decoder = IMAPCommandDecoder(limits: limits)
        decoder.append(ByteBuffer(string: "0123456789\r\n0123456789x\r\n"))
        #expect(decoder.nextLine() == Array("0123456789".utf8))
        #expect(decoder.nextLine() == Array("*".utf8))
    }
}

/// Commands with mistakes, from a generator with a fixed beginning.
@Suite("The decoder of IMAP commands under mutation")
struct CommandDecoderMutationTests {
    /// SplitMix64.
    struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            return mixed ^ (mixed >> 31)
        }
    }

    static let words: [[UInt8]] = [
        "{", "}", "{3}\r\n", "{2+}\r\n", "~{1}\r\n", "(", ")", "\"", "\\", "\r\n", "\n", "\0", "*", "$", "&", "&-", "BODY[", "]<0.1>", ",", ":", " ",
        "4294967295", "99999999999999999999", "APPEND ", "\u{e9}", "NOT ",
    ].map { Array($0.utf8) }

    @Test("gives the same events however mutated octets are cut", arguments: 0..<16 as Range<UInt64>) func mutations(seed: UInt64) {
        var generator = Generator(state: seed)
        var limits = IMAPLimits()
        limits.commandLength = 200
        let seeds =
            CommandDecoderTests.streams + CommandGrammarTests.simple.map { "a \($0.0)\r\n" } + CommandGrammarTests.fetches.map { "a FETCH 1 \($0.0)\r\n" }
            + CommandGrammarTests.searches.map { "a SEARCH \($0.0)\r\n" }
        for _ in 0..<40 {
            var octets: [UInt8] = []
            for _ in 0..<Int.random(in: 1...3, using: &generator) { octets += Array((seeds.randomElement(using: &generator) ?? "").utf8) }
            for _ in 0..<Int.random(in: 0...6, using: &generator) {
                let place = Int.random(in: 0..<octets.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: octets[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: octets.insert(contentsOf: Self.words.randomElement(using: &generator) ?? [], at: place)
                case 2 where octets.count > 1: octets.remove(at: place)
                default: octets.insert(contentsOf: octets[place...].prefix(Int.random(in: 0...80, using: &generator)), at: 0)
                }
            }
            let answer: AppendAnswer = Bool.random(using: &generator) ? .accept : .refuse
            let whole = events(octets, append: answer, limits: limits)
            let pieces = octets.map { _ in Int.random(in: 1...9, using: &generator) }
            #expect(events(octets, pieces: pieces, append: answer, limits: limits) == whole, "seed \(seed): \(String(decoding: octets, as: UTF8.self))")
            for event in whole {
                if case .bad(_, let error) = event { #expect(error.offset <= octets.count + 64) }
                if case .fatal = event { #expect(event == whole.last) }
            }
        }
    }

    @Test("What was read takes no memory, even where no piece ends with a line")
    func memory() {
        var decoder = IMAPCommandDecoder()
        decoder.append(ByteBuffer(string: "a NO"))
        for _ in 0..<20_000 {
            decoder.append(ByteBuffer(string: "OP\r\na NO"))
            #expect(decoder.next() != nil)
        }
        #expect(decoder.octetsHeld < 64 * 1024)
    }
}
