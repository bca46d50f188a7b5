public import FoundationEssentials
public import MailMessage
public import NIOCore
public import SASL

/// The users of the organisation and their addresses.
public protocol AccountStore: Sendable {
    /// Adds a user. Throws ``StoreError`` `.exists`.
    func addUser(_ address: EmailAddress, verifier: SCRAMVerifier) async throws
    /// Removes a user with all mailboxes. Throws `.notFound`.
    func removeUser(_ address: EmailAddress) async throws
    func setVerifier(_ verifier: SCRAMVerifier, forUser address: EmailAddress) async throws
    /// The verifier of a user; `nil` for an unknown one. The user is the primary address, in lower case.
    func verifier(forUser address: EmailAddress) async throws -> SCRAMVerifier?
    func users() async throws -> [EmailAddress]
    /// Maps an address to targets (users or other addresses); `localPart` "*" is the domain's catch-all.
    func setAlias(_ alias: EmailAddress, targets: [EmailAddress]) async throws
    func removeAlias(_ alias: EmailAddress) async throws
    func aliases() async throws -> [(alias: EmailAddress, targets: [EmailAddress])]
    /// Resolves a recipient: exact user, sub-address (`bob+lists` → bob, with its detail, RFC 5233), alias (followed to a depth of 10), catch-all.
    /// Empty where the address is unknown.
    func resolve(_ recipient: EmailAddress) async throws -> [ResolvedRecipient]
    /// Every address that ``resolve(_:)`` knows exactly (users, aliases), and the domains that have a catch-all. Changes with
    /// ``accountsVersion()``.
    func allAddresses() async throws -> (addresses: [EmailAddress], catchAllDomains: [String])
    /// Grows whenever users or aliases change, also from another process.
    func accountsVersion() async throws -> Int64
}

/// Where an address leads.
public struct ResolvedRecipient: Hashable, Sendable {
    /// Whose mailboxes, or an address elsewhere that an alias points to.
    public enum Target: Hashable, Sendable {
        case user(EmailAddress)
        case remote(EmailAddress)
    }
    public var target: Target
    /// The sub-address (`lists` of `bob+lists`).
    public var detail: String?
    public init(target: Target, detail: String?) {
        self.target = target
        self.detail = detail
    }
}

/// A mailbox of a user (RFC 9051 §2.3.1 for its numbers).
public struct MailboxInfo: Hashable, Sendable {
    public var id: Int64
    /// The name with "/" between levels; `INBOX` is always written so.
    public var name: String
    public var uidValidity: UInt32
    public var uidNext: UInt32
    public var highestModSeq: UInt64
    /// `\Sent`, `\Drafts`… (RFC 6154), without the backslash.
    public var specialUse: String?
    public var isSubscribed: Bool
    /// Random and never changing (RFC 8474 §4).
    public var mailboxID: String
    public var messageCount: Int
    public var unseenCount: Int
    public var deletedCount: Int
    public var totalSize: Int

    public init(
        id: Int64, name: String, uidValidity: UInt32, uidNext: UInt32, highestModSeq: UInt64, specialUse: String?, isSubscribed: Bool,
        mailboxID: String, messageCount: Int, unseenCount: Int, deletedCount: Int, totalSize: Int
    ) {
        self.id = id
        self.name = name
        self.uidValidity = uidValidity
        self.uidNext = uidNext
        self.highestModSeq = highestModSeq
        self.specialUse = specialUse
        self.isSubscribed = isSubscribed
        self.mailboxID = mailboxID
        self.messageCount = messageCount
        self.unseenCount = unseenCount
        self.deletedCount = deletedCount
        self.totalSize = totalSize
    }
}

/// A message in a mailbox, without its octets.
public struct StoredMessage: Hashable, Sendable {
    public var uid: UInt32
    public var modSeq: UInt64
    /// Flags as IMAP writes them: `\Seen`, `$Forwarded`, in any order.
    public var flags: Set<String>
    public var internalDate: Date
    public var size: Int
    /// Identifies the octets (shared by copies).
    public var contentID: Int64
    public init(uid: UInt32, modSeq: UInt64, flags: Set<String>, internalDate: Date, size: Int, contentID: Int64) {
        self.uid = uid
        self.modSeq = modSeq
        self.flags = flags
        self.internalDate = internalDate
        self.size = size
        self.contentID = contentID
    }
}

/// How flags are changed (RFC 9051 §6.4.6).
public enum FlagChange: String, Sendable { case replace, add, remove }

/// The mailboxes of all users. SQLite stands behind it here; another database may.
/// Every method that changes something returns after the change is on disk, and wakes ``changes(of:)``.
public protocol MailStore: Sendable {
    /// Lists a user's mailboxes with their numbers, INBOX first.
    func mailboxes(of user: EmailAddress) async throws -> [MailboxInfo]
    func mailbox(named name: String, of user: EmailAddress) async throws -> MailboxInfo?
    /// Creates a mailbox and the levels above it. Throws `.exists`.
    func createMailbox(_ name: String, of user: EmailAddress, specialUse: String?) async throws -> MailboxInfo
    func deleteMailbox(_ name: String, of user: EmailAddress) async throws
    /// Renames it with those below it; INBOX is emptied into the new one (RFC 9051 §6.3.6).
    func renameMailbox(_ name: String, to newName: String, of user: EmailAddress) async throws
    func setSubscribed(_ subscribed: Bool, mailbox name: String, of user: EmailAddress) async throws

