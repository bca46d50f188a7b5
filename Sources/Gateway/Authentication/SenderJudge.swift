import FoundationEssentials
import Journeys
import MailAuthentication
import MailMessage
import MailTransport
import NIOCore

/// Judges who sent the messages that come from the internet, and writes down for the hosts inside what it found out.
struct SenderJudge: Sendable {
    let assessor: SenderAssessor
    let sealer: CapsuleSealer

    /// Judges a message.
    /// - Parameters:
    ///   - transaction: the message without forged fields.
    ///   - description: what is known of its octets.
    /// - Throws: what reading the message throws.
    func judge(
        _ transaction: SMTPTransaction, _ description: MessageDescription, trace: TraceID, at time: Date
    ) async throws -> SenderJudgement {
        let session = transaction.session
        let client = SenderClient(
            address: session.remoteAddress, helo: session.helo ?? "", mailFrom: transaction.envelope.reversePath.map { "\($0)" } ?? "")
        var judgement = SenderJudgement()
        if assessor.settings.mode != .off { judgement = try await assessor.assess(client, transaction.content, at: time) }
        // Also where nothing was found out: by its capsule the relay knows what came from outside, and signs none of it as ours.
        let results = judgement.resultsText ?? AuthenticationResults(identifier: assessor.authservID).description
        let capsule = AuthenticationCapsule(
            host: assessor.hostname, trace: "\(trace)", time: Int(time.timeIntervalSince1970), byteCount: description.byteCount,
            sha256: description.evidence.sha256, client: "\(client.address)", helo: client.helo, reversePath: client.mailFrom,
            results: results, dmarc: judgement.evaluation?.dmarc.result.rawValue,
            headerFrom: judgement.evaluation?.dmarc.headerFrom, disposition: judgement.disposition)
        var fields = try sealer.field(capsule)
        fields.writeImmutableBuffer(judgement.fields)
        judgement.fields = fields
        return judgement
    }
}
