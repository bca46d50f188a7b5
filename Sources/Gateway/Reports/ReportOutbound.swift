import Crypto
import FoundationEssentials
import Journeys
import MailMessage
import NIOCore

/// How reports prove that they are ours: where this host sends to the internet it signs them itself; otherwise a capsule tells the relay, and the host
/// with the mailboxes, that this host wrote them.
struct ReportOutbound: Sendable {
    let hostname: String
    /// Signs with the keys of the moment; `nil` where this host isn't the relay, or nothing is signed.
    let signer: @Sendable () -> OutboundSigner?
    let sealer: CapsuleSealer?
    /// The domain of their From.
    let domain: String

    /// What is put in front of a report, and what its journey says of it.
    func prefix(
        _ message: ByteBuffer, to destination: Destination, trace: TraceID, at time: Date
    ) async throws -> (fields: ByteBuffer, step: JourneyEvent.Operation?) {
        switch destination {
        case .mailbox, .link: return (try capsule(message, trace: trace, at: time), nil)
        case .route, .exchangers, .literal:
            guard let signer = signer() else { return (ByteBuffer(), nil) }
            let header = HeaderSection(parsing: message)
            let signatures = try await signer.sign(BufferedContent(message), head: message, header: header, usesSMTPUTF8: false, at: time)
            return (signatures.fields, .checked(.init(check: "dkim signature", result: signatures.result, explanation: signatures.explanation)))
        }
    }

    private func capsule(_ message: ByteBuffer, trace: TraceID, at time: Date) throws -> ByteBuffer {
        guard let sealer else { return ByteBuffer() }
        var hash = SHA256()
        // The bytes are read while they are borrowed.
        unsafe message.withUnsafeReadableBytes { unsafe hash.update(bufferPointer: $0) }
        return try sealer.field(
            AuthenticationCapsule(
                host: hostname, trace: "\(trace)", time: Int(time.timeIntervalSince1970), byteCount: message.readableBytes,
                sha256: HexDigits.text(Array(hash.finalize())), client: "", helo: "", reversePath: "", results: "", dmarc: nil, headerFrom: domain,
                disposition: .accept, author: .report))
    }
}
