public import FoundationEssentials
import MailMessage

/// What a client wants (RFC 9051 §6), without its tag. Mailbox names are decoded but not normalised.
public enum IMAPCommand: Hashable, Sendable {
    case capability, noop, logout, startTLS, check, close, unselect, expunge, namespace, idle
    /// ID (RFC 2971).
    case id
    case login(user: String, password: String)
    /// AUTHENTICATE with the initial response, decoded from Base64 (RFC 9051 §6.2.2).
    case authenticate(mechanism: String, initialResponse: [UInt8]?)
    case enable([String])
    case select(String)
    case examine(String)
    case create(String, specialUse: String?)
    case delete(String)
    case rename(String, to: String)
    case subscribe(String)
    case unsubscribe(String)
    case list(ListQuery)
    /// LSUB of IMAP4rev1 (RFC 3501 §6.3.9).
    case lsub(reference: String, pattern: String)
    case status(String, [StatusItem])
    case search(SearchQuery, isUID: Bool)
    case fetch(SequenceSet, [FetchItem], isUID: Bool)
    case store(SequenceSet, StoreChange, isUID: Bool)
    case copy(SequenceSet, to: String, isUID: Bool)
    case move(SequenceSet, to: String, isUID: Bool)
    case uidExpunge(SequenceSet)

    /// In which states of the connection the command may be given (RFC 9051 §3).
    public var states: Set<SessionState> {
        switch self {
        case .capability, .noop, .logout, .id: Set(SessionState.allCases)
        case .startTLS, .login, .authenticate: [.notAuthenticated]
        case .enable, .select, .examine, .create, .delete, .rename, .subscribe, .unsubscribe, .list, .lsub, .status, .namespace, .idle:
            [.authenticated, .selected]
        case .check, .close, .unselect, .expunge, .search, .fetch, .store, .copy, .move, .uidExpunge: [.selected]
        }
    }
}

/// The states of RFC 9051 §3; logout has no commands.
public enum SessionState: Hashable, Sendable, CaseIterable { case notAuthenticated, authenticated, selected }

/// What LIST asks for (RFC 9051 §6.3.9).
public struct ListQuery: Hashable, Sendable {
    public var reference: String
    public var patterns: [String]
    /// Only mailboxes that are subscribed.
    public var onlySubscribed = false
    /// Only mailboxes with a special use (RFC 6154 §5.2).
    public var onlySpecialUse = false
    /// RECURSIVEMATCH.
    public var isRecursive = false
    /// STATUS for each mailbox (RFC 5819); empty for none.
    public var status: [StatusItem] = []
}

/// The numbers that STATUS tells (RFC 9051 §6.3.11).
public enum StatusItem: String, Hashable, Sendable, CaseIterable {
    case messages = "MESSAGES"
    case uidNext = "UIDNEXT"
    case uidValidity = "UIDVALIDITY"
    case unseen = "UNSEEN"
    case deleted = "DELETED"
    case size = "SIZE"
    /// Of IMAP4rev1 only; always 0 here, as RFC 9051 §2.3.2 has no such flag.
    case recent = "RECENT"
}

/// What STORE does (RFC 9051 §6.4.6).
public struct StoreChange: Hashable, Sendable {
    /// How the flags are changed.
    public enum Operation: String, Hashable, Sendable { case replace, add, remove }
    public var operation: Operation
    public var flags: [String]
    public var isSilent: Bool
}

/// What of a message is fetched (RFC 9051 §6.4.5).
public enum FetchItem: Hashable, Sendable {
    case flags, uid, internalDate, size, envelope
    /// BODY without a section: the structure without extension data.
    case body
    case bodyStructure
    /// BODY[section]; `name` is how the answer calls it, as RFC822.TEXT or BODY[TEXT].
    case section(BodySection, partial: PartialRange?, isPeek: Bool, name: String)
    /// BINARY.SIZE: the octets of the part without its transfer encoding.
    case binarySize(path: [Int])

    /// Whether fetching it sets `\Seen`.
    public var setsSeen: Bool {
        if case .section(_, _, let isPeek, _) = self { !isPeek } else { false }
    }
    /// Whether it is the octets of the message as they are, or a range of them.
    public var isWholeMessage: Bool {
        if case .section(let section, _, _, _) = self { section.path.isEmpty && section.content == .all } else { false }
    }
    /// What must be read of the message.
    public var need: MessageNeed {
        switch self {
        case .flags, .uid, .internalDate, .size: .row
        case .envelope: .summary
        case .section(let section, _, _, _):
            if section.path.isEmpty, case .headerFields(let names) = section.content, names.allSatisfy({ HeaderSummary.keeps($0) }) {
                .summary
            } else {
                .content
            }
        case .body, .bodyStructure, .binarySize: .content
        }
    }
}

/// What must be read of a message to answer: each includes those before.
public enum MessageNeed: Int, Hashable, Comparable, Sendable {
    /// UID, flags, date and size.
    case row
    /// The header fields that a `HeaderSummary` keeps.
    case summary
    /// All octets.
    case content

    public static func < (left: MessageNeed, right: MessageNeed) -> Bool { left.rawValue < right.rawValue }
}

/// A part of BODY[…] (RFC 9051 §6.4.5.1).
public struct BodySection: Hashable, Sendable {
    /// What of the part.
    public enum Content: Hashable, Sendable {
        /// All of it; with an empty path the whole message.
        case all
        case header
        case headerFields([String])
        case headerFieldsNot([String])
        case text
        case mime
        /// BINARY: the part without its transfer encoding (RFC 3516, RFC 9051 §6.4.5).
        case binary
    }
    /// The part's number; empty for the message.
    public var path: [Int]
    public var content: Content
}

/// `<first.count>`, in octets.
public struct PartialRange: Hashable, Sendable {
    public var first: UInt32
    public var count: UInt32
}

/// What SEARCH looks for (RFC 9051 §6.4.4).
public struct SearchQuery: Hashable, Sendable {
    /// What an ESEARCH answer contains.
    public enum ReturnOption: String, Hashable, Sendable {
        case min = "MIN"
        case max = "MAX"
        case all = "ALL"
        case count = "COUNT"
        case save = "SAVE"
    }
    /// `nil` where no RETURN was written.
    public var returns: Set<ReturnOption>?
    public var key: SearchKey
}

/// A condition of SEARCH.
public indirect enum SearchKey: Hashable, Sendable {
    case all
    case sequence(SequenceSet)
    case uid(SequenceSet)
    /// A flag is set, or with `false` is not.
    case flag(String, Bool)
    /// NEW, OLD and RECENT of IMAP4rev1: no message has `\Recent` here.
    case recent(Bool)
    /// The day of the internal date, in days since 1970-01-01.
    case before(Int)
    case on(Int)
    case since(Int)
    /// The same of the Date field.
    case sentBefore(Int)
    case sentOn(Int)
    case sentSince(Int)
    case larger(UInt32)
    case smaller(UInt32)
    case header(String, String)
    case body(String)
    case text(String)
    case not(SearchKey)
    case or(SearchKey, SearchKey)
    case and([SearchKey])
}

/// What stands before the message in APPEND (RFC 9051 §6.3.12).
public struct AppendRequest: Hashable, Sendable {
    public var tag: String
    public var mailbox: String
    public var flags: [String]
    /// `nil` for now.
    public var internalDate: Date?
    /// The octets of the message.
    public var length: Int
    /// Whether the client waits for `+` before it sends the message.
    public var isSynchronising: Bool
    /// `UTF8 (~{…}` of RFC 6855 §4: a parenthesis closes it.
    var hasClosingParenthesis: Bool
}
