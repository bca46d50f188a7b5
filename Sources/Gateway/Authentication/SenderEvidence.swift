import DNS
import Journeys
import MailAuthentication

/// What was found out about a sender, as steps of a journey: each question to the DNS, then what it came to.
enum SenderEvidence {
    static func steps(of evaluation: SenderEvaluation) -> [(operation: JourneyEvent.Operation, seconds: Double?)] {
        var steps: [(operation: JourneyEvent.Operation, seconds: Double?)] = []
        func ask(_ lookups: [DNSLookup]) {
            for lookup in lookups { steps.append((.resolved(.init(lookup)), lookup.duration.seconds)) }
        }
        func check(_ name: String, _ result: String, _ explanation: String) {
            steps.append((.checked(.init(check: name, result: result, explanation: explanation)), nil))
        }
        if let names = evaluation.reverseName {
            ask(names.lookups)
            check("iprev", names.result.rawValue, names.problem ?? names.names.map(\.ascii).joined(separator: ", "))
        }
        if let spf = evaluation.spf {
            for term in spf.terms {
                ask(term.lookups)
                let place = term.depth > 0 ? " of \(term.domain)" : ""
                check(
                    "spf term", term.matched.map { $0 ? "matches" : "no match" } ?? "read",
                    "\(term.text.isEmpty ? term.domain : term.text)\(place): \(term.note)")
            }
            let reason = spf.problem ?? spf.mechanism.map { "“\($0)” matches" } ?? "nothing matches"
            check("spf", spf.result.rawValue, "\(spf.identity.rawValue) \(spf.domain): \(reason)" + (spf.explanation.map { "; the domain says: \($0)" } ?? ""))
        }
        if evaluation.dkim.isEmpty { check("dkim", "none", "the message is not signed") }
        for signature in evaluation.dkim {
            ask(signature.keyLookup.map { [$0] } ?? [])
            let name = signature.domain.map { "\($0.ascii), selector \(signature.selector?.ascii ?? ""): " } ?? ""
            let risks = signature.risks.map { "; \($0)" }.joined()
            check("dkim", signature.result.rawValue, "\(name)\(signature.reason)\(risks)")
        }
        check("arc", evaluation.arc.result.rawValue, evaluation.arc.reason)
        let dmarc = evaluation.dmarc
        ask(dmarc.queries.map(\.lookup))
        for identifier in dmarc.identifiers {
            check(
                "alignment", identifier.isAligned ? "aligned" : "not aligned",
                "\(identifier.mechanism.rawValue)=\(identifier.result) of \(identifier.domain): \(identifier.finding)")
        }
        for warning in dmarc.warnings { check("dmarc", "note", warning) }
        check("dmarc", dmarc.result.rawValue, (dmarc.headerFrom.map { "\($0): " } ?? "") + dmarc.reason)
        return steps
    }

    /// Why something follows, or not.
    static func explanation(of decision: DMARCDispositionPolicy.Decision) -> String {
        var parts = ["DMARC's disposition: \(decision.disposition.rawValue)"]
        if let observed = decision.observed { parts.append("observing only; it would have been \(observed.rawValue)") }
        parts += decision.overrides.map { "\($0.kind.rawValue): \($0.comment)" }
        return parts.joined(separator: "; ")
    }
}
