import DNS
import Testing

@testable import MailAuthentication

/// Terms in the form that nearly all have are read as by the reader of all forms, which those in upper case go to.
struct SPFPlainDirectiveTests {
    private static func outcome(_ term: String) -> Result<[SPFRecord.Directive], SPFRecordError> {
        do throws(SPFRecordError) { return .success(try SPFRecord(parsing: "v=spf1 \(term)").directives) } catch { return .failure(error) }
    }

    private static func check(_ qualifier: String, _ name: String, _ rest: String) {
        let (fast, full) = (outcome(qualifier + name + rest), outcome(qualifier + name.uppercased() + rest))
        #expect(SPFRecordParser.plainDirective(qualifier + name.uppercased() + rest) == nil)
        switch (fast, full) {
        case (.success(let fast), .success(let full)):
            #expect(fast.map(\.mechanism) == full.map(\.mechanism) && fast.map(\.qualifier) == full.map(\.qualifier), "\(qualifier)\(name)\(rest)")
            #expect(fast.first?.text == qualifier + name + rest)
        case (.failure(let fast), .failure(let full)):
            // An unknown mechanism is shown as it is written.
            if case .unknownMechanism = full.problem { #expect(fast.offset == full.offset) } else { #expect(fast == full, "\(qualifier)\(name)\(rest)") }
        default: Issue.record("\(qualifier)\(name)\(rest): \(fast), \(full)")
        }
    }

    @Test func networksAtRandom() {
        let pieces = [
            "0", "1", "9", "10", "25", "32", "33", "99", "127", "255", "256", "999", "1000", "00", "01", ".", ".", ".", ".", "/", "/24", "//", ":", "a", "%",
            "-",
        ]
        var generator = DKIMSeededGenerator(seed: 21)
        var plain = 0
        for round in 0..<20_000 {
            let numbers = (0..<4).map { _ in String(Int.random(in: 0...260, using: &generator)) }.joined(separator: ".")
            let tail = (0..<Int.random(in: 0...3, using: &generator)).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
            let rest =
                round % 2 == 0
                ? numbers + tail : (0..<Int.random(in: 0...9, using: &generator)).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
            let qualifier = ["", "+", "-", "~", "?", "!", "--"].randomElement(using: &generator) ?? ""
            Self.check(qualifier, "ip4", ":" + rest)
            if SPFRecordParser.plainDirective("\(qualifier)ip4:\(rest)") != nil { plain += 1 }
        }
        #expect(plain > 1000, "\(plain)")
    }

    @Test(arguments: ["", "+", "-", "~", "?", "!"], ["", ":", "/", ":x.test", "l", "%"])
    func allAndWhatIsNot(_ qualifier: String, _ rest: String) { Self.check(qualifier, "all", rest) }

    @Test func nothingIsNoDirective() {
        for text in ["", "+", "-", "i", "ip4", "ip4:", "+ip4:", "ip4:/", "al", "all=", "-all=x"] { #expect(SPFRecordParser.plainDirective(text) == nil) }
    }

    /// A text without macros is one literal; what can't stand in it is told with its place.
    @Test func textsWithoutMacros() throws {
        for octet in UInt8(0x01)..<0x80 where octet != UInt8(ascii: "%") {
            let text = "a\(UnicodeScalar(octet))b.test"
            if (0x21...0x7E).contains(octet) {
                let string = try SPFMacroString(parsing: text)
                #expect(string.parts == [.literal(text)] && string.text == text)
            } else {
                #expect(throws: SPFRecordError(.invalidCharacter, at: 8)) { try SPFMacroString(parsing: text, offset: 7) }
                if octet != 0x20 { #expect(throws: SPFRecordError(.invalidCharacter, at: 1)) { try SPFMacroString(parsing: text, isExplanation: true) } }
            }
        }
        #expect(try SPFMacroString(parsing: "").parts.isEmpty)
    }
}
