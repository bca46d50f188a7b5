public import DNS
public import FoundationEssentials

/// Finds out whether an indicator may be shown beside a message (draft-brand-indicators-for-message-identification-12 §7,
/// draft-fetch-validation-vmc-wchuang-11 §5.3).
public struct BIMIEvaluator: Sendable {
    /// What an indicator without evidence is worth.
    public enum Evidence: String, Sendable, Hashable, Codable, CaseIterable {
        /// Nothing: anybody may publish anybody's logo. The result is `skipped`, because the sending domain isn't trusted.
        case required
        /// It passes, with `policy.authority=none`.
        case optional
    }

    /// What the receiver wants.
    public struct Options: Sendable, Hashable {
        /// What an indicator without evidence is worth.
        public var evidence: Evidence
        /// How much an indicator may have.
        public var indicator: BIMIIndicator.Limits
        /// What evidence may have. Its logo has the indicator's limit.
        public var mark: BIMIMarkVerifier.Limits

        /// Makes options.
        public init(
            evidence: Evidence = .required, indicator: BIMIIndicator.Limits = BIMIIndicator.Limits(),
            mark: BIMIMarkVerifier.Limits = BIMIMarkVerifier.Limits()
        ) {
            self.evidence = evidence
            self.indicator = indicator
            self.mark = mark
        }
    }

    /// The message, as far as it counts.
    public struct Subject: Sendable, Hashable {
        /// The domain in From.
        public var authorDomain: DomainName
        /// Its organizational domain, as DMARC finds it.
        public var organizationalDomain: DomainName
        /// The local-part in From.
        public var localPart: String?
        /// The message's selector.
        public var selector: BIMISelector
        /// What DMARC said.
        public var precondition: BIMIPrecondition

        /// Makes a subject.
        public init(
            authorDomain: DomainName, organizationalDomain: DomainName, localPart: String? = nil, selector: BIMISelector = .default,
            precondition: BIMIPrecondition
        ) {
            self.authorDomain = authorDomain
            self.organizationalDomain = organizationalDomain
            self.localPart = localPart
            self.selector = selector
            self.precondition = precondition
        }
    }

    private let discovery: BIMIDiscovery
    private let fetcher: any BIMIFetcher
    private let verifier: BIMIMarkVerifier
    private let cache: BIMICache?
    private let options: Options

    /// - Parameters:
    ///   - resolver: asks the DNS.
    ///   - fetcher: fetches indicators and evidence.
    ///   - roots: the authorities that are trusted to certify marks.
    ///   - cache: keeps what was fetched.
    ///   - options: what the receiver wants.
    public init(resolver: any Resolver, fetcher: any BIMIFetcher, roots: BIMIRoots, cache: BIMICache? = nil, options: Options = Options()) {
        discovery = BIMIDiscovery(resolver: resolver)
        self.fetcher = fetcher
        var mark = options.mark
        mark.logoOctets = min(mark.logoOctets, options.indicator.octets)
        verifier = BIMIMarkVerifier(roots: roots, limits: mark)
        self.cache = cache
        self.options = options
    }

    /// Evaluates a message.
    public func evaluate(_ subject: Subject, at now: Date) async -> BIMIEvaluation {
        if let refusal = subject.precondition.refusal {
            var evaluation = BIMIEvaluation(.skipped, reason: "\(refusal)")
            evaluation.refusal = refusal
            return evaluation
        }
        let finding = await discovery.find(
            authorDomain: subject.authorDomain, organizationalDomain: subject.organizationalDomain, selector: subject.selector,
            localPart: subject.localPart)
        var evaluation: BIMIEvaluation
        switch finding.outcome {
        case .none: evaluation = BIMIEvaluation(.none, reason: "there is no record")
        case .several(let count): evaluation = BIMIEvaluation(.none, reason: "there are \(count) records instead of one")
        case .temporary(let error): evaluation = BIMIEvaluation(.temperror, reason: "\(error)")
        case .invalid(let error): evaluation = BIMIEvaluation(.fail, reason: "\(error)")
        case .record(let record):
            evaluation = BIMIEvaluation(.fail)
            evaluation.discovery = finding
            evaluation.record = record
            await judge(record, subject, finding, at: now, &evaluation)
        }
        evaluation.discovery = finding
        return evaluation
    }

