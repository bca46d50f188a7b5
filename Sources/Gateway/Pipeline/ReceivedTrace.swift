import FoundationEssentials
import MailMessage
import MailTransport
import NIOCore

/// The trace field of this host (RFC 5321 §4.4), made of what is known of the transaction.
enum ReceivedTrace {
    /// - Parameter showsClient: whether the client's address is told; our own users' addresses are not.
    static func field(
        for transaction: SMTPTransaction, trace: TraceID, hostname: String, showsClient: Bool, at time: Date
    ) -> ByteBuffer {
        let session = transaction.session
        let tls = session.tls.map { tls in
            "using \(tls.version)" + (tls.cipher.isEmpty ? "" : " with cipher \(tls.cipher)") + (tls.group.map { " key-exchange \($0)" } ?? "")
        }
        let recipients = transaction.envelope.recipients
        let field = ReceivedField(
            helo: showsClient ? session.helo ?? "unknown" : "submission",
            clientAddress: showsClient ? "\(session.remoteAddress)" : nil,
            by: hostname,
            software: "Postern",
            with: session.protocolName(usesSMTPUTF8: transaction.envelope.usesSMTPUTF8),
            tls: tls,
            id: "\(trace)",
            recipient: recipients.count == 1 ? recipients.first?.address : nil,
            date: MessageDate(time))
        return field.serialized()
    }
}