    /// Messages of a mailbox by UID range, ascending.
    func messages(in mailbox: Int64, uids: ClosedRange<UInt32>) async throws -> [StoredMessage]
    /// What changed after `modSeq`: messages that are new or have new flags, and UIDs that vanished. Not for ever is every removal
    /// remembered: after long they are all UIDs that aren't there, also those that were gone before (RFC 7162 §5.3).
    func changes(in mailbox: Int64, after modSeq: UInt64) async throws -> (changed: [StoredMessage], vanished: [UInt32], highestModSeq: UInt64, exists: Int)
    /// The messages of a mailbox in memory, as the database has them now.
    func table(of mailbox: Int64) async throws -> MailboxTable
    /// Brings a table up to date with what this process has changed; what others have is found by ``changes(in:after:lookedWithin:)``.
    func refresh(_ table: MailboxTable) async throws
    /// As ``changes(in:after:)``, and brings the table up to date. `nil` when there is nothing new.
    /// - Parameter age: changes that other processes made so short a time ago may be missing.
    func changes(
        in table: MailboxTable, after modSeq: UInt64, lookedWithin age: Duration
    ) async throws -> (changed: [StoredMessage], vanished: [UInt32], highestModSeq: UInt64, exists: Int)?
    /// What a `HeaderSummary` keeps of messages' headers; those of which none was kept are missing.
    func summaries(_ contentIDs: [Int64]) async throws -> [Int64: ByteBuffer]
    /// Keeps summaries that were made later, of contents that are there still.
    func keepSummaries(_ summaries: [Int64: ByteBuffer]) async throws
    /// The octets of a message; `nil` when it is gone.
    func content(_ id: Int64) async throws -> (any MessageContent)?
    /// The octets of several messages, read at once; those that are gone, or can't be read, are missing. For short ones: what stands in
    /// rows is in memory then.
    func contents(_ ids: [Int64]) async throws -> [Int64: any MessageContent]

    /// Delivers a message into a user's mailbox. A delivery with a `deliveryID` that was seen before changes nothing and returns the UID
    /// of the first one with `isDuplicate`.
    func deliver(
        _ content: any MessageContent, prefix: ByteBuffer, to mailbox: String, of user: EmailAddress, flags: Set<String>, internalDate: Date,
        deliveryID: String?
    ) async throws -> DeliveredMessage
    /// Appends (APPEND); several at once for MULTIAPPEND, all or none.
    func append(
        _ messages: [(content: any MessageContent, flags: Set<String>, internalDate: Date)], to mailbox: String, of user: EmailAddress
    ) async throws -> [DeliveredMessage]
    /// A temporary file for a large APPEND.
    func makeIncomingFile() async throws -> any IncomingFile

    /// Changes flags of messages; `unchangedSince` is CONDSTORE's. Returns the messages as they are now, and the UIDs that were left
    /// alone for `unchangedSince`.
    func changeFlags(
        in mailbox: Int64, uids: [UInt32], _ change: FlagChange, _ flags: Set<String>, unchangedSince: UInt64?
    ) async throws -> (messages: [StoredMessage], modified: [UInt32])
    /// Removes the messages with `\Deleted` among `uids` (`nil`: all). Returns the UIDs that are gone.
    func expunge(in mailbox: Int64, uids: [UInt32]?) async throws -> [UInt32]
    /// Copies messages, or moves them. Returns (from, to) UIDs in order and the target's UIDVALIDITY.
    func copy(
        from mailbox: Int64, uids: [UInt32], to name: String, of user: EmailAddress, move: Bool
    ) async throws -> (uidValidity: UInt32, uids: [(UInt32, UInt32)])

    /// Yields whenever the mailbox changes, in this process or (within a second) in another. Ends when the mailbox is deleted.
    func changes(of mailbox: Int64) -> AsyncStream<Void>
}

/// What came of a delivery.
public struct DeliveredMessage: Hashable, Sendable {
    public var mailbox: String
    public var uidValidity: UInt32
    public var uid: UInt32
    public var isDuplicate: Bool
    public init(mailbox: String, uidValidity: UInt32, uid: UInt32, isDuplicate: Bool) {
        self.mailbox = mailbox
        self.uidValidity = uidValidity
        self.uid = uid
        self.isDuplicate = isDuplicate
    }
}

/// Why a store refused.
public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable {
        case exists, notFound, invalidName, full, busy, corrupted, unsupportedSchema, inputOutput
    }
    public var code: Code
    /// What, where, and what an operator can do.
    public var message: String
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
    public var description: String { message }
}
