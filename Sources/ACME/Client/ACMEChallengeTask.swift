import Crypto
public import DNS

/// What has to be set up for a challenge before the server is told that it can look.
public struct ACMEChallengeTask: Hashable, Sendable {
    /// The name whose right is to be proven.
    public let name: DomainName
    /// The way.
    public let kind: ACMEChallengeKind
    /// The server's token: letters, digits, `-` and `_`.
    public let token: String
    /// The token with the account's thumbprint (RFC 8555 §8.1).
    public let keyAuthorization: String

    /// RFC 8555 §8.1: of the alphabet of base64url, with at least 128 bits. It becomes part of a path.
    static func isToken(_ text: String) -> Bool {
        (22...512).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// Where http-01 is looked for (RFC 8555 §8.3); what is found there is ``keyAuthorization``.
    public var httpPath: String { "/.well-known/acme-challenge/\(token)" }

    /// Where dns-01 is looked for (RFC 8555 §8.4).
    public var recordName: DomainName? { try? name.prefixed(with: "_acme-challenge") }

    /// The text of the record there. A name and its wildcard have two challenges, and so two records.
    public var recordText: String { Base64URL.encode(digest) }

    /// The digest that tls-alpn-01 shows (RFC 8737 §3).
    public var digest: [UInt8] { Array(SHA256.hash(data: Array(keyAuthorization.utf8))) }
}
