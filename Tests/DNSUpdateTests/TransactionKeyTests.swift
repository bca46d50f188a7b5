import DNS
import DNSUpdate
import Testing

@Suite("Keys for TSIG")
struct TransactionKeyTests {
    private static let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

    @Test(
        "the forms in which name servers' tools write keys",
        arguments: [
            "key \"postern.kartapuce.test\" {\n\talgorithm hmac-sha256;\n\tsecret \"\(secret)\";\n};\n",
            "# hmac-sha256:x:y\nkey:\n  - id: postern.kartapuce.test\n    algorithm: hmac-sha256\n    secret: \(secret)\n",
            "# comment\nkey:\n- id: postern.kartapuce.test.\n  algorithm: HMAC-SHA256.\n  secret: \(secret)", "hmac-sha256:postern.kartapuce.test:\(secret)\n",
        ])
    func forms(_ text: String) throws {
        let key = try TransactionKey(text: text)
        #expect(key.description == "postern.kartapuce.test hmac-sha256")
        // The same secret: it signs as the vector's.
        let octets = try SignedUpdate(Vector.message(), identifier: 0x1234, key: key, at: Vector.time).octets
        #expect(octets == (try Vector.request().octets))
    }

    @Test(
        "what is no key",
        arguments: [
            "", "key \"a\" { algorithm hmac-sha256; };", "hmac-md5:a:\(secret)", "hmac-sha256:a:!!!", "hmac-sha256:a:AAECAw==", "hmac-sha256:a..b:\(secret)",
            String(repeating: "x", count: 8193),
        ])
    func refusals(_ text: String) {
        #expect { try TransactionKey(text: text) } throws: { ($0 as? DNSUpdateError)?.code == .invalidKey }
    }
}
