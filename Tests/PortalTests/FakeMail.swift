import DNS
import FoundationEssentials
import MailMessage
import NIOCore
import Synchronization

@testable import Portal

/// The organisation's domain.
enum DomainNames {
    static var kartapuce: DomainName { get throws { try DomainName("kartapuce.test") } }
}

/// Mailboxes in memory: one user, `bob@kartapuce.test` with the password `correct horse`.
final class FakeMail: MailBackend {
    struct State {
        var messages: [UInt32: ByteBuffer] = [:]
        var deleted: [UInt32] = []
        var unread: [UInt32] = []
        var sent: [(envelope: Envelope, message: ByteBuffer)] = []
        var kept = 0
        var failure: MailFailure?
        var sendFailure: MailFailure?
        var password = "correct horse"
    }
    let state = Mutex(State())

    init(_ messages: String...) {
        for (index, text) in messages.enumerated() {
            state.withLock { $0.messages[UInt32(index + 1)] = ByteBuffer(string: text.replacing("\n", with: "\r\n")) }
        }
    }

    private func check(_ login: MailLogin) throws(MailFailure) {
        let (failure, password) = state.withLock { ($0.failure, $0.password) }
        if let failure { throw failure }
        guard login.username == "bob@kartapuce.test", login.password == password else { throw .loginRefused }
    }

    private let mailboxes = [MailboxSummary(name: "INBOX", unseen: 1, use: nil), MailboxSummary(name: "<b>&\"x", unseen: 0, use: nil)]

    func verify(_ login: MailLogin) async throws(MailFailure) { try check(login) }

    func page(_ number: Int, of mailbox: String, search: String, _ login: MailLogin) async throws(MailFailure) -> MailboxPage {
        try check(login)
        let messages = state.withLock { $0.messages }.map { uid, octets -> MessageSummary in
            let message = Message(parsing: octets)
            return MessageSummary(
                uid: uid, isSeen: false, isAnswered: false, size: octets.readableBytes, from: message.from.mailboxes.first.map(Correspondent.init), to: nil,
                subject: message.subject ?? "", date: message.date?.date)
        }
        return MailboxPage(mailboxes: mailboxes, name: mailbox, messages: messages, page: number, pages: 3, total: messages.count)
    }

    func message(_ uid: UInt32, in mailbox: String, marksSeen: Bool, _ login: MailLogin) async throws(MailFailure) -> (ByteBuffer, [MailboxSummary]) {
        try check(login)
        guard let octets = state.withLock({ $0.messages[uid] }) else { throw .notFound }
        return (octets, mailboxes)
    }

    func delete(_ uid: UInt32, in mailbox: String, _ login: MailLogin) async throws(MailFailure) {
        try check(login)
        state.withLock { $0.deleted.append(uid) }
    }

    func markUnread(_ uid: UInt32, in mailbox: String, _ login: MailLogin) async throws(MailFailure) {
        try check(login)
        state.withLock { $0.unread.append(uid) }
    }

    func send(_ envelope: Envelope, _ message: ByteBuffer, _ login: MailLogin) async throws(MailFailure) {
        try check(login)
        if let failure = state.withLock({ $0.sendFailure }) { throw failure }
        state.withLock { $0.sent.append((envelope, message)) }
    }

    func keep(_ message: ByteBuffer, answering: (uid: UInt32, mailbox: String)?, _ login: MailLogin) async throws(MailFailure) {
        try check(login)
        state.withLock { $0.kept += 1 }
    }
}
