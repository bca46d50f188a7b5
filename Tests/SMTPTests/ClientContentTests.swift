import FoundationEssentials
import MailTesting
import NIOCore
import Testing

@testable import SMTP

@Suite("Content as the client sends it")
struct ClientContentTests {
    static let profiles: [(String, bareLineEnd: Bool, hiddenDot: Bool, endsWithLineEnd: Bool)] = [
        ("", false, false, true), ("a\r\n", false, false, true), ("a", false, false, false), ("a\r\nb", false, false, false),
        ("a\n", true, false, true), ("a\rb\r\n", true, false, true), ("a\r", true, false, false), ("a\r\r\n", true, false, true),
        ("\n", true, false, true), ("a\u{0}.b\r\n", false, false, true), ("\u{0}.\r\n", false, true, true),
        ("a\r\n\u{0}\u{0}.\r\n", false, true, true), (".\r\n", false, false, true),
    ]

    @Test("is known after one pass, however it is cut", arguments: profiles)
    func profile(_ text: String, bareLineEnd: Bool, hiddenDot: Bool, endsWithLineEnd: Bool) {
        let bytes = Array(text.utf8)
        for split in 0...bytes.count {
            var profile = SMTPContentProfile()
            profile.consume(ByteBuffer(bytes: bytes[..<split]))
            profile.consume(ByteBuffer(bytes: bytes[split...]))
            profile.finish()
            #expect(profile.hasBareLineEnd == bareLineEnd, "split at \(split)")
            #expect(profile.hasHiddenDot == hiddenDot, "split at \(split)")
            if !bareLineEnd { #expect(profile.endsWithLineEnd == endsWithLineEnd, "split at \(split)") }
            #expect(profile.byteCount == bytes.count)
        }
    }

    @Test("8-bit octets in header and body are told apart")
    func eightBit() {
        func profile(_ text: String) -> SMTPContentProfile { SMTPContentProfile(ByteBuffer(string: text)) }
        #expect(!profile("Subject: a\r\n\r\nb\r\n").hasEightBit)
        #expect(profile("Subject: a\r\n\r\nä\r\n").hasEightBit)
        #expect(!profile("Subject: a\r\n\r\nä\r\n").hasEightBitHeader)
        #expect(profile("Subject: ä\r\n\r\nb\r\n").hasEightBitHeader)
        #expect(profile("Subject: ä").hasEightBitHeader)
    }

    /// The rules, octet by octet, as the comments of ``SMTPContentProfile`` say them.
    private struct Plain: Equatable {
        var hasEightBit = false
        var hasEightBitHeader = false
        var hasBareLineEnd = false
        var hasHiddenDot = false

        init(_ octets: [UInt8]) {
            var line: [UInt8] = []
            var inHeader = true
            for (place, octet) in octets.enumerated() {
                if octet >= 0x80 {
                    hasEightBit = true
                    if inHeader { hasEightBitHeader = true }
                }
                if octet == 0x0D, place + 1 == octets.count || octets[place + 1] != 0x0A { hasBareLineEnd = true }
                if octet == 0x0A {
                    if place == 0 || octets[place - 1] != 0x0D { hasBareLineEnd = true }
                    if line.allSatisfy({ $0 == 0x0D }), line.count <= 1 { inHeader = false }
                    line = []
                } else {
                    if octet == UInt8(ascii: "."), !line.isEmpty, line.allSatisfy({ $0 == 0 }) { hasHiddenDot = true }
                    line.append(octet)
                }
            }
        }
    }

    @Test("is what the rules say, for random octets in random pieces")
    func profileOfAnything() {
        var generator = SeededGenerator(state: 20_261_128)
        let alphabet: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x2E, 0x00, 0x61, 0x62, 0x63, 0xC3]
        for round in 0..<5000 {
            let octets = (0..<Int.random(in: 0...24, using: &generator)).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }
            var profile = SMTPContentProfile()
            var rest = octets[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...rest.count, using: &generator))
                profile.consume(ByteBuffer(bytes: piece))
                rest = rest.dropFirst(piece.count)
            }
            profile.finish()
            let plain = Plain(octets)
            // Where a CR stands alone the text is refused, and nobody asks for the rest.
            guard !plain.hasBareLineEnd else {
                #expect(profile.hasBareLineEnd, "round \(round): \(octets)")
                continue
            }
            #expect(
                [profile.hasEightBit, profile.hasEightBitHeader, profile.hasBareLineEnd, profile.hasHiddenDot]
                    == [plain.hasEightBit, plain.hasEightBitHeader, plain.hasBareLineEnd, plain.hasHiddenDot], "round \(round): \(octets)")
        }
    }

    static let stuffed: [(String, String)] = [
        ("a\r\n", "a\r\n.\r\n"), ("", ".\r\n"), ("a", "a\r\n.\r\n"), (".\r\n", "..\r\n.\r\n"), ("a.\r\n.b\r\n..\r\n", "a.\r\n..b\r\n...\r\n.\r\n"),
        ("a\r\n.", "a\r\n..\r\n.\r\n"), ("a\r\n.\r\nMAIL FROM:<x>\r\n", "a\r\n..\r\nMAIL FROM:<x>\r\n.\r\n"),
    ]

    @Test("has its dots doubled and ends in one way, for every size of pieces", arguments: stuffed)
    func stuffing(_ text: String, _ expected: String) {
        for piece in 1...max(1, text.utf8.count) {
            var dialogue = ClientDialogue.ready { $0.chunkOctets = piece }
            _ = dialogue.start(to: ["tom@gmail.test"], content: text)
            for reply in ["250 ok", "250 ok"] { _ = dialogue.server(reply) }
            dialogue.wire.clear()
            _ = dialogue.server("354 go")
            #expect(String(buffer: dialogue.wire) == expected, "pieces of \(piece)")
        }
    }

    /// What must never leave (the outbound forms of the smuggling suite).
    static let smuggling = [
        "\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r.\r\n", "\r\n.\r\r\n", "\r\r\n.\r\r\n", "\r\n\u{0}.\r\n",
    ]

    @Test("with an ambiguous end is refused before anything of it is sent", arguments: smuggling, [[], ["CHUNKING"]])
    func refusesAmbiguity(_ form: String, _ extensions: [String]) {
        var dialogue = ClientDialogue.ready(extensions)
        let text = "Subject: x\r\n\r\na\(form)MAIL FROM:<attacker@evil.test>\r\n"
        #expect(dialogue.start(to: ["tom@gmail.test"], content: text) == ["(finished)"])
        #expect(dialogue.answers == ["local 554 5.6.0"])
        #expect(dialogue.wire.readableBytes == 0)
        #expect(dialogue.results.last?.connectionIsUsable == true)
    }

    @Test("that changed after it was examined is not sent either", arguments: smuggling, [3, 64])
    func refusesLateAmbiguity(_ form: String, _ piece: Int) {
        for extensions in [[], ["CHUNKING"]] { refusesLate(form, piece, extensions) }
    }

    private func refusesLate(_ form: String, _ piece: Int, _ extensions: [String]) {
        var dialogue = ClientDialogue.ready(extensions) { $0.chunkOctets = piece }
        let evil = "abc\(form)abc\r\n"
        let innocent = String(repeating: "x", count: evil.utf8.count - 2) + "\r\n"
        _ = dialogue.start(to: ["tom@gmail.test"], content: innocent)
        dialogue.content = ByteBuffer(string: evil)
        let replies = ["250 ok", "250 ok"] + (extensions.isEmpty ? ["354 go"] : Array(repeating: "250 ok", count: 8))
        for reply in replies { _ = dialogue.server(reply) }
        #expect(dialogue.answers == ["local 554 5.6.0"])
        #expect(!String(buffer: dialogue.wire).contains(form))
        #expect(!String(buffer: dialogue.wire).contains("\r\n.\r\n"))
    }

    @Test(
        "holds none of the outbound forms of the suite",
        .enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil))
    func suite() throws {
        struct Forms: Decodable { let outbound_must_not_emit: [String] }
        let folder = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        let data = try Data(contentsOf: URL(filePath: "\(folder)/smtp/smuggling/eod-sequences.json"))
        let forms = try JSONDecoder().decode(Forms.self, from: data).outbound_must_not_emit
        #expect(!forms.isEmpty)
        for form in forms {
            for extensions in [[], ["CHUNKING"]] {
                var dialogue = ClientDialogue.ready(extensions)
                _ = dialogue.start(to: ["tom@gmail.test"], content: "a\(form)b\r\n")
                #expect(dialogue.answers == ["local 554 5.6.0"], "\(form.debugDescription)")
                #expect(dialogue.wire.readableBytes == 0)
            }
        }
    }
}
