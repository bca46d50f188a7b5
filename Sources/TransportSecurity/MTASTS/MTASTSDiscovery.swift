public import DNS

/// What the DNS says about a domain's policy (RFC 8461 §3.1).
public enum MTASTSDiscovery: Hashable, Sendable {
    /// There is a policy of this edition.
    case record(MTASTSRecord)
    /// There is no record.
    case notFound
    /// There are several, which counts as none.
    case several(Int)
    /// The record breaks the rules, which counts as none.
    case invalid(String)
    /// Nobody can tell now.
    case failed(DNSError)

    /// Asks.
    public static func ask(_ domain: DomainName, using resolver: any Resolver) async -> (discovery: MTASTSDiscovery, lookup: DNSLookup?) {
        // A name that would be too long has no record.
        guard let name = try? DomainName("_mta-sts.\(domain.ascii)") else { return (.notFound, nil) }
        let lookup = await DNSLookup(name, .txt, using: resolver)
        switch lookup.result {
        case .failure(let error): return (.failed(error), lookup)
        case .success(let answer):
            return (
                MTASTSRecord.choose(
                    answer.records.compactMap { if case .txt(let text) = $0 { text } else { nil } }), lookup
            )
        }
    }
}

/// Fetches the resource with a domain's policy. The library opens no sockets: whoever calls it passes this in.
///
/// An implementation asks `https://mta-sts.DOMAIN/.well-known/mta-sts.txt` by GET, names the policy host in the handshake, checks its
/// certificate's DNS names and its way to a root, follows no redirection, uses no cache (RFC 8461 §3.3), reads at most `limit` octets, and gives
/// up after a minute at most.
public protocol MTASTSFetcher: Sendable {
    /// The response of a policy host.
    func fetch(policyHost: DomainName, limit: Int) async throws(MTASTSFetchError) -> MTASTSResponse
}

/// What a policy host answered.
public struct MTASTSResponse: Hashable, Sendable {
    /// The HTTP status.
    public var status: Int
    /// The field Content-Type.
    public var contentType: String?
    /// The body.
    public var body: [UInt8]

    /// Makes a response.
    public init(status: Int, contentType: String?, body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }
}

/// Why there is no policy.
public struct MTASTSFetchError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Hashable, Sendable, Codable {
        /// The policy host has no address, or nobody can tell now.
        case nameLookupFailed
        /// Nobody answers.
        case connectionFailed
        /// The certificate isn't the policy host's, or nobody trusts it.
        case untrusted
        /// It took too long.
        case timeout
        /// There are more octets than the limit.
        case tooLarge
        /// The status is another than 200 (RFC 8461 §3.3).
        case status
        /// It is no plain text (RFC 8461 §3.2).
        case mediaType
        /// The policy breaks the rules.
        case invalidPolicy
    }
    /// What failed.
    public var code: Code
    /// What an operator wants to know.
    public var reason: String

    /// Makes an error.
    public init(_ code: Code, reason: String) {
        self.code = code
        self.reason = reason
    }

    /// What a report on TLS calls it (RFC 8460 §4.3.2.2).
    public var resultType: TLSResultType {
        switch code {
        case .untrusted: .stsWebPKIInvalid
        case .invalidPolicy: .stsPolicyInvalid
        case .nameLookupFailed, .connectionFailed, .timeout, .tooLarge, .status, .mediaType: .stsPolicyFetchError
        }
    }

    public var description: String { "\(code.rawValue): \(reason)" }
}

extension MTASTSPolicy {
    /// The host that a domain's policy is fetched from (RFC 8461 §3.2).
    /// - Throws: ``DomainNameError`` for a domain whose name leaves no room.
    public static func host(of domain: DomainName) throws(DomainNameError) -> DomainName { try DomainName("mta-sts.\(domain.ascii)") }

    /// Fetches a domain's policy and reads it.
    /// - Throws: ``MTASTSFetchError``.
    public static func fetch(_ domain: DomainName, using fetcher: any MTASTSFetcher) async throws(MTASTSFetchError) -> MTASTSPolicy {
        guard let host = try? host(of: domain) else { throw MTASTSFetchError(.nameLookupFailed, reason: "the name of the policy host would be too long") }
        return try MTASTSPolicy(response: try await fetcher.fetch(policyHost: host, limit: sizeLimit))
    }

    /// Reads a response (RFC 8461 §3.3).
    /// - Throws: ``MTASTSFetchError``.
    public init(response: MTASTSResponse) throws(MTASTSFetchError) {
        guard response.status == 200 else { throw MTASTSFetchError(.status, reason: "the status is \(response.status), not 200 (RFC 8461 §3.3)") }
        // RFC 8461 §3.2: parameters say nothing.
        let type = response.contentType?.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false).first.map {
            $0.split(whereSeparator: { $0 == " " || $0 == "\t" }).joined().lowercased()
        }
        guard type == "text/plain" else {
            throw MTASTSFetchError(.mediaType, reason: "the media type is “\((response.contentType ?? "").prefix(80))”, not text/plain (RFC 8461 §3.2)")
        }
        guard response.body.count <= Self.sizeLimit else {
            throw MTASTSFetchError(.tooLarge, reason: "the policy has more than \(Self.sizeLimit) octets (RFC 8461 §3.3)")
        }
        do {
            self = try MTASTSPolicy(parsing: response.body)
        } catch {
            throw MTASTSFetchError(.invalidPolicy, reason: error.reason)
        }
    }
}
