import IMAP
import NIOCore
import NIOSSL
import SASL

/// Why something was not done at an IMAP server.
public struct IMAPClientError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Hashable, Sendable {
        /// There is no connection, or it ended.
        case connection
        /// The server could not prove who it is.
        case notTrusted
        /// The server doesn't take this user with this password.
        case loginRefused
        /// The server doesn't take logins now, or none that may be used here.
        case loginUnavailable
        /// The server refused a command.
        case refused
        /// The server broke the protocol, or went over a limit.
        case protocolViolation
        /// It took too long.
        case timedOut
    }
    /// The kind of failure.
    public let code: Code
    /// The server's response code in upper case, such as `NONEXISTENT`, where it gave one.
    public let responseCode: String?
    /// For logs.
    public let description: String

    init(_ code: Code, responseCode: String? = nil, _ description: String) {
        self.code = code
        self.responseCode = responseCode
        self.description = description
    }

    /// What any error of a connection means.
    static func describing(_ error: any Error, hasTimedOut: Bool) -> IMAPClientError {
        if hasTimedOut { return IMAPClientError(.timedOut, "the server took too long") }
        switch error {
        case let error as IMAPClientError: return error
        case let error as IMAPResponseError: return IMAPClientError(.protocolViolation, error.description)
        case let error as SASLError: return IMAPClientError(error.code == .badCredentials ? .loginRefused : .notTrusted, error.description)
        case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError: return IMAPClientError(.notTrusted, "TLS: \(error)")
        default: return IMAPClientError(.connection, "\(error)")
        }
    }
}
