import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore
import Testing

/// The messages and keys of others, where the folder of the suites is named by `POSTERN_SUITES`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil))
struct DKIMConformanceTests {
    private func file(_ path: String) throws -> [UInt8] {
        let suites = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        return Array(try Data(contentsOf: URL(fileURLWithPath: suites).appendingPathComponent(path)))
    }

    private func text(_ path: String) throws -> String {
        String(decoding: try file(path), as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func publicKey(_ path: String) throws -> String {
        "v=DKIM1; k=rsa; p=" + (try text(path)).split(separator: "\n").filter { !$0.hasPrefix("-") }.joined()
    }

    private func verify(_ octets: [UInt8], _ keys: [String: String], at seconds: TimeInterval = 1_700_000_000) async throws -> [DKIMEvaluation] {
        try await verifyDKIM(octets, keys, at: Date(timeIntervalSince1970: seconds))
    }

    private static let rsaOfRFC8463 =
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
    private static let ed25519OfRFC8463 = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

    private static let keysOfRFC8463 = [
        "test._domainkey.football.example.com": rsaOfRFC8463, "brisbane._domainkey.football.example.com": ed25519OfRFC8463,
    ]

    @Test(arguments: ["dkim/dkimpy/rfc6376.signed.msg", "mime/mimekit/dkim/rfc8463-example.msg", "auth-results/mailauth/dkim/ec/fixtures/signed.eml"])
    func theExamplesOfTheStandardPass(path: String) async throws {
        let evaluations = try await verify(try file(path), Self.keysOfRFC8463)
        #expect(evaluations.map(\.result) == [.pass, .pass], "\(evaluations.map(\.reason))")
        #expect(evaluations.map(\.keyBits) == [256, 1024])
    }

    @Test func signaturesAreAsDkimpySaysThatTheyAre() async throws {
        let rsa = try await verify(try file("dkim/dkimpy/rfc6376.signed.rsa.msg"), Self.keysOfRFC8463)
        #expect(rsa.map(\.result) == [.pass])
        // The same signature with t= taken out and x= put in.
        let changed = try await verify(try file("dkim/dkimpy/rfc6376.signed.no_t.msg"), Self.keysOfRFC8463)
        #expect(changed.map(\.result) == [.fail])
        #expect(changed.map(\.bodyMatches) == [true])
    }

    @Test func otherKeysOfDkimpyMakeOtherResults() async throws {
        let message = try file("dkim/dkimpy/rfc6376.signed.rsa.msg")
        let name = "test._domainkey.football.example.com"
        for (file, result) in [
            ("badk.txt", DKIMResult.permerror), ("badversion.txt", .permerror), ("test_bad.txt", .permerror), ("test_tlsrpt.txt", .permerror),
            ("test.txt", .pass), ("test2.txt", .pass), ("1024_testkey_wo_markers.pub.txt", .fail), ("1024_testkey_wo_markers.pub.rsa.txt", .fail),
            ("2048_testkey_wo_markers.pub.txt", .fail), ("2048_testkey_wo_markers.pub.rsa.txt", .fail), ("eximtest.dns", .permerror),
        ] {
            let evaluations = try await verify(message, [name: try text("dkim/dkimpy/\(file)")])
            #expect(evaluations.map(\.result) == [result], "\(file): \(evaluations.map(\.reason))")
        }
    }

    @Test func eximsSignatureVerifies() async throws {
        let evaluations = try await verify(try file("dkim/dkimpy/ed25519test2.msg"), ["sed._domainkey.test.ex": try text("dkim/dkimpy/eximtest.dns")])
        #expect(evaluations.map(\.result) == [.pass], "\(evaluations.map(\.reason))")
    }

    @Test(arguments: ["gmail.msg", "multipart-no-end-boundary.msg", "related.msg"])
    func messagesOfGmailPass(name: String) async throws {
        let key = try publicKey("mime/mimekit/dkim/gmail.pub")
        let evaluations = try await verify(try file("mime/mimekit/dkim/\(name)"), ["20120113._domainkey.gmail.com": key])
        #expect(evaluations.map(\.result) == [.pass], "\(evaluations.map(\.reason))")
        var changed = try file("mime/mimekit/dkim/\(name)")
        changed[changed.count - 30] ^= 1
        #expect(try await verify(changed, ["20120113._domainkey.gmail.com": key]).map(\.result) == [.fail])
    }

    @Test func foldsOfOtherSortsAreRead() async throws {
        let key = try publicKey("mime/mimekit/dkim/gmail.pub")
        let evaluations = try await verify(try file("dkim/dkimpy/test2.message"), ["20120113._domainkey.gmail.com": key])
        #expect(evaluations.map(\.bodyMatches) == [true], "\(evaluations.map(\.reason))")
    }

    /// In the messages that don't pass, From or Subject was written over after signing, or the key is at a name that isn't given.
    @Test(arguments: [
        ("test.message_signed", DKIMResult.pass), ("testcomma.message", .pass), ("test.message_multi", .fail), ("test.message_multi2", .fail),
        ("test.message_sub", .fail), ("test.message_np1", .permerror), ("test.message_np2", .permerror),
    ])
    func messagesOfAuthheadersAreAsTheirKeysSay(name: String, result: DKIMResult) async throws {
        let keys = ["test._domainkey.example.com": try text("auth-results/authheaders/test/test.txt")]
        let evaluations = try await verify(try file("auth-results/authheaders/test/\(name)"), keys)
        #expect(evaluations.map(\.result) == [result], "\(evaluations.map(\.reason))")
        #expect(evaluations.map(\.bodyMatches) == [true])
    }

    @Test func bodyHashesOfSpamAssassinFit() async throws {
        let suites = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        let folder = URL(fileURLWithPath: suites).appendingPathComponent("spam/spamassassin-t-data/dkim")
        var count = 0
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() where name.hasSuffix(".msg") {
            for evaluation in try await verify(try file("spam/spamassassin-t-data/dkim/\(name)"), [:]) {
                if evaluation.failure == .forbiddenAlgorithm(.rsaSHA1) { continue }
                #expect(evaluation.bodyMatches == true, "\(name): \(evaluation.reason)")
                count += 1
            }
        }
        #expect(count == 30)
    }

    /// Takes the value out of `b=` of a message's first signature, and the message's other signatures away; signs; compares.
    private func expectSameSignature(_ path: String, signature number: Int, key: DKIMPrivateKey) throws {
        let message = String(decoding: try file(path), as: UTF8.self).replacingOccurrences(of: "\r\n", with: "\n")
        var fields = message.components(separatedBy: "DKIM-Signature:")
        let rest = try #require(fields.last?.range(of: "\nFrom:")).lowerBound
        let tail = String(fields[fields.count - 1][rest...].dropFirst())
        fields[fields.count - 1] = String(fields[fields.count - 1][..<rest]) + "\n"
        let field = "DKIM-Signature:" + fields[number]
        let expected = try DKIMSignatureHeader(parsing: fields[number].dropLast())
        let header = HeaderSection(parsing: ByteBuffer(string: field + tail))
        #expect(DKIMBase64Text(expected.signature) == (try DKIMSigner.signature(completing: header, with: key)), "\(path) \(number)")
    }

    private func DKIMBase64Text(_ octets: [UInt8]) -> String { Data(octets).base64EncodedString() }

    @Test func signaturesOfTheStandardAreMadeAgain() throws {
        let rsa = try DKIMPrivateKey(parsing: try text("dkim/dkimpy/test.private"))
        let ed25519 = try DKIMPrivateKey(parsing: try text("dkim/dkimpy/rfc8032_7_1.key"))
        #expect(ed25519.recordText == Self.ed25519OfRFC8463)
        #expect(rsa.recordText == Self.rsaOfRFC8463)
        for path in ["dkim/dkimpy/rfc6376.signed.msg", "mime/mimekit/dkim/rfc8463-example.msg"] {
            try expectSameSignature(path, signature: 1, key: ed25519)
            try expectSameSignature(path, signature: 2, key: rsa)
        }
    }

    @Test func privateKeysOfOthersAreRead() throws {
        for (file, bits, record) in [
            ("dkim/dkimpy/1024_testkey.key", 1024, "dkim/dkimpy/1024_testkey_wo_markers.pub.txt"),
            ("dkim/dkimpy/2048_testkey.key", 2048, "dkim/dkimpy/2048_testkey_wo_markers.pub.txt"),
            ("dkim/dkimpy/2048_testkey_PKCS8.key", 2048, "dkim/dkimpy/2048_testkey_PKCS8.key.pub.txt"),
            ("dkim/dkimpy/ed25519test.key", 256, "dkim/dkimpy/ed25519test.dns"), ("mime/mimekit/dkim/example.pem", 1024, nil),
            ("auth-results/mailauth/fixtures/private-ed25519.pem", 256, nil), ("auth-results/mailauth/fixtures/private-rsa.pem", 2048, nil),
            ("auth-results/mailauth/dkim/ec/fixtures/private-ec.key", 256, nil), ("auth-results/mailauth/dkim/ec/fixtures/private-rsa.key", 1024, nil),
        ] as [(String, Int, String?)] {
            let key = try DKIMPrivateKey(parsing: try text(file))
            #expect(key.bits == bits, "\(file)")
            if let record { #expect(try DKIMKeyRecord(parsing: try text(record)).keyData == key.publicKeyData, "\(file)") }
        }
    }
}
