import Testing

@testable import SASL

@Suite struct Base64Tests {
    /// RFC 4648 §10
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func vectors(_ plain: String, _ encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.decode(encoded) == Array(plain.utf8))
    }

    @Test func everyOctetSurvives() {
        for length in 0..<10 {
            for octet in UInt8.min...UInt8.max {
                let octets = (0..<length).map { UInt8(truncatingIfNeeded: $0) ^ octet }
                #expect(Base64.decode(Base64.encode(octets)) == octets)
            }
        }
    }

    @Test(arguments: [
        // Too short, padding missing, too much of it, in the wrong place.
        "Z", "Zg", "Zg=", "Zm8", "Zg===", "=", "====", "Z===", "=Zg=", "Zg=g", "Zg==Zg==", "Zm9v====", "Zm8=Zm8=",
        // Foreign characters, white space, the alphabet for URLs, digits that aren't ASCII.
        "Zm9v\r\n", " Zm9v", "Zm 9v", "Zm9-", "Zm9_", "Zm9v\0", "Zm9\u{FF41}", "Zm9v.",
        // Bits behind the last octet (RFC 4648 §3.5).
        "Zh==", "Zm9=", "//==", "///=",
    ])
    func nothingElseIsTaken(_ text: String) {
        #expect(Base64.decode(text) == nil)
    }
}
