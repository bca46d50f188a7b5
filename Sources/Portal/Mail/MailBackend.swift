import FoundationEssentials
import MailMessage
import NIOCore

/// Who asks: the user's own name and password, for as long as a request lasts.
struct MailLogin: Sendable {
    var username: String
    var password: String
}

/// Why something could not be done, as far as a user may know it.
enum MailFailure: Error, Hashable, Sendable {
    /// Unknown user or wrong password: nobody is told which.
    case loginRefused
    /// The servers inside can't be reached, or don't work now.
    case unavailable
    /// There is no such mailbox or message (any more).
    case notFound
    /// The message is larger than what is shown here.
    case tooLarge
    /// The submission host refused the message, with what it said.
    case refused(String)
    /// Too much at once.
    case busy
}

/// A mailbox in the list.
struct MailboxSummary: Sendable, Hashable {
    var name: String
    var unseen: Int
    /// What it is for: `\sent`, `\trash`…
    var use: String?
}

/// A message in the list.
struct MessageSummary: Sendable {
    var uid: UInt32
    var isSeen: Bool
    var isAnswered: Bool
    var size: Int
    var from: Correspondent?
    var to: Correspondent?
    var subject: String
    var date: Date?
}

/// One page of a mailbox.
struct MailboxPage: Sendable {
    var mailboxes: [MailboxSummary]
    var name: String
    var messages: [MessageSummary]
    /// From 1.
    var page: Int
    var pages: Int
    /// Of the mailbox, or found.
    var total: Int
}

/// A user's mail, wherever it is.
protocol MailBackend: Sendable {
    /// Whether the user is who they say.
    func verify(_ login: MailLogin) async throws(MailFailure)
    /// A page of a mailbox, the newest first.
    func page(_ number: Int, of mailbox: String, search: String, _ login: MailLogin) async throws(MailFailure) -> MailboxPage
    /// A whole message, and the names of the mailboxes.
    func message(_ uid: UInt32, in mailbox: String, marksSeen: Bool, _ login: MailLogin) async throws(MailFailure) -> (ByteBuffer, [MailboxSummary])
    /// Moves a message to the trash; removes it for good where it is there already.
    func delete(_ uid: UInt32, in mailbox: String, _ login: MailLogin) async throws(MailFailure)
    /// Takes back that the message was read.
    func markUnread(_ uid: UInt32, in mailbox: String, _ login: MailLogin) async throws(MailFailure)
    /// Submits a message.
    func send(_ envelope: Envelope, _ message: ByteBuffer, _ login: MailLogin) async throws(MailFailure)
    /// Puts a copy into the mailbox for sent messages, and marks what was answered.
    func keep(_ message: ByteBuffer, answering: (uid: UInt32, mailbox: String)?, _ login: MailLogin) async throws(MailFailure)
}
