public import NIOCore

/// What a server says, as far as a client needs it (RFC 9051 §7).
public enum IMAPServerResponse: Hashable, Sendable {
    /// `+ text`: the server waits for the rest of the command.
    case continuation(String)
    /// The tagged end of a command.
    case completion(tag: String, IMAPServerStatus)
    /// An untagged OK, NO, BAD, PREAUTH or BYE.
    case status(IMAPServerStatus)
    /// In upper case.
    case capability([String])
    case mailbox(IMAPServerMailbox)
    /// The numbers of STATUS by their names in upper case.
    case mailboxStatus(name: String, [String: UInt64])
    /// The numbers of SEARCH, or the set of ESEARCH's ALL.
    case search([UInt32])
    case exists(Int)
    case expunge(Int)
    case fetch(IMAPServerMessage)
    /// Something that a client may leave unread.
    case other(String)
}

/// A condition with what the server says about it (RFC 9051 §7.1).
public struct IMAPServerStatus: Hashable, Sendable {
    /// The conditions.
    public enum Condition: String, Hashable, Sendable {
        case ok = "OK"
        case no = "NO"
        case bad = "BAD"
        case bye = "BYE"
        case preauth = "PREAUTH"
    }
    public var condition: Condition
    /// The response code without its brackets, such as `UIDVALIDITY 7`.
    public var code: String?
    /// For people; what the server says and therefore not to be believed.
    public var text: String

    /// Makes a status.
    public init(_ condition: Condition, code: String? = nil, text: String = "") {
        self.condition = condition
        self.code = code
        self.text = text
    }

    /// The argument of a response code of this name, `7` of `UIDVALIDITY 7`.
    public func argument(of name: String) -> String? {
        guard let code, code.utf8.count > name.utf8.count, code.prefix(name.count).uppercased() == name, code.dropFirst(name.count).first == " "
        else { return nil }
        return String(code.dropFirst(name.count + 1))
    }
}

/// A mailbox as LIST tells it (RFC 9051 §7.3.1).
public struct IMAPServerMailbox: Hashable, Sendable {
    /// The name, decoded.
    public var name: String
    /// The attributes in lower case with their backslash: `\sent`, `\noselect`.
    public var attributes: Set<String>
    /// What separates levels.
    public var delimiter: Character?

    /// Makes a mailbox.
    public init(name: String, attributes: Set<String> = [], delimiter: Character? = "/") {
        self.name = name
        self.attributes = attributes
        self.delimiter = delimiter
    }

    /// Whether messages can be in it.
    public var isSelectable: Bool { attributes.isDisjoint(with: ["\\noselect", "\\nonexistent"]) }
}

/// What FETCH tells of a message (RFC 9051 §7.5.2).
public struct IMAPServerMessage: Hashable, Sendable {
    public var sequenceNumber: Int
    public var uid: UInt32?
    /// In lower case: `\seen`.
    public var flags: Set<String>?
    /// Octets.
    public var size: Int?
    /// As it was sent.
    public var internalDate: String?
    /// Contents by their sections: what stands between the brackets of `BODY[…]`, in upper case.
    public var sections: [String: ByteBuffer] = [:]

    /// Makes a message of which only its number is known.
    public init(sequenceNumber: Int) { self.sequenceNumber = sequenceNumber }
}
