import Testing

@testable import ACME

@Suite("JSON, strict and limited (RFC 8259)")
struct JSONTests {
    @Test(
        "values",
        arguments: [
            ("{}", "{}"), (" [ 1 , -0.5e+3 , true , false , null ] ", "[1,-0.5e+3,true,false,null]"),
            ("{\"b\":1,\"a\":{\"c\":[]}}", "{\"a\":{\"c\":[]},\"b\":1}"),
            ("\"\\u00e4\\n\\/\\ud83d\\ude00\"", "\"ä\\u000a/😀\""), ("\"\\\"\\\\\"", "\"\\\"\\\\\""), ("0", "0"),
        ])
    func values(_ text: String, _ written: String) throws {
        #expect(try JSONReader.value(Array(text.utf8)).text == written)
    }

    @Test(
        "what is no JSON",
        arguments: [
            "", " ", "{", "[1,]", "{\"a\":1,}", "{\"a\":1,\"a\":2}", "{a:1}", "'a'", "01", "1.", "-", "+1", "1e", "tru", "nul", "\"a", "\"\\x\"", "\"\\u12g4\"",
            "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\u{1}\"", "1 2", "[1 2]", "{\"a\" 1}", "\u{FEFF}{}", "// a\n1", "NaN", "\"\\u12",
        ])
    func refusals(_ text: String) {
        #expect { try JSONReader.value(Array(text.utf8)) } throws: { ($0 as? ACMEError)?.code == .protocolViolation }
    }

    @Test("invalid UTF-8 is no text")
    func encoding() {
        #expect(throws: ACMEError.self) { try JSONReader.value([0x22, 0xC0, 0xAF, 0x22]) }
        #expect(throws: ACMEError.self) { try JSONReader.value([0x22, 0xED, 0xA0, 0x80, 0x22]) }
    }

    @Test("depth, number and length have limits")
    func limits() throws {
        func nested(_ depth: Int) -> [UInt8] { Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8) }
        _ = try JSONReader.value(nested(17))
        for octets in [nested(18), nested(100_000), Array(("[" + String(repeating: "1,", count: 20_000) + "1]").utf8)] {
            #expect { try JSONReader.value(octets) } throws: { ($0 as? ACMEError)?.code == .limitExceeded }
        }
        #expect(throws: ACMEError.self) { try JSONReader.value(Array(String(repeating: "1", count: 65).utf8)) }
    }

    @Test("base64url has no padding, no other alphabet and no spare bits (RFC 8555 §6.1)")
    func base64URL() {
        #expect(Base64URL.encode([0xFB, 0xFF]) == "-_8")
        #expect(Base64URL.decode("-_8") == [0xFB, 0xFF])
        #expect(Base64URL.decode("") == [])
        for text in ["-_8=", "+/8", "-_9", "a", "-_8\n", "-_ 8"] { #expect(Base64URL.decode(text) == nil) }
    }
}
