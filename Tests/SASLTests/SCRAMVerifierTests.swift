import Testing

@testable import SASL

@Suite struct SCRAMVerifierTests {
    @Test func textFormRoundTrip() throws {
        let verifier = try SCRAMVerifier(password: "pencil", salt: Array(0..<16), iterations: 4096)
        let text = verifier.encoded
        #expect(text.hasPrefix("SCRAM-SHA-256$4096:AAECAwQFBgcICQoLDA0ODw==$"))
        #expect(SCRAMVerifier(text) == verifier)
        #expect(verifier.verify(password: "pencil") && !verifier.verify(password: "pen") && !verifier.verify(password: ""))
        #expect(verifier.storedKey.count == 32 && verifier.serverKey.count == 32 && verifier.storedKey != verifier.serverKey)
    }

    @Test func otherTextIsRefused() throws {
        let key = Base64.encode(Array(repeating: 1, count: 32))
        let good = "SCRAM-SHA-256$4096:AAAA$\(key):\(key)"
        #expect(SCRAMVerifier(good) != nil)
        for text in [
            "", "SCRAM-SHA-256", "SCRAM-SHA-1$4096:AAAA$\(key):\(key)", "SCRAM-SHA-256$4096:AAAA$\(key)", "SCRAM-SHA-256$4096$\(key):\(key)",
            "SCRAM-SHA-256$0:AAAA$\(key):\(key)", "SCRAM-SHA-256$-1:AAAA$\(key):\(key)", "SCRAM-SHA-256$+4096:AAAA$\(key):\(key)",
            "SCRAM-SHA-256$10000001:AAAA$\(key):\(key)", "SCRAM-SHA-256$4096:$\(key):\(key)", "SCRAM-SHA-256$4096:AAA$\(key):\(key)",
            "SCRAM-SHA-256$4096:AAAA$AAAA:\(key)", "SCRAM-SHA-256$4096:AAAA$\(key):AAAA", good + "$", good + ":", good + "\n", " " + good,
        ] { #expect(SCRAMVerifier(text) == nil, "\(text)") }
    }

    @Test func whatCannotBeVerified() {
        #expect(throws: SASLError.self) { try SCRAMVerifier(password: "pencil", salt: []) }
        for iterations in [0, -1, 10_000_001] {
            #expect(throws: SASLError.self) { try SCRAMVerifier(password: "pencil", salt: [1], iterations: iterations) }
        }
        #expect(throws: SASLError.self) { try SCRAMVerifier(password: "pen\u{7}cil", salt: [1], iterations: 4096) }
        #expect(throws: SASLError.self) { try SCRAMVerifier(password: String(repeating: "x", count: 1025), salt: [1], iterations: 4096) }
    }

    // MARK: - SASLprep (RFC 4013)

    @Test(arguments: [
        // RFC 4013 §3, as far as no compatibility form is concerned.
        ("I\u{AD}X", "IX"), ("user", "user"), ("USER", "USER"),
        // §2.1: other spaces become a space, others vanish.
        ("a\u{A0}b", "a b"), ("a\u{3000}b", "a b"), ("a\u{2009}b", "a b"), ("a\u{202F}b", "a b"), ("a\u{1680}b", "a b"), ("\u{FEFF}a\u{200D}b\u{FE0F}", "ab"),
        ("a\u{200B}b", "ab"), ("a\u{2060}b", "ab"), ("", ""), (" a ", " a "), ("gr\u{FC}n", "gr\u{FC}n"), ("\u{1F511}", "\u{1F511}"),
    ])
    func mapped(_ text: String, _ expected: String) throws {
        // Compared as scalars: to String, two that are canonically equivalent are equal.
        #expect(Array(try SCRAM.prepare(text).unicodeScalars) == Array(expected.unicodeScalars))
    }

    @Test(
        arguments: [
            0x00, 0x07, 0x0A, 0x1F, 0x7F, 0x80, 0x9F, 0x340, 0x341, 0x6DD, 0x70F, 0x180E, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202E, 0x2061, 0x2063,
            0x206A, 0x206F, 0x2FF0, 0x2FFB, 0xE000, 0xF8FF, 0xFDD0, 0xFDEF, 0xFFF9, 0xFFFD, 0xFFFE, 0xFFFF, 0x1D173, 0x1D17A, 0x1FFFE, 0xE0001, 0xE0020,
            0xE007F, 0xF0000, 0xFFFFF, 0x100000, 0x10FFFF,
        ] as [UInt32])
    func prohibited(_ value: UInt32) throws {
        let scalar = try #require(Unicode.Scalar(value))
        let error = #expect(throws: SASLError.self) { try SCRAM.prepare("a\(scalar)b") }
        #expect(error?.code == .malformed)
    }

    /// The limit that the documentation tells of: two ways to write the same text are two texts.
    @Test func noCompositionIsDone() throws {
        #expect(Array(try SCRAM.prepare("e\u{301}").unicodeScalars) != Array(try SCRAM.prepare("\u{E9}").unicodeScalars))
        #expect(try SCRAM.prepare("\u{2168}") == "\u{2168}")
    }
}
