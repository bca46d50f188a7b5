public import DNS

/// Finds the Assertion Record for a message (draft-brand-indicators-for-message-identification-12 §7.2).
public struct BIMIDiscovery: Sendable {
    /// What was found.
    public enum Outcome: Sendable, Hashable {
        /// One record.
        case record(BIMIRecord)
        /// One record that can't be read.
        case invalid(BIMIRecordError)
        /// None.
        case none
        /// More than one at a name, which counts as none (§7.2, step 9).
        case several(Int)
        /// Nobody can tell now.
        case temporary(DNSError)
    }

    /// One name that was asked for.
    public struct Step: Sendable {
        /// The selector.
        public var selector: BIMISelector
        /// The domain below which the selector was looked for.
        public var domain: DomainName
        /// Whether the selector was made of the local-part, because a record has `lps=` (§4.5).
        public var isLocalPart: Bool
        /// The question and its answer; `nil` where the two make no name that could be asked for.
        public var lookup: DNSLookup?
        /// The records of this version at the name, as they are written.
        public var records: [[UInt8]]
    }

    /// What was found and how.
    public struct Finding: Sendable {
        /// What was found.
        public var outcome: Outcome
        /// The selector of the record that was found, otherwise the last one that was looked for.
        public var selector: BIMISelector
        /// The domain of the record that was found, otherwise the last one that was looked at.
        public var domain: DomainName
        /// What the record says as it is written; `nil` where there isn't one.
        public var text: String?
        /// Every name that was asked for, in order.
        public var steps: [Step]
    }

    private let resolver: any Resolver

    /// - Parameter resolver: asks the DNS.
    public init(resolver: any Resolver) { self.resolver = resolver }

    /// Looks for the record.
    /// - Parameters:
    ///   - authorDomain: the domain in From.
    ///   - organizationalDomain: its organizational domain, as DMARC finds it; the author's domain where it is one itself.
    ///   - selector: the message's own, or ``BIMISelector/default``.
    ///   - localPart: the local-part in From, for records with `lps=`.
    public func find(
        authorDomain: DomainName, organizationalDomain: DomainName, selector: BIMISelector = .default, localPart: String? = nil
    ) async -> Finding {
        var steps: [Step] = []
        let localSelector = localPart.flatMap(BIMILocalPart.selector).flatMap { try? BIMISelector($0) }
        var domains = [authorDomain]
        // Somebody's mistake must not make us look at a domain that has nothing to do with the author's.
        if authorDomain.isSubdomain(of: organizationalDomain), organizationalDomain != .root { domains.append(organizationalDomain) }
        for domain in domains {
            var found: Outcome
            do {
                found = try await look(selector, domain, isLocalPart: false, &steps)
            } catch {
                return Finding(outcome: .temporary(error), selector: selector, domain: domain, text: nil, steps: steps)
            }
            if found == .none { continue }
            // Steps 5 and 8: the record hands on to that of the local-part, where there is a valid one.
            if case .record(let record) = found, let prefixes = record.localPartPrefixes, let localSelector,
                BIMILocalPart.matches(localSelector.name, prefixes),
                !steps.contains(where: { $0.selector == localSelector && $0.domain == domain })
            {
                do {
                    let local = try await look(localSelector, domain, isLocalPart: true, &steps)
                    if case .record = local {
                        return Finding(outcome: local, selector: localSelector, domain: domain, text: Self.text(steps.last), steps: steps)
                    }
                } catch {
                    return Finding(outcome: .temporary(error), selector: localSelector, domain: domain, text: nil, steps: steps)
                }
                // Step 5: "if not then the BIMI record retrieved in step 3 MUST be used instead".
                found = .record(record)
            }
            let step = steps.last { !$0.isLocalPart }
            return Finding(outcome: found, selector: selector, domain: domain, text: Self.text(step), steps: steps)
        }
        return Finding(outcome: .none, selector: selector, domain: domains.last ?? authorDomain, text: nil, steps: steps)
    }

    private func look(_ selector: BIMISelector, _ domain: DomainName, isLocalPart: Bool, _ steps: inout [Step]) async throws(DNSError) -> Outcome {
        // A selector that makes the name too long names no record.
        guard let name = try? domain.prefixed(with: "\(selector.name)._bimi") else {
            steps.append(Step(selector: selector, domain: domain, isLocalPart: isLocalPart, lookup: nil, records: []))
            return .none
        }
        let lookup = await DNSLookup(name, .txt, using: resolver)
        var step = Step(selector: selector, domain: domain, isLocalPart: isLocalPart, lookup: lookup, records: [])
        defer { steps.append(step) }
        let answer = try lookup.result.get()
        for case .txt(let octets) in answer.records where BIMIRecord.isRecord(octets) { step.records.append(octets) }
        guard let first = step.records.first else { return .none }
        guard step.records.count == 1 else { return .several(step.records.count) }
        do throws(BIMIRecordError) {
            return .record(try BIMIRecord(parsing: first))
        } catch {
            return .invalid(error)
        }
    }

    private static func text(_ step: Step?) -> String? {
        guard let step, step.records.count == 1, let octets = step.records.first else { return nil }
        return String(decoding: octets, as: UTF8.self)
    }
}
