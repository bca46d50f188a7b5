import FoundationEssentials

/// A report on TLS (RFC 8460 §4), read as tolerantly as its many writers need. All counts are sessions.
public struct TLSReport: Hashable, Sendable, Codable {
    /// The period.
    public struct DateRange: Hashable, Sendable, Codable {
        public var start: String
        public var end: String

        private enum CodingKeys: String, CodingKey {
            case start = "start-datetime"
            case end = "end-datetime"
        }
    }

    /// What happened under one policy.
    public struct PolicyResult: Hashable, Sendable, Codable {
        public var policy: Policy
        public var summary: Summary
        public var failures: [Failure]?

        private enum CodingKeys: String, CodingKey {
            case policy, summary
            case failures = "failure-details"
        }
    }

    /// The policy that was found.
    public struct Policy: Hashable, Sendable, Codable {
        /// `tlsa`, `sts` or `no-policy-found`; other words as they are written.
        public var type: String
        public var lines: [String]?
        public var domain: String?
        public var exchangers: [String]?

        private enum CodingKeys: String, CodingKey {
            case type = "policy-type"
            case lines = "policy-string"
            case domain = "policy-domain"
            case exchangers = "mx-host"
        }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            type = try container.decode(String.self, forKey: .type)
            domain = try container.decodeIfPresent(String.self, forKey: .domain)
            // RFC 8460 §4.4 has lists; some write one as a text.
            lines = try container.listIfPresent(.lines)
            exchangers = try container.listIfPresent(.exchangers)
        }
    }

    public struct Summary: Hashable, Sendable, Codable {
        public var successes: UInt64?
        public var failures: UInt64?

        private enum CodingKeys: String, CodingKey {
            case successes = "total-successful-session-count"
            case failures = "total-failure-session-count"
        }
    }

    /// One kind of failure.
    public struct Failure: Hashable, Sendable, Codable {
        public var type: String
        public var sessions: UInt64?
        public var sendingAddress: String?
        public var receivingHost: String?
        public var receivingHELO: String?
        public var receivingAddress: String?
        public var information: String?
        public var reason: String?

        private enum CodingKeys: String, CodingKey {
            case type = "result-type"
            case sessions = "failed-session-count"
            case sendingAddress = "sending-mta-ip"
            case receivingHost = "receiving-mx-hostname"
            case receivingHELO = "receiving-mx-helo"
            case receivingAddress = "receiving-ip"
            case information = "additional-information"
            case reason = "failure-reason-code"
        }
    }

    public var organization: String
    public var dateRange: DateRange
    public var contact: String?
    public var identifier: String
    public var policies: [PolicyResult]

    private enum CodingKeys: String, CodingKey {
        case organization = "organization-name"
        case dateRange = "date-range"
        case contact = "contact-info"
        case identifier = "report-id"
        case policies
    }

    /// The most policies that are read.
    public static let policyLimit = 10_000

    /// Reads the JSON of a report, decompressed.
    /// - Throws: ``ReportError``.
    public init(parsing json: [UInt8]) throws(ReportError) {
        do {
            self = try JSONDecoder().decode(TLSReport.self, from: Data(json))
        } catch let error as DecodingError {
            throw ReportError(.notAReport, Self.reason(error))
        } catch {
            throw ReportError(.notAReport, "\(error)")
        }
        guard policies.count <= Self.policyLimit else {
            throw ReportError(.tooMany, "the report has \(policies.count) policies, more than \(Self.policyLimit)")
        }
    }

    private static func reason(_ error: DecodingError) -> String {
        func path(_ context: DecodingError.Context) -> String { context.codingPath.map(\.stringValue).joined(separator: ".") }
        return switch error {
        case .keyNotFound(let key, let context): "“\((path(context).isEmpty ? "" : path(context) + ".") + key.stringValue)” is missing (RFC 8460 §4.4)"
        case .typeMismatch(_, let context), .valueNotFound(_, let context): "“\(path(context))” is of another type (RFC 8460 §4.4)"
        case .dataCorrupted(let context): path(context).isEmpty ? "it is no JSON (RFC 8259)" : "“\(path(context))” can't be read (RFC 8460 §4.4)"
        @unknown default: "it can't be read"
        }
    }

    /// Sessions in all.
    public var successes: UInt64 { policies.reduce(0) { $0 &+ ($1.summary.successes ?? 0) } }
    public var failures: UInt64 { policies.reduce(0) { $0 &+ ($1.summary.failures ?? 0) } }
}

extension KeyedDecodingContainer {
    fileprivate func listIfPresent(_ key: Key) throws -> [String]? {
        if let text = try? decodeIfPresent(String.self, forKey: key) { return [text] }
        return try decodeIfPresent([String].self, forKey: key)
    }
}
