import ACME
public import DNS

/// One thing that was looked at, and what came of it.
public struct PostureFinding: Sendable, Hashable, Codable {
    /// What somebody else said.
    public struct Evidence: Sendable, Hashable, Codable {
        /// Who said it.
        public enum Source: String, Sendable, Hashable, Codable {
            case dns, smtp, https
        }
        /// Who said it.
        public var source: Source
        /// What was asked: `kartapuce.test. MX`, `EHLO`, a URI.
        public var question: String
        /// What came back.
        public var answer: String

        /// Makes a piece of evidence.
        public init(_ source: Source, _ question: String, _ answer: String) {
            self.source = source
            self.question = question
            self.answer = answer
        }
    }

    /// Which rule.
    public var code: PostureCode
    /// How much it matters.
    public var severity: PostureSeverity
    /// The domain, host or address that it is about.
    public var subject: String
    /// What was found, in one sentence.
    public var text: String
    /// What shows it.
    public var evidence: [Evidence]
    /// The section that has the rule.
    public var reference: String
    /// What to do; empty where there is nothing to do.
    public var advice: String

    /// Makes a finding; severity, section and advice are those of the code unless other advice fits better.
    public init(_ code: PostureCode, _ subject: String, _ text: String, _ evidence: [Evidence] = [], advice: String? = nil) {
        self.code = code
        severity = code.severity
        self.subject = subject
        self.text = text
        self.evidence = Array(evidence.prefix(Self.evidenceLimit))
        reference = code.reference
        self.advice = advice ?? code.advice
    }

    /// The most pieces of evidence that a finding keeps.
    public static let evidenceLimit = 20
}

extension PostureFinding.Evidence {
    /// The octets of an answer that are kept; no record that people write is longer.
    private static let answerLimit = 2048

    /// A question to the DNS and its answer, as a zone file would write it.
    public init(_ lookup: DNSLookup) {
        source = .dns
        question = "\(lookup.name.ascii). \(lookup.type)"
        switch lookup.result {
        case .failure(let error): answer = "no answer (\(error.code.rawValue)): \(error.reason)"
        case .success(let found):
            let records =
                switch found.outcome {
                case .records: found.records.map { Self.text(of: $0, lookup.type) }.joined(separator: ", ")
                case .noData: "no such record"
                case .nonexistentDomain: "no such name"
                }
            let alias = found.canonicalName.map { " (by CNAME \($0.ascii).)" } ?? ""
            answer = String((records + alias + (found.security == .secure ? " [signed]" : "")).prefix(Self.answerLimit))
        }
    }

    /// A record's data as people write it.
    private static func text(of data: DNSRecordData, _ type: DNSRecordType) -> String {
        guard type == .caa, case .other(let octets) = data, let record = CAARecord(octets: octets) else { return "\(data)" }
        return "\(octets.first ?? 0) \(record.tag) \(DNSRecordData.txt(record.value))"
    }

    /// The parts that there are.
    static func of(_ lookups: DNSLookup?...) -> [Self] { lookups.compactMap { $0.map(Self.init) } }
}
