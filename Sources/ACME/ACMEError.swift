public import DNS

/// Why something with a certificate authority didn't come about.
public struct ACMEError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Hashable, Sendable, Codable {
        /// The server's answer can't be read, or says something that RFC 8555 doesn't allow.
        case protocolViolation
        /// Something is larger or comes more often than ``ACMELimits`` allow.
        case limitExceeded
        /// The server refuses; see ``ACMEError/problem``.
        case refused
        /// A challenge failed, or an authorization isn't valid any more.
        case authorizationFailed
        /// The order can't be completed any more.
        case orderFailed
        /// The server offers no challenge of the kind that is set up.
        case noSuchChallenge
        /// The server doesn't offer what was asked for.
        case notOffered
        /// The terms of service weren't agreed to.
        case termsNotAgreed
        /// The account can't be made without one of the authority's customers (RFC 8555 §7.3.4).
        case externalAccountRequired
        /// The certificate isn't what was ordered.
        case wrongCertificate
        /// A key, a name or a time that can't be used.
        case invalidInput
        /// The driver couldn't do what it was asked for.
        case driverFailed
    }

    /// Which kind.
    public let code: Code
    /// What, where, and with the section of the standard.
    public let reason: String
    /// What the server said, where it said something.
    public let problem: ACMEProblem?
    /// The name that it is about, where it is about one.
    public let name: DomainName?
    /// For how many seconds the server wants to be left alone, where it says so (RFC 8555 §6.6).
    public let retryAfterSeconds: Int?

    @inline(never) init(
        _ code: Code, _ reason: String, problem: ACMEProblem? = nil, name: DomainName? = nil, retryAfterSeconds: Int? = nil
    ) {
        self.code = code
        self.reason = reason
        self.problem = problem
        self.name = name
        self.retryAfterSeconds = retryAfterSeconds
    }

    public var description: String {
        var text = reason
        if let name { text = "\(name): \(text)" }
        if let problem { text += ": \(problem)" }
        if let retryAfterSeconds { text += " (the server asks for \(retryAfterSeconds) seconds of rest)" }
        return text
    }
}
