public import DNS
public import FoundationEssentials
import TransportSecurity

/// Judges how a domain's mail is set up: what the DNS says, and what its servers say where probes are given.
public struct PostureChecker: Sendable {
    /// What to look at, and how much.
    public struct Options: Sendable {
        /// Selectors of DKIM that must have a key.
        public var selectors: [DomainName] = []
        /// Selectors that are tried beside them.
        public var triedSelectors: [String] = PostureSelectors.common
        /// The most mail servers that are looked at.
        public var hostLimit = 10
        /// The most addresses that are spoken to or looked up.
        public var addressLimit = 12
        /// Whether servers are asked to pass mail on for strangers.
        public var triesRelaying = true
        /// The days before a certificate's end that count as soon.
        public var certificateDays = 7.0

        /// The usual.
        public init() {}
    }

    let resolver: any Resolver
    let probes: PostureProbes
    let options: Options

    /// Makes a checker.
    public init(resolver: any Resolver, probes: PostureProbes = PostureProbes(), options: Options = Options()) {
        self.resolver = resolver
        self.probes = probes
        self.options = options
    }

    /// Looks at a domain.
    public func check(_ domain: DomainName, at now: Date) async -> PostureReport {
        let exchange = await PostureExchange.find(domain, resolver, hostLimit: options.hostLimit)
        var findings = exchange.findings
        guard exchange.kind != .missing else { return PostureReport(domain: domain, at: now, findings: findings) }
        let subject = PostureSubject(domain: domain, exchange: exchange, now: now)
        findings += await inParallel([
            { await dnssec(subject) },
            { await servers(subject) },
            { await reports(subject) },
            { await spf(subject) },
            { await dkim(subject) },
            { await dmarcAndLogo(subject) },
            { await authorities(subject) },
            { await mailPrograms(subject) },
        ])
        let seen = Set(findings.map(\.code))
        if exchange.kind == .null, seen.isSuperset(of: [.spfGood, .dmarcGood]) {
            findings.append(PostureFinding(.domainUnused, domain.ascii, "takes no mail, sends none, and says so"))
        }
        return PostureReport(domain: domain, at: now, findings: findings)
    }

    /// All parts at once; the findings in the order of the parts.
    func inParallel(_ parts: [@Sendable () async -> [PostureFinding]]) async -> [PostureFinding] {
        await withTaskGroup(of: (Int, [PostureFinding]).self) { group in
            for (number, part) in parts.enumerated() { group.addTask { (number, await part()) } }
            var results = [[PostureFinding]](repeating: [], count: parts.count)
            for await (number, findings) in group { results[number] = findings }
            return results.flatMap { $0 }
        }
    }

    /// A question to the DNS.
    func ask(_ name: DomainName, _ type: DNSRecordType) async -> DNSLookup { await DNSLookup(name, type, using: resolver) }

    /// A question below a domain; `nil` where the name would be too long.
    func ask(_ labels: String, below domain: DomainName, _ type: DNSRecordType) async -> DNSLookup? {
        guard let name = try? domain.prefixed(with: labels) else { return nil }
        return await ask(name, type)
    }
}

/// What all parts need to know.
struct PostureSubject: Sendable {
    var domain: DomainName
    var exchange: PostureExchange
    var now: Date

    /// Whether the domain says that it takes no mail, or has nowhere to send it to.
    var isWithoutMail: Bool { exchange.kind == .null || exchange.kind == .nowhere }
}

extension DNSLookup {
    /// The answer, where there is one.
    var answer: DNSAnswer? { try? result.get() }

    /// Why there is none.
    var failure: DNSError? { if case .failure(let error) = result { error } else { nil } }

    /// The texts of an answer.
    var texts: [[UInt8]] { answer?.records.compactMap { if case .txt(let text) = $0 { text } else { nil } } ?? [] }
}
