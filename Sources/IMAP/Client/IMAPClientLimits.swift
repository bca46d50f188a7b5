/// How much a server may say before anybody reads it.
public struct IMAPClientLimits: Hashable, Sendable {
    /// Octets of one response apart from its literals. A SEARCH may name very many messages.
    public var lineLength = 1024 * 1024
    /// Octets of one literal: of a message, at most.
    public var literalLength = 64 * 1024 * 1024
    /// Literals in one response.
    public var literalCount = 1000
    /// Parentheses within parentheses.
    public var nestingDepth = 32
    /// Words, strings and lists of one response.
    public var valueCount = 200_000
    /// Untagged responses to one command.
    public var responseCount = 20_000

    /// Takes the defaults.
    public init() {}
}

/// Why a server's octets are no response that can be used.
public struct IMAPResponseError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of faults.
    public enum Code: String, Hashable, Sendable {
        /// Something else must stand here.
        case unexpected
        /// A limit of ``IMAPClientLimits`` is passed.
        case tooLarge
    }
    /// The kind of fault.
    public let code: Code
    /// What was expected. Nothing that the server said stands in it.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
