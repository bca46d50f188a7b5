/// Fetches an indicator or evidence. The library opens no sockets: whoever calls it passes this in.
///
/// An implementation speaks HTTPS to port 443 of the location's host, checks its certificate for the host's name against the roots of the
/// web (draft-brand-indicators-for-message-identification-12 §7.5), connects to no address that `IPAddress.isSpecial` knows, reads at most
/// `limit` octets, and gives up after a time of its own.
public protocol BIMIFetcher: Sendable {
    /// The octets at a location.
    func fetch(_ location: BIMILocation, limit: Int) async throws(BIMIFetchError) -> [UInt8]
}

/// Why something couldn't be fetched.
public struct BIMIFetchError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Hashable, Sendable, Codable {
        /// The DNS has no answer now.
        case nameLookupFailed
        /// The name has no address, or only forbidden ones.
        case noAddress
        /// Nobody answers.
        case connectionFailed
        /// The certificate isn't the host's, or nobody trusts it.
        case untrusted
        /// It took too long.
        case timeout
        /// There are more octets than the limit.
        case tooLarge
        /// The answer is another than 200, or a redirection to a location that may not be fetched.
        case refused
        /// It is still on its way, or has to wait for others: a later message may find it.
        case pending
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

    /// Whether another try may succeed soon.
    public var isTemporary: Bool {
        switch code {
        case .nameLookupFailed, .connectionFailed, .timeout, .pending: true
        case .noAddress, .untrusted, .tooLarge, .refused: false
        }
    }

    public var description: String { "\(code.rawValue): \(reason)" }
}
