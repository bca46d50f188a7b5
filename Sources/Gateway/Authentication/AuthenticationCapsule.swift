import FoundationEssentials
import MailMessage

/// What the edge found out about a message: it travels inwards in front of the message, signed and bound to the message's digest, so that no host
/// behind the edge judges the edge's own address instead of the sender's.
struct AuthenticationCapsule: Codable, Sendable, Hashable {
    /// The header field that carries it.
    static let fieldName = "Postern-Capsule"

    /// The host that judged.
    var host: String
    /// The journey's identity.
    var trace: String
    /// When it judged, in seconds since 1970.
    var time: Int
    /// The length of the message as the client sent it, without what the edge put in front. The message's last octets are meant: hosts on the way
    /// add fields at the top.
    var byteCount: Int
    /// The SHA-256 of these octets, in hexadecimal digits.
    var sha256: String
    /// The client's address, its HELO and the reverse-path.
    var client: String
    var helo: String
    var reversePath: String
    /// The value of the Authentication-Results field that stands beside it (RFC 8601).
    var results: String
    /// What DMARC came to for which domain (RFC 9989), where it was evaluated.
    var dmarc: String?
    var headerFrom: String?
    var disposition: Disposition
    /// Whose message it is; absent: a stranger's, which the edge judged.
    var author: Author?

    /// Hosts that write messages of their own, which are signed on their way out as a user's are.
    enum Author: String, Codable, Sendable {
        /// The store, a report.
        case report

        /// The role that the certificate must name.
        var role: Configuration.Role { .store }
    }

    /// What shall become of the message.
    enum Disposition: String, Codable, Sendable {
        case accept
        /// Into the folder for junk.
        case junk
    }
}

extension AuthenticationCapsule {
    /// The capsule as its coding reads it, written by hand: one is made for every message.
    var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("host", host)
            writer.field("trace", trace)
            writer.field("time", time)
            writer.field("byteCount", byteCount)
            writer.field("sha256", sha256)
            writer.field("client", client)
            writer.field("helo", helo)
            writer.field("reversePath", reversePath)
            writer.field("results", results)
            writer.field("dmarc", dmarc)
            writer.field("headerFrom", headerFrom)
            writer.field("disposition", disposition.rawValue)
            writer.field("author", author?.rawValue)
        }
        return writer.octets
    }
}
