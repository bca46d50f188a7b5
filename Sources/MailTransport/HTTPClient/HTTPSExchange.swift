public import DNS
public import NIOCore

/// A request and what came of it, with the evidence.
///
/// An answer is an answer whatever its status is: a redirection too, which is never followed (RFC 8461 §3.3).
public struct HTTPSExchange: Sendable {
    /// An answer (RFC 9112 §4).
    public struct Response: Sendable, Hashable {
        /// `200`.
        public var status: Int
        /// Content-Type as it is written; `nil` where there is none, or more than one.
        public var contentType: String?
        /// Content-Encoding, such as `gzip`, in lower case. The content is given as it came.
        public var contentEncoding: String?
        /// Where a redirection leads to.
        public var location: String?
        /// All fields in their order, for protocols that have fields of their own.
        public var fields: [Field]
        /// The content.
        public var body: ByteBuffer
    }

    /// A field of an answer (RFC 9110 §5).
    public struct Field: Sendable, Hashable {
        /// Upper and lower case are the same.
        public var name: String
        public var value: String
    }

    /// An address that couldn't be connected to, before the next one was tried.
    public struct FailedAddress: Sendable, Hashable {
        public var address: IPAddress
        public var failure: HTTPSFailure
    }

    public var method: HTTPSRequest.Method
    public var uri: String
    /// The questions for the host's addresses.
    public var lookups: [DNSLookup] = []
    /// Addresses of the name that nobody may connect to.
    public var forbiddenAddresses: [IPAddress] = []
    /// Addresses that didn't answer.
    public var failedAddresses: [FailedAddress] = []
    /// Who was asked, or tried last.
    public var address: IPAddress?
    /// The session; `nil` where the handshake didn't succeed.
    public var tls: TLSSummary?
    /// The certificate's name that fits, such as `*.kartapuce.test`.
    public var certificateName: String?
    /// How long all of it took.
    public var duration = Duration.zero
    /// The answer, or why there is none.
    public var outcome: Result<Response, HTTPSFailure>

    init(_ request: HTTPSRequest) {
        method = request.method
        uri = request.uri
        outcome = .failure(HTTPSFailure(.cancelled, "nobody was asked"))
    }
}

extension HTTPSExchange: CustomStringConvertible {
    /// One line for a story: `GET https://logos.kartapuce.test/logo.svg at 203.0.113.5: 200, image/svg+xml, 1812 octets, TLSv1.3`.
    public var description: String {
        let place = "\(method.rawValue) \(uri)" + (address.map { " at \($0)" } ?? "")
        switch outcome {
        case .failure(let failure): return "\(place): \(failure)"
        case .success(let response):
            let parts = [
                "\(response.status)", response.location.map { "to \($0)" }, response.contentType, "\(response.body.readableBytes) octets", tls?.version,
            ]
            return "\(place): \(parts.compactMap { $0 }.joined(separator: ", "))"
        }
    }
}
