/// How much a client may say before anybody reads it.
public struct IMAPLimits: Hashable, Sendable {
    /// Octets of a command's lines together. RFC 9051 §4 asks for no number; RFC 7162 §4 asks for 8,192.
    public var commandLength = 64 * 1024
    /// Octets of one string literal.
    public var literalLength = 8 * 1024
    /// Octets of one non-synchronising literal (RFC 7888 §5, LITERAL-).
    public var nonSynchronisingLength = 4096
    /// Literals in one command.
    public var literalCount = 64
    /// Octets of a message to append.
    public var messageLength = 50 * 1024 * 1024
    /// Parentheses within parentheses, and NOT and OR within each other.
    public var nestingDepth = 32
    /// Elements of a list: keys of a search, items of a fetch, flags.
    public var listLength = 1000
    /// Ranges of a sequence set.
    public var rangeCount = 4096

    /// Takes the defaults.
    public init() {}
}

/// Why octets are no command.
public struct IMAPParseError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of faults.
    public enum Code: String, Hashable, Sendable {
        /// Something else must stand here.
        case unexpected
        /// There is no such command.
        case unknownCommand
        /// A limit of ``IMAPLimits`` is passed.
        case tooLarge
        /// A number or a date is out of its range.
        case outOfRange
        /// The text is not in the character set that it must be in.
        case badEncoding
        /// A character set that this server doesn't have (RFC 9051 §7.1, BADCHARSET).
        case badCharset
    }
    /// The kind of fault.
    public let code: Code
    /// Where in the command, in octets from its first one.
    public let offset: Int
    /// What was expected.
    public let reason: String

    init(_ code: Code, at offset: Int, _ reason: String) {
        self.code = code
        self.offset = offset
        self.reason = reason
    }

    public var description: String { "\(reason) at octet \(offset)" }
}
