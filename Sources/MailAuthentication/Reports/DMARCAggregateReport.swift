/// An aggregate report: what a receiver saw of a domain's mail over a period (RFC 9990 §3.1; reports of RFC 7489 and of drafts are read too).
///
/// Everything in it was written by whoever sent it: it is evidence of what they say, and no proof (RFC 9990 §8.2).
public struct DMARCAggregateReport: Hashable, Sendable, Codable {
    /// The namespace of RFC 9990 §6.1.
    public static let namespace = "urn:ietf:params:xml:ns:dmarc-2.0"

    /// The namespace of the outermost element; empty in most reports of RFC 7489.
    public var namespace: String
    /// The version as it is written.
    public var version: String?
    /// Who reports, and on which period.
    public var metadata: Metadata
    /// The policy that was found.
    public var policy: Policy
    /// What was seen.
    public var records: [Record]
    /// What deviates from RFC 9990 and RFC 7489; the value is kept as it was written.
    public var problems: [DMARCReportProblem]
    /// How many problems were seen, with those that were too many to keep.
    public var problemCount: Int

    /// Makes a report.
    public init(
        namespace: String = DMARCAggregateReport.namespace, version: String? = "1.0", metadata: Metadata, policy: Policy, records: [Record]
    ) {
        self.namespace = namespace
        self.version = version
        self.metadata = metadata
        self.policy = policy
        self.records = records
        problems = []
        problemCount = 0
    }

    /// The messages of all records; the largest number where there are more.
    public var messageCount: Int { records.reduce(0) { Self.sum($0, $1.count) } }

    static func sum(_ left: Int, _ right: Int) -> Int {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }

    /// Who reports, and on which period (RFC 9990 §3.1.1.3).
    public struct Metadata: Hashable, Sendable, Codable {
        /// The reporting organisation.
        public var organizationName: String
        /// Its address for questions.
        public var email: String?
        /// More ways to reach it.
        public var extraContactInfo: String?
        /// Unique among reports to the same domain (RFC 9990 §3.5.1).
        public var reportID: String
        /// The beginning of the period, in seconds since 1970 UTC.
        public var begin: Int
        /// The end of the period, in seconds since 1970 UTC.
        public var end: Int
        /// What went wrong with the domain's record; RFC 9990 has one text at most.
        public var errors: [String]
        /// The program that made the report.
        public var generator: String?

        /// Makes metadata.
        public init(
            organizationName: String, email: String?, extraContactInfo: String? = nil, reportID: String, begin: Int, end: Int,
            errors: [String] = [], generator: String? = nil
        ) {
            self.organizationName = organizationName
            self.email = email
            self.extraContactInfo = extraContactInfo
            self.reportID = reportID
            self.begin = begin
            self.end = end
            self.errors = errors
            self.generator = generator
        }
    }

    /// The policy that was found (RFC 9990 §3.1.1.5).
    public struct Policy: Hashable, Sendable, Codable {
        /// Where the record was found.
        public var domain: String
        /// `p`.
        public var domainPolicy: DMARCReportDisposition
        /// `sp`.
        public var subdomainPolicy: DMARCReportDisposition?
        /// `np`.
        public var nonexistentDomainPolicy: DMARCReportDisposition?
        /// `adkim`.
        public var dkimAlignment: DMARCReportAlignment?
        /// `aspf`.
        public var spfAlignment: DMARCReportAlignment?
        /// How the record was found.
        public var discovery: DMARCReportDiscovery?
        /// `fo` as it is written.
        public var failureOptions: String?
        /// `t`.
        public var isTesting: Bool?
        /// `pct` of RFC 7489.
        public var percentage: Int?
        /// `version_published` of an early draft.
        public var versionPublished: String?

        /// Makes a policy.
        public init(
            domain: String, domainPolicy: DMARCReportDisposition, subdomainPolicy: DMARCReportDisposition? = nil,
            nonexistentDomainPolicy: DMARCReportDisposition? = nil, dkimAlignment: DMARCReportAlignment? = nil,
            spfAlignment: DMARCReportAlignment? = nil, discovery: DMARCReportDiscovery? = nil, failureOptions: String? = nil,
            isTesting: Bool? = nil
        ) {
            self.domain = domain
            self.domainPolicy = domainPolicy
            self.subdomainPolicy = subdomainPolicy
            self.nonexistentDomainPolicy = nonexistentDomainPolicy
            self.dkimAlignment = dkimAlignment
            self.spfAlignment = spfAlignment
            self.discovery = discovery
            self.failureOptions = failureOptions
            self.isTesting = isTesting
        }
    }

