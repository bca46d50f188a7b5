import Crypto
import DNS
import Testing

@testable import ACME

@Suite("Keys and signatures (RFC 7515, RFC 7638, RFC 8555 §6.2)")
struct SignedBodyTests {
    /// The key of RFC 7515 appendix A.3.
    static func key() throws -> AccountKey {
        let raw = try #require(Base64URL.decode("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"))
        return AccountKey(try P256.Signing.PrivateKey(rawRepresentation: raw))
    }

    @Test("the thumbprint, and what follows from it, of a published key")
    func thumbprint() throws {
        let key = try Self.key()
        #expect(
            key.publicJWK.text
                == "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
        )
        #expect(key.thumbprint == "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U")
        let token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
        let task = ACMEChallengeTask(
            name: try DomainName("mail.kartapuce.test"), kind: .dns01, token: token, keyAuthorization: key.authorization(token: token))
        #expect(task.keyAuthorization == "\(token).\(key.thumbprint)")
        #expect(task.recordText == "ZaJgFtIV4WA0t2MzN7kbSk0sfRd2GZjaxRqaSTAK6lI")
        #expect(task.recordName?.ascii == "_acme-challenge.mail.kartapuce.test")
        #expect(task.httpPath == "/.well-known/acme-challenge/\(token)")
    }

    @Test("a key goes through PEM; other keys are refused")
    func pem() throws {
        let key = try Self.key()
        #expect(try AccountKey(pem: key.pem).thumbprint == key.thumbprint)
        #expect(throws: ACMEError.self) { try AccountKey(pem: P384.Signing.PrivateKey().pemRepresentation) }
        #expect(throws: ACMEError.self) { try AccountKey(pem: "") }
        #expect(!key.description.contains("jpsQ"))
    }

    @Test("the binding to an external account is what another implementation computes (RFC 8555 §7.3.4)")
    func binding() throws {
        let external = try ExternalAccount(identifier: "kid-1", encodedSecret: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
        let binding = try SignedBody.binding(external, key: Self.key(), url: "https://ca.test/new-account")
        #expect(binding.object?["protected"]?.string == "eyJhbGciOiJIUzI1NiIsImtpZCI6ImtpZC0xIiwidXJsIjoiaHR0cHM6Ly9jYS50ZXN0L25ldy1hY2NvdW50In0")
        #expect(
            binding.object?["payload"]?.string
                == "eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6ImY4M09KM0QyeEYxQmc4dnViOXRMZTFnSE16Vjc2ZThUdXM5dVBIdlJWRVUiLCJ5IjoieF9GRXpSdTltMzZITE5fdHVlNjU5TE5wWFc2cEN5U3Rpa1lqS0lXSTVhMCJ9"
        )
        #expect(binding.object?["signature"]?.string == "aaOrutXb5whSzTiCwkz5MZev24IVBdUfyr880ifpMhI")
        #expect(throws: ACMEError.self) { try ExternalAccount(identifier: "a", encodedSecret: "AAAA") }
        #expect(throws: ACMEError.self) { try ExternalAccount(identifier: "a", encodedSecret: "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!") }
    }
}
