import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore

/// Signed mail of gmail.test, and the keys that it is signed with.
struct SignedMail {
    /// What a body consists of.
    enum Body: String, CaseIterable {
        case text, base64, html
    }

    static let domain = "gmail.test"
    static let forwarder = "lists.test"
    private let key: DKIMPrivateKey

    init() throws { key = try DKIMKeyPair.generate(rsaBits: 2048) }

    /// The key record, of both domains.
    var record: String { key.recordText }
    /// The names of the key records.
    static let recordNames = ["a._domainkey.\(domain)", "arc._domainkey.\(forwarder)"]
    var publicKeyData: [UInt8] { key.publicKeyData }

    /// A message of about so many octets, relaxed/relaxed, by RSA-2048.
    func message(_ body: Body, octets: Int, at time: Date) throws -> ByteBuffer {
        let type = body == .html ? "text/html" : "text/plain"
        let header = """
            From: Bob <bob@\(Self.domain)>\r
            To: Jack <jack@kartapuce.test>\r
            Subject: The numbers of this week\r
            Date: Sat, 28 Nov 2026 12:00:00 +0000\r
            Message-ID: <4711@\(Self.domain)>\r
            MIME-Version: 1.0\r
            Content-Type: \(type); charset=us-ascii\r
            Content-Transfer-Encoding: \(body == .base64 ? "base64" : "7bit")\r
            \r\n
            """
        // What the signature takes isn't known before.
        let content = Self.lines(body, octets: max(0, octets - header.utf8.count - 700))
        let buffer = ByteBuffer(string: header + content)
        let section = HeaderSection(parsing: buffer)
        let signer = DKIMSigner(keys: [DKIMSigningKey(domain: try DomainName(Self.domain), selector: try DomainName("a"), key: key)])
        let rest = buffer.getSlice(at: section.range.upperBound, length: buffer.readableBytes - section.range.upperBound) ?? ByteBuffer()
        var signed = try signer.sign(header: section, body: rest, at: time)
        signed.writeImmutableBuffer(buffer)
        return signed
    }

    /// The message with a chain of ARC on top, of one seal; nothing in it looks like what a server that judges it would write.
    func sealed(_ message: ByteBuffer, at time: Date) throws -> ByteBuffer {
        let section = HeaderSection(parsing: message)
        let sealer = ARCSealer(key: DKIMSigningKey(domain: try DomainName(Self.forwarder), selector: try DomainName("arc"), key: key))
        let body = message.getSlice(at: section.range.upperBound, length: message.readableBytes - section.range.upperBound) ?? ByteBuffer()
        var sealed = try sealer.seal(header: section, body: body, chain: .none, results: "\(Self.forwarder); arc=none", at: time)
        sealed.writeImmutableBuffer(message)
        return sealed
    }

    private static func lines(_ body: Body, octets: Int) -> String {
        switch body {
        case .text:
            // As people write it: ASCII, and no blanks at the ends of lines.
            return SampleMail.text(7, octets: octets).replacingOccurrences(of: "grüße", with: "regards").replacingOccurrences(of: " \r\n", with: "\r\n")
        case .base64:
            let line = String(repeating: "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0", count: 2) + "ABCD\r\n"
            return String(repeating: line, count: max(1, octets / line.utf8.count))
        case .html:
            // Indented, as programs write it: relaxed canonicalisation has something to do in each line.
            let row = "    <tr>\r\n        <td class=\"name\">Menu  of the week</td>\r\n        <td>12.50</td>\r\n    </tr>\r\n"
            return "<table>\r\n" + String(repeating: row, count: max(1, octets / row.utf8.count)) + "</table>\r\n"
        }
    }
}