    private func judge(
        _ record: BIMIRecord, _ subject: Subject, _ finding: BIMIDiscovery.Finding, at now: Date, _ evaluation: inout BIMIEvaluation
    ) async {
        if record.isDeclination {
            evaluation.result = .declined
            evaluation.reason = "the domain declines to take part"
            return
        }
        // §7.3, step 1.
        guard let location = record.location else {
            evaluation.reason = "the record has no location of an indicator"
            return
        }
        if let evidence = record.evidenceLocation {
            await judgeEvidence(evidence, location, subject, finding, at: now, &evaluation)
            return
        }
        guard options.evidence == .optional else {
            evaluation.result = .skipped
            evaluation.reason = "sender not trusted: there is no evidence"
            return
        }
        guard let octets = await fetch(location, limit: options.indicator.octets, at: now, &evaluation) else { return }
        accept(octets, &evaluation)
    }

    private func judgeEvidence(
        _ evidence: BIMILocation, _ location: BIMILocation, _ subject: Subject, _ finding: BIMIDiscovery.Finding, at now: Date,
        _ evaluation: inout BIMIEvaluation
    ) async {
        guard let document = await fetch(evidence, limit: options.mark.documentOctets, at: now, &evaluation) else {
            // Not a word on evidence that nobody could look at.
            evaluation.authority = evaluation.result == .temperror ? .none : .fail
            return
        }
        evaluation.authority = .fail
        let markSubject = BIMIMarkVerifier.Subject(
            authorDomain: subject.authorDomain, organizationalDomain: subject.organizationalDomain, selector: finding.selector)
        let mark = await verifier.verify(document, for: markSubject, at: now)
        evaluation.mark = mark
        guard mark.isValid, let logotype = mark.logotype else {
            evaluation.reason = mark.problems.first.map { "\($0)" } ?? "the evidence has no logo"
            return
        }
        // "found to be valid then this MUST be set to pass" (§7.7), whatever comes of the indicator.
        evaluation.authority = .pass
        guard let octets = await fetch(location, limit: options.indicator.octets, at: now, &evaluation) else { return }
        accept(octets, &evaluation)
        guard evaluation.result == .pass, let indicator = evaluation.indicator else { return }
        let isSame = indicator.svg == logotype.svg
        evaluation.locationMatchesEvidence = isSame
        // draft-fetch-validation-vmc-wchuang-11 §5.3, step 7.
        if !isSame {
            evaluation.result = .fail
            evaluation.authority = .fail
            evaluation.reason = "the indicator at “l=” is another one than that of the evidence"
        }
    }

    private func accept(_ octets: [UInt8], _ evaluation: inout BIMIEvaluation) {
        let indicator = BIMIIndicator.judge(octets: octets, limits: options.indicator)
        evaluation.indicator = indicator
        if indicator.isAccepted {
            evaluation.result = .pass
            evaluation.reason = nil
        } else {
            evaluation.result = .fail
            evaluation.reason = "Invalid SVG" + (indicator.problems.first.map { ": \($0)" } ?? "")
        }
    }

    private func fetch(_ location: BIMILocation, limit: Int, at now: Date, _ evaluation: inout BIMIEvaluation) async -> [UInt8]? {
        if let octets = cache?.octets(of: location, at: now), octets.count <= limit {
            evaluation.fetches.append(BIMIFetch(location: location, octets: octets.count, error: nil, isFromCache: true))
            return octets
        }
        do throws(BIMIFetchError) {
            let octets = try await fetcher.fetch(location, limit: limit)
            // The fetcher's promise is looked after.
            guard octets.count <= limit else { throw BIMIFetchError(.tooLarge, reason: "there are more than \(limit) octets") }
            cache?.store(octets, of: location, at: now)
            evaluation.fetches.append(BIMIFetch(location: location, octets: octets.count, error: nil, isFromCache: false))
            return octets
        } catch {
            evaluation.fetches.append(BIMIFetch(location: location, octets: nil, error: error, isFromCache: false))
            // §7.7: 'temperror' is for the DNS; everything else that fails is 'fail'. What nobody waited for has not failed.
            evaluation.result = error.code == .nameLookupFailed || error.code == .pending ? .temperror : .fail
            evaluation.reason = "\(location.text) can't be fetched: \(error)"
            return nil
        }
    }
}
