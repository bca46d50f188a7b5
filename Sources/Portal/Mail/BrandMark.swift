import FoundationEssentials
import MailAuthentication
import MailMessage
import NIOCore

/// The picture by which a sender's domain wants to be known (BIMI), as the edge has put it in front of a message.
///
/// The edge takes such fields of strangers out, and writes its own only where DMARC and BIMI passed. The picture is judged once more all the same: a
/// mailbox may hold mail that came another way.
enum BrandMark {
    /// A field isn't longer: an indicator has at most 32 KiB.
    private static let fieldLimit = 64 * 1024

    /// The SVG; `nil` where the message has none, several, or one that isn't harmless.
    static func svg(of message: Message) -> ByteBuffer? {
        let fields = message.header.all(named: "BIMI-Indicator")
        guard let field = fields.first, fields.count == 1, field.valueRange.count <= fieldLimit else { return nil }
        let text = String(decoding: field.unfoldedOctets.filter { $0 > 0x20 }, as: UTF8.self)
        guard let octets = Data(base64Encoded: text) else { return nil }
        let report = BIMIIndicator.judge(octets: Array(octets))
        return report.isAccepted ? ByteBuffer(bytes: report.svg) : nil
    }
}
