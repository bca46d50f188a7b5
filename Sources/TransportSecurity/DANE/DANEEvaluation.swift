public import DNS

/// What came of comparing a server's chain with TLSA records, and why.
public struct DANEEvaluation: Sendable {
    /// The results.
    public enum Result: String, Hashable, Sendable, Codable {
        /// A record matches, and all that it asks for holds: the server is the one that the domain means.
        case pass
        /// No record matches, or what it asks for doesn't hold: no message may be sent there (RFC 7672 §3.2).
        case fail
        /// There are records, and none can be used: TLS is required, and nobody is authenticated (RFC 7672 §2.2).
        case unusable
        /// There are no records.
        case none
    }

    /// What came of one record.
    public struct Record: Hashable, Sendable {
        /// The record.
        public var record: TLSARecord
        /// Why it can't be used; `nil` where it can.
        public var unusable: TLSARecord.Unusable?
        /// Whether a record of the same usage and selector with a stronger digest stands in its place (RFC 7671 §9).
        public var isSuperseded: Bool
        /// The depths of the certificates that match it, from the server's own at 0. Only those where its usage looks are compared:
        /// DANE-EE(3) at 0, DANE-TA(2) above.
        public var matchedDepths: [Int]
        /// Whether this is the record that decided.
        public var decided: Bool

        /// What came of it, in words.
        public var note: String {
            if let unusable { return "unusable: \(unusable)" }
            if isSuperseded { return "left aside for a stronger digest (RFC 7671 §9)" }
            if matchedDepths.isEmpty { return decided ? "its key signed the last certificate of the chain" : "matches nothing" }
            return "matches at depth \(matchedDepths.map(String.init).joined(separator: ", "))"
        }
    }

    /// The result.
    public var result: Result
    /// The depth of the certificate that matched, from the server's own at 0; also where names or times failed then. For a bare key that no
    /// certificate of the chain has, the depth of the certificate that it signed.
    public var depth: Int?
    /// The records, in their order.
    public var records: [Record]
    /// The name of the certificate's that was compared with success; DANE-EE(3) compares none.
    public var matchedName: DomainName?
    /// What is wrong.
    public var problems: [CertificateProblem]
    /// The server's certificates, in the order in which they came.
    public var chain: [CertificateSummary]

    /// What a report on TLS says of it (RFC 8460 §4.3); `nil` for a success, and where nothing was to be compared.
    public var resultType: TLSResultType? {
        switch result {
        case .pass, .none: nil
        case .unusable: .tlsaInvalid
        case .fail: problems.foremost?.resultType ?? .validationFailure
        }
    }

    /// Why, in words.
    public var reason: String {
        switch result {
        case .pass:
            let record = records.first { $0.decided }?.record
            return "“\(record.map { "\($0.usage) \($0.selector) \($0.matchingType)" } ?? "")” matches at depth \(depth ?? 0)"
                + (matchedName.map { ", the certificate is for \($0)" } ?? "")
        case .fail: return problems.map(\.reason).joined(separator: "; ")
        case .unusable: return "no record can be used: TLS is required, without authentication (RFC 7672 §2.2)"
        case .none: return "there is no record"
        }
    }
}
