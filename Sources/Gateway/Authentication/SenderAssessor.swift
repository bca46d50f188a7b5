import DNS
import FoundationEssentials
import Journeys
import MailAuthentication
import MailMessage
import MailTransport
import NIOCore
import SMTP

/// What was come to about a message's sender.
struct SenderJudgement: Sendable {
    /// `nil` where nothing was checked.
    var evaluation: SenderEvaluation?
    var disposition = AuthenticationCapsule.Disposition.accept
    /// The reply with which the message is refused; `nil` to take it.
    var refusal: SMTPReply?
    /// What Authentication-Results says; `nil` where nothing was checked.
    var results: AuthenticationResults?
    /// The value of that field, on one line.
    var resultsText: String?
    /// The fields to put in front: Authentication-Results and Received-SPF, and a capsule before them where there is one.
    var fields = ByteBuffer()
    /// The evidence.
    var steps: [(operation: JourneyEvent.Operation, seconds: Double?)] = []

    /// What reports will say of the message; `nil` where nobody asks for any.
    var reported: JourneyEvent.Judged? {
        for step in steps.reversed() {
            if case .judged(let judged) = step.operation { return judged }
        }
        return nil
    }
}

/// Finds out who sent a message, by SPF, DKIM, ARC and DMARC, and what follows from it by the settings of this organisation.
struct SenderAssessor: Sendable {
    let verifier: SenderVerifier
    let settings: Configuration.AuthenticationSettings
    let hostname: String
    /// Looks for indicators; `nil` where this organisation doesn't.
    var indicators: IndicatorJudge?
    /// Whether what a report on a single message needs is kept with the evidence (`reports.failures`).
    var keepsFailures = false

    var authservID: String { settings.authservID?.ascii ?? hostname }

    /// Judges a message.
    /// - Parameters:
    ///   - client: who handed it in; `nil` where nobody knows, so that only the message counts.
    ///   - content: the message without forged fields.
    /// - Throws: what reading the message throws.
    func assess(_ client: SenderClient?, _ content: any MessageContent, at time: Date) async throws -> SenderJudgement {
        let start = ContinuousClock.now
        let limit = Duration.seconds(settings.timeoutSeconds)
        let evaluation = try await verifier.verify(client, content: content, at: time) { TimeLimitedResolver($0, limit: limit) }
        var judgement = SenderJudgement(evaluation: evaluation)
        judgement.steps = SenderEvidence.steps(of: evaluation)
        let decision = policy(at: time).decide(evaluation.dmarc, arc: evaluation.forwarders)
        follow(decision, evaluation.dmarc, &judgement)
        judgement.steps.append(
            (
                .checked(
                    .init(
                        check: "sender", result: judgement.refusal.map { $0.isTransientFailure ? "defer" : "reject" } ?? judgement.disposition.rawValue,
                        explanation: SenderEvidence.explanation(of: decision))), (ContinuousClock.now - start).seconds
            ))
        var results = evaluation.results(identifier: authservID, disposition: decision.disposition)
        var indicatorFields = ""
        if let indicators, judgement.refusal == nil {
            let header = HeaderSection(parsing: try await content.read(0..<min(content.byteCount, SenderVerifier.headerLimit)))
            let indication = await indicators.judge(evaluation, header, at: time)
            results.results.append(indication.result)
            judgement.steps += indication.steps
            // Mail that goes into Junk shows nothing.
            if judgement.disposition == .accept { indicatorFields = indication.fields }
        }
        if let judged = try await reportable(evaluation, decision, judgement, results, content) { judgement.steps.append((.judged(judged), nil)) }
        judgement.results = results
        let field = results.field()
        judgement.resultsText = AuthenticationResults.value(ofField: field)
        judgement.fields.writeString(field)
        if let spf = evaluation.spf, let client {
            var writer = HeaderWriter()
            writer.structured(
                "Received-SPF", spf.receivedSPF(receiver: hostname, address: client.address, helo: client.helo, mailFrom: client.mailFrom))
            judgement.fields.writeImmutableBuffer(writer.buffer)
        }
        judgement.fields.writeString(indicatorFields)
        return judgement
    }

    /// What reports say of the message; `nil` where its author's domain asks for none, and for a message that is to come again.
    private func reportable(
        _ evaluation: SenderEvaluation, _ decision: DMARCDispositionPolicy.Decision, _ judgement: SenderJudgement, _ results: AuthenticationResults,
        _ content: any MessageContent
    ) async throws -> JourneyEvent.Judged? {
        guard judgement.refusal?.isTransientFailure != true else { return nil }
        guard var judged = ReportEvidence.judged(evaluation, decision, judgement) else { return nil }
        if keepsFailures, let header = try await ReportEvidence.header(of: content, where: evaluation.dmarc) {
            judged.failure = ReportEvidence.failure(evaluation, header: header, results: results)
        }
        return judged
    }

    private func policy(at time: Date) -> DMARCDispositionPolicy {
        var policy = DMARCDispositionPolicy()
        policy.mode = settings.mode == .enforce ? .enforce : .observe
        policy.domainModes = settings.domains.mapValues { $0 == .enforce ? .enforce : .observe }
        policy.trustedSealers = Set(settings.trustedForwarders)
        policy.allowlist = settings.allowlist.filter { $0.value.holds(at: time) }.sorted { $0.key < $1.key }.map { domain, exception in
            .init(identifier: domain, comment: "authentication.allowlist: \(exception.reason), until \(exception.until.formatted(.iso8601).prefix(10))")
        }
        policy.defersTemporaryErrors = settings.temporaryErrors == .defer
        return policy
    }

    /// What this organisation does about what DMARC says.
    private func follow(_ decision: DMARCDispositionPolicy.Decision, _ dmarc: DMARCEvaluation, _ judgement: inout SenderJudgement) {
        if decision.isDeferred {
            judgement.refusal = SMTPReply(
                451, .init(4, 4, 3), "The DNS doesn't say whether the message may be from \(dmarc.headerFrom ?? "its author"); try again later")
            return
        }
        let action: Configuration.AuthenticationSettings.Action
        switch decision.disposition {
        case .none: action = .accept
        case .quarantine: action = settings.quarantine
        case .reject: action = settings.reject
        }
        switch action {
        case .accept: break
        case .junk: judgement.disposition = .junk
        case .reject:
            // RFC 9989 §8.3; RFC 7372 has no code for DMARC.
            let reason =
                dmarc.authorError.map { "The message has no single author: \($0)" }
                ?? "The policy of \(dmarc.recordDomain?.ascii ?? "the author's domain") refuses mail that isn't proven to be from \(dmarc.headerFrom ?? "it") (DMARC)"
            judgement.refusal = SMTPReply(550, .init(5, 7, 1), String(reason.prefix(400)))
        }
    }
}
