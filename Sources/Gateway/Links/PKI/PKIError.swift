/// Why a certificate could not be made, read or written.
public struct PKIError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Sendable, Hashable {
        /// There is an authority already, which must not be overwritten.
        case exists
        /// A file isn't there.
        case notFound
        /// A file holds something else than it should.
        case invalid
        /// What was asked for makes no certificate.
        case invalidRequest
        /// The file system refused.
        case inputOutput
    }
    /// The kind of failure.
    public var code: Code
    /// What, where, and what an operator can do. Never key material.
    public var message: String
    /// Makes an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
    /// The message.
    public var description: String { message }
}
