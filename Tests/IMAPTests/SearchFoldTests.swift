import Testing

@testable import IMAP

/// Texts without the case of letters.
@Suite struct SearchFoldTests {
    @Test func everyScalarIsFoldedAsAWholeTextIs() {
        for value in UInt32(0)...0x1FFFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let text = "a" + String(Character(scalar)) + "Z"
            #expect(FoldedText(text).octets == Array(text.uppercased().lowercased().utf8), "U+\(String(value, radix: 16))")
        }
    }

    @Test(
        arguments: [
            ("Straße", "STRASSE", true), ("ΣΊΣΥΦΟΣ", "σίσυφος", true), ("aaab", "aab", true), ("Привет, МИР", "мир", true), ("x", "", true),
            ("abc", "abd", false), ("Ünder", "UNDER", false), ("日本語", "本", true),
        ] as [(String, String, Bool)]
    )
    func patternsOccur(text: String, pattern: String, isThere: Bool) { #expect(TextPattern(pattern).occurs(in: FoldedText(text)) == isThere) }
}
