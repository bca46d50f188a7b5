import DNS
import FoundationEssentials
import Journeys
import MailAuthentication
import MailMessage

/// What was come to about a message's indicator.
struct IndicatorJudgement: Sendable {
    /// What Authentication-Results says.
    var result: AuthenticationResults.MethodResult
    /// BIMI-Location, BIMI-Indicator and BIMI-Logo-Preference with their line ends; empty unless the indicator may be shown.
    var fields = ""
    /// The evidence.
    var steps: [(operation: JourneyEvent.Operation, seconds: Double?)] = []
}

/// Finds out whether an indicator may be shown beside a message, after DMARC (draft-brand-indicators-for-message-identification-12 §7).
struct IndicatorJudge: Sendable {
    let evaluator: BIMIEvaluator
    /// How long the reply to the message may wait for it.
    let wait: Duration

    /// Judges.
    /// - Parameters:
    ///   - sender: what was found out about the sender.
    ///   - header: the message's, without forged fields.
    func judge(_ sender: SenderEvaluation, _ header: HeaderSection, at time: Date) async -> IndicatorJudgement {
        let start = ContinuousClock.now
        let selectors = header.all(named: "BIMI-Selector").map(\.unfoldedOctets)
        let isSigned = sender.dkim.contains { $0.result == .pass && $0.signedFields.contains { $0.name == "bimi-selector" } }
        guard let subject = sender.bimiSubject(selector: BIMISelector.choose(fieldValues: selectors, isSigned: isSigned).selector) else {
            return Self.judgement(.bimi("skipped", comment: "the message has no single author"), "skipped", "the message has no single author", [])
        }
        let evaluation = await evaluate(subject, at: time)
        var steps: [(operation: JourneyEvent.Operation, seconds: Double?)] = []
        for lookup in (evaluation.discovery?.steps ?? []).compactMap(\.lookup) {
            steps.append((.resolved(.init(lookup)), lookup.duration.seconds))
        }
        for fetch in evaluation.fetches {
            let place = fetch.isFromCache ? "from the cache" : "by HTTPS"
            let explanation = fetch.error.map { "\(fetch.location): \($0)" } ?? "\(fetch.location): \(fetch.octets ?? 0) octets \(place)"
            steps.append((.checked(.init(check: "bimi fetch", result: fetch.error?.code.rawValue ?? "fetched", explanation: explanation)), nil))
        }
        let isEvidenceNamed = evaluation.record?.evidenceLocation != nil
        let result = AuthenticationResults.MethodResult.bimi(
            evaluation.result.rawValue, domain: evaluation.domain?.ascii, selector: evaluation.selector?.name,
            authority: evaluation.result == .pass || isEvidenceNamed ? evaluation.authority.rawValue : nil, indicatorHash: evaluation.indicatorHash,
            comment: evaluation.reason)
        let explanation =
            evaluation.reason
            ?? "the indicator of \(evaluation.domain?.ascii ?? "the domain") may be shown"
            + (evaluation.authority == .pass ? "; \(evaluation.mark?.root ?? "an authority") vouches for it" : "; nobody vouches for it")
        var judgement = Self.judgement(result, evaluation.result.rawValue, explanation, steps)
        judgement.steps[judgement.steps.count - 1].seconds = (ContinuousClock.now - start).seconds
        judgement.fields = [evaluation.locationField, evaluation.indicatorField, evaluation.preferenceField].compactMap { $0 }.joined()
        return judgement
    }

    private static func judgement(
        _ result: AuthenticationResults.MethodResult, _ word: String, _ explanation: String,
        _ steps: [(operation: JourneyEvent.Operation, seconds: Double?)]
    ) -> IndicatorJudgement {
        IndicatorJudgement(result: result, steps: steps + [(.checked(.init(check: "bimi", result: word, explanation: explanation)), nil)])
    }

    /// When the time is up, what is under way is told that nobody waits, and comes to `temperror`.
    private func evaluate(_ subject: BIMIEvaluator.Subject, at time: Date) async -> BIMIEvaluation {
        await withTaskGroup(of: BIMIEvaluation?.self) { group in
            group.addTask { await evaluator.evaluate(subject, at: time) }
            group.addTask {
                try? await Task.sleep(for: wait)
                return nil
            }
            var found: BIMIEvaluation?
            for await result in group {
                group.cancelAll()
                if let result { found = result }
            }
            // The evaluation always ends, with or without the time for it.
            return found ?? .late
        }
    }
}