    /// Messages that have everything below in common (RFC 9990 §3.1.1.7).
    public struct Record: Hashable, Sendable, Codable {
        /// The address that they came from, as it is written.
        public var sourceIP: String
        /// How many there were.
        public var count: Int
        /// What was done with them.
        public var disposition: DMARCReportDisposition
        /// Whether DKIM passed in alignment.
        public var dkim: DMARCReportOutcome
        /// Whether SPF passed in alignment.
        public var spf: DMARCReportOutcome
        /// Why something else was done than the policy asks for.
        public var reasons: [Reason]
        /// The domain of From.
        public var headerFrom: String
        /// The domain of MAIL FROM; empty for the null reverse-path.
        public var envelopeFrom: String?
        /// The domain of the recipients.
        public var envelopeTo: String?
        /// What DKIM itself said of each signature.
        public var dkimResults: [DKIMResult]
        /// What SPF itself said; RFC 7489 allows more than one.
        public var spfResults: [SPFResult]

        /// Makes a record.
        public init(
            sourceIP: String, count: Int, disposition: DMARCReportDisposition, dkim: DMARCReportOutcome, spf: DMARCReportOutcome,
            reasons: [Reason] = [], headerFrom: String, envelopeFrom: String? = nil, envelopeTo: String? = nil,
            dkimResults: [DKIMResult] = [], spfResults: [SPFResult] = []
        ) {
            self.sourceIP = sourceIP
            self.count = count
            self.disposition = disposition
            self.dkim = dkim
            self.spf = spf
            self.reasons = reasons
            self.headerFrom = headerFrom
            self.envelopeFrom = envelopeFrom
            self.envelopeTo = envelopeTo
            self.dkimResults = dkimResults
            self.spfResults = spfResults
        }

        /// Whether DMARC passed: one of the mechanisms did, in alignment (RFC 9989 §4.4).
        public var passes: Bool { dkim == .pass || spf == .pass }
    }

    /// Why something else was done than the policy asks for (RFC 9990 §3.1.1.14).
    public struct Reason: Hashable, Sendable, Codable {
        /// The kind.
        public var type: DMARCReportOverride
        /// Details for people.
        public var comment: String?

        /// Makes a reason.
        public init(type: DMARCReportOverride, comment: String? = nil) {
            self.type = type
            self.comment = comment
        }
    }

    /// What DKIM said of one signature (RFC 9990 §3.1.1.12).
    public struct DKIMResult: Hashable, Sendable, Codable {
        /// The tag `d`.
        public var domain: String
        /// The tag `s`; RFC 7489 let it be left out.
        public var selector: String?
        /// The result.
        public var result: DMARCReportResult
        /// Details for people.
        public var humanResult: String?

        /// Makes a result.
        public init(domain: String, selector: String?, result: DMARCReportResult, humanResult: String? = nil) {
            self.domain = domain
            self.selector = selector
            self.result = result
            self.humanResult = humanResult
        }
    }

    /// What SPF said (RFC 9990 §3.1.1.13).
    public struct SPFResult: Hashable, Sendable, Codable {
        /// The domain that was checked.
        public var domain: String
        /// Which identity it came from.
        public var scope: DMARCReportScope?
        /// The result.
        public var result: DMARCReportResult
        /// Details for people.
        public var humanResult: String?

        /// Makes a result.
        public init(domain: String, scope: DMARCReportScope? = .mailFrom, result: DMARCReportResult, humanResult: String? = nil) {
            self.domain = domain
            self.scope = scope
            self.result = result
            self.humanResult = humanResult
        }
    }
}

/// Something in a report that deviates from its format and was read nevertheless.
public struct DMARCReportProblem: Hashable, Sendable, Codable, CustomStringConvertible {
    /// The kinds of deviation.
    public enum Code: String, Hashable, Sendable, Codable {
        /// An element that must be there isn't, or is empty.
        case missing
        /// A word that the list doesn't have.
        case unknownWord
        /// An address, number or domain that isn't one.
        case invalidValue
        /// An element that may come once came again: the first one holds.
        case repeated
        /// A period that ends before it begins, or is longer than a year.
        case implausiblePeriod
        /// A namespace or version that no specification has.
        case unknownFormat
        /// Octets before the XML declaration were left out.
        case leadingOctets
    }

    /// The kind.
    public var code: Code
    /// The element, with those around it.
    public var field: String
    /// The line, from 1.
    public var line: Int
    /// What is written there, cut to 128 characters.
    public var value: String

    init(_ code: Code, field: String, line: Int, value: String) {
        self.code = code
        self.field = field
        self.line = line
        self.value = String(value.prefix(128))
    }

    public var description: String { "line \(line): \(field): \(code.rawValue)\(value.isEmpty ? "" : " (“\(value)”)")" }
}
