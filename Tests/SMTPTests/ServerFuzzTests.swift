import MailMessage
import NIOCore
import Testing

@testable import SMTP

/// Dialogues that were damaged at random, from fixed seeds: whatever comes in and however it is cut, the session says something
/// sensible, says the same for every cut, and keeps no more than its limits allow.
@Suite struct ServerFuzzTests {
    /// SplitMix64: the same numbers on every machine.
    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var word = state
            word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
            return word ^ (word >> 31)
        }
    }

    private static let fragments: [String] = [
        "EHLO x.test\r\n", "HELO x\r\n", "MAIL FROM:<a@x.test>\r\n", "MAIL FROM:<> BODY=BINARYMIME\r\n", "MAIL FROM:<ü@x.test> SMTPUTF8\r\n",
        "RCPT TO:<b@kartapuce.test>\r\n", "RCPT TO:<postmaster> NOTIFY=NEVER ORCPT=rfc822;a+2B\r\n", "DATA\r\n", "\r\n.\r\n", ".\r\n", "..\r\n",
        "\n.\n", "\r.\r", "\r", "\n", "\0", ".", "BDAT 4\r\nabcd", "BDAT 3 LAST\r\nx\r\n", "BDAT 0 LAST\r\n", "BDAT 18446744073709551616\r\n", "RSET\r\n",
        "NOOP\r\n", "VRFY a\r\n", "HELP\r\n", "AUTH PLAIN\r\n", "AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n", "AUTH SCRAM-SHA-256 biwsbj1ib2Iscj14\r\n", "*\r\n",
        "STARTTLS\r\n", "Subject: x\r\n\r\n", "QUIT\r\n", "=\r\n", "<", ">", "@", "[", "\"", "\\", ";", "+", "\u{fe}\u{ff}",
    ]

    private static func input(_ generator: inout Generator) -> [UInt8] {
        var octets = Bool.random(using: &generator) ? Array("EHLO x.test\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\n".utf8) : []
        for _ in 0..<Int.random(in: 1...25, using: &generator) {
            octets += Array((fragments.randomElement(using: &generator) ?? "").utf8)
            if Int.random(in: 0..<12, using: &generator) == 0 {
                octets += [UInt8](repeating: .random(in: 0...255, using: &generator), count: .random(in: 0...9_000, using: &generator))
            }
        }
        for _ in 0..<Int.random(in: 0...6, using: &generator) {
            let index = Int.random(in: 0..<octets.count, using: &generator)
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: octets[index] = .random(in: 0...255, using: &generator)
            case 1: octets.insert(.random(in: 0...255, using: &generator), at: index)
            default: if octets.count > 1 { octets.remove(at: index) }
            }
        }
        return octets
    }

    private static func dialogue(tolerant: Bool, authentication: Bool) -> ServerDialogue {
        var configuration = SMTPServerConfiguration(
            hostname: "mail.kartapuce.test", authentication: authentication ? .offered : .none, security: .startTLS)
        configuration.limits.messageSize = 5_000
        configuration.limits.textLineLength = 2_000
        return ServerDialogue(configuration, allowsBareLineFeeds: tolerant)
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func anyOctetsInAnyCut(seed: UInt64) async {
        var generator = Generator(state: seed)
        for round in 0..<150 {
            // The tests of the server run on the same few threads.
            await Task.yield()
            let octets = Self.input(&generator)
            let tolerant = Bool.random(using: &generator)
            let authentication = Bool.random(using: &generator)
            // A STARTTLS at the end of a piece is no injection, and one with more behind it is: the only answer that depends on cuts.
            let cutsMatter = String(decoding: octets, as: UTF8.self).uppercased().contains("STARTTLS")
            var whole = Self.dialogue(tolerant: tolerant, authentication: authentication)
            let expected = whole.send(octets)
            var cut = Self.dialogue(tolerant: tolerant, authentication: authentication)
            var replies: [String] = []
            var most = 0
            var rest = octets[...]
            while !rest.isEmpty {
                let piece = rest.prefix(.random(in: 1...600, using: &generator))
                rest = rest.dropFirst(piece.count)
                replies += cut.send(Array(piece))
                most = max(most, cut.session.octetsHeld)
            }
            #expect(most <= 4 * (12_288 + 600), "seed \(seed), round \(round)")
            let areReplies = replies.allSatisfy { $0.utf8.count <= 510 && $0.utf8.prefix(3).allSatisfy { (0x30...0x39).contains($0) } }
            #expect(areReplies, "seed \(seed), round \(round)")
            if !cutsMatter {
                #expect(replies == expected, "seed \(seed), round \(round)")
                #expect(cut.messages.map(\.content) == whole.messages.map(\.content), "seed \(seed), round \(round)")
            }
            if !tolerant {
                // BINARYMIME may hold anything; all other text has whole line ends only.
                for message in whole.messages where message.envelope.bodyType != .binaryMIME {
                    #expect(Self.hasWholeLineEnds(message.content), "seed \(seed), round \(round)")
                }
            }
            cut.session.connectionLost()
            cut.run()
            #expect(cut.closed != nil)
        }
    }

    private static func hasWholeLineEnds(_ text: String) -> Bool {
        var previous: UInt8 = 0
        for octet in text.utf8 {
            if (octet == 10) != (previous == 13) { return false }
            previous = octet
        }
        return previous != 13
    }
}
