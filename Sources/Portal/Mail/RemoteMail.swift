import DNS
import FoundationEssentials
import IMAP
import Logging
import MailMessage
import MailTransport
import NIOCore
import SMTP

/// Mail that lies inside: read by IMAPS, sent by submission, both as the user and with nothing but the user's password.
///
/// Deliberate: each request has a connection of its own. It costs a handshake, and leaves nothing open between two requests that somebody could use who
/// has broken in here.
struct RemoteMail: MailBackend {
    /// A server inside.
    struct Server: Sendable, Hashable {
        var host: String
        var address: IPAddress
        var port: Int
    }

    private let imap: IMAPClient
    private let submission: Server
    private let tls: TLSClientContext
    private let hostname: String
    private let localAddress: IPAddress?
    private let group: any EventLoopGroup
    private let messageLimit: Int
    private let gate = WorkGate(total: 64, perUser: 6)
    /// Whole messages are held in memory while they are read.
    private let messageGate = WorkGate(total: 16, perUser: 3)
    private let logger: Logger

    static let pageSize = 50
    private static let mailboxLimit = 200

    /// - Parameter messageLimit: octets of a message that is shown or sent.
    init(
        store: Server, submission: Server, tls: TLSClientContext, hostname: String, localAddress: IPAddress?, messageLimit: Int, group: any EventLoopGroup,
        logger: Logger
    ) {
        var imap = IMAPClient(hostname: store.host, address: store.address, port: store.port, tls: tls, group: group)
        imap.localAddress = localAddress
        imap.limits.literalLength = messageLimit + 1024
        self.imap = imap
        self.submission = submission
        self.tls = tls
        self.hostname = hostname
        self.localAddress = localAddress
        self.group = group
        self.messageLimit = messageLimit
        self.logger = logger
    }

    // MARK: What is done

    func verify(_ login: MailLogin) async throws(MailFailure) { try await connected(login) { _ in } }

    func page(_ number: Int, of mailbox: String, search: String, _ login: MailLogin) async throws(MailFailure) -> MailboxPage {
        try await connected(login) { connection in
            let summaries = try await Self.mailboxes(connection)
            let selected = try await connection.select(mailbox, readOnly: true)
            let items = "UID FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)]"
            let found: [IMAPServerMessage]
            let total: Int
            let page: Int
            if search.isEmpty {
                total = selected.messages
                page = Self.clamp(number, total)
                let last = total - (page - 1) * Self.pageSize
                found = last < 1 ? [] : try await connection.fetch(max(1, last - Self.pageSize + 1)...last, items: items)
            } else {
                let uids = try await connection.search(text: search).sorted(by: >)
                total = uids.count
                page = Self.clamp(number, total)
                found = try await connection.fetch(uids: Array(uids.dropFirst((page - 1) * Self.pageSize).prefix(Self.pageSize)), items: items)
            }
            let messages = found.compactMap(Self.summary).sorted { $0.uid > $1.uid }
            return MailboxPage(
                mailboxes: summaries, name: mailbox, messages: messages, page: page, pages: max(1, (total + Self.pageSize - 1) / Self.pageSize), total: total)
        }
    }

    func message(_ uid: UInt32, in mailbox: String, marksSeen: Bool, _ login: MailLogin) async throws(MailFailure) -> (ByteBuffer, [MailboxSummary]) {
        guard messageGate.enter(login.username) else { throw .busy }
        defer { messageGate.leave(login.username) }
        return try await connected(login) { connection in
            _ = try await connection.select(mailbox, readOnly: !marksSeen)
            guard let size = try await connection.fetch(uids: [uid], items: "UID RFC822.SIZE").first?.size else { throw MailFailure.notFound }
            guard size <= messageLimit else { throw MailFailure.tooLarge }
            guard let octets = try await connection.fetch(uids: [uid], items: "UID BODY.PEEK[]").first?.sections[""] else { throw MailFailure.notFound }
            // A mailbox that may only be read can be read all the same.
            if marksSeen { try? await connection.setFlags(["\\Seen"], to: true, uids: [uid]) }
            return (octets, try await Self.mailboxes(connection))
        }
    }

    func delete(_ uid: UInt32, in mailbox: String, _ login: MailLogin) async throws(MailFailure) {
        try await connected(login) { connection in
            let trash = Self.mailbox(for: "\\trash", named: "Trash", in: try await connection.mailboxes())
            _ = try await connection.select(mailbox, readOnly: false)
            if let trash, trash != mailbox {
                try await connection.move(uids: [uid], to: trash)
            } else {
                try await connection.remove(uids: [uid])
            }
        }
    }

    func markUnread(_ uid: UInt32, in mailbox: String, _ login: MailLogin) async throws(MailFailure) {
        try await connected(login) { connection in
            _ = try await connection.select(mailbox, readOnly: false)
            try await connection.setFlags(["\\Seen"], to: false, uids: [uid])
        }
    }

    func keep(_ message: ByteBuffer, answering: (uid: UInt32, mailbox: String)?, _ login: MailLogin) async throws(MailFailure) {
        try await connected(login) { connection in
            let sent = Self.mailbox(for: "\\sent", named: "Sent", in: try await connection.mailboxes())
            guard let sent else { throw MailFailure.notFound }
            try await connection.append(message, to: sent, flags: ["\\Seen"])
            if let answering {
                _ = try await connection.select(answering.mailbox, readOnly: false)
                try await connection.setFlags(["\\Answered"], to: true, uids: [answering.uid])
            }
        }
    }

    func send(_ envelope: Envelope, _ message: ByteBuffer, _ login: MailLogin) async throws(MailFailure) {
        var submitter = SMTPSubmitter(
            hostname: submission.host, address: submission.address, port: submission.port, security: .implicitTLS,
            credentials: SMTPCredentials(username: login.username, password: login.password), tls: tls, group: group)
        submitter.clientHostname = hostname
        submitter.localAddress = localAddress
        submitter.timeouts.connect = .seconds(10)
        submitter.timeouts.handshake = .seconds(15)
        submitter.timeouts.greeting = .seconds(30)
        submitter.timeouts.introduction = .seconds(30)
        submitter.timeouts.mail = .seconds(30)
        submitter.timeouts.recipient = .seconds(30)
        submitter.timeouts.dataTermination = .seconds(120)
        guard gate.enter(login.username) else { throw .busy }
        defer { gate.leave(login.username) }
        do {
            try await submitter.send(envelope, content: BufferedContent(message))
        } catch let error as SMTPSubmissionError {
            guard !error.isLocal, error.reply.code >= 500 else {
                logger.warning("submission failed", metadata: ["peer.host": "\(submission.host)", "smtp.reply": "\(error.reply)"])
                throw .unavailable
            }
            if error.reply.code == 535 { throw .loginRefused }
            throw .refused("\(error.reply)")
        } catch {
            logger.warning("submission failed", metadata: ["peer.host": "\(submission.host)", "error": "\(error)"])
            throw .unavailable
        }
    }

    // MARK: IMAP

    private func connected<Result: Sendable>(
        _ login: MailLogin, _ body: (IMAPClientConnection) async throws -> Result
    ) async throws(MailFailure) -> Result {
        guard gate.enter(login.username) else { throw .busy }
        defer { gate.leave(login.username) }
        do {
            return try await imap.withConnection(username: login.username, password: login.password, body)
        } catch let failure as MailFailure {
            throw failure
        } catch let error as IMAPClientError {
            switch error.code {
            case .loginRefused: throw .loginRefused
            case .refused: throw .notFound
            case .connection, .notTrusted, .loginUnavailable, .protocolViolation, .timedOut:
                logger.warning("the store can't be used", metadata: ["peer.host": "\(imap.hostname)", "imap.failure": "\(error.code)", "error": "\(error)"])
                throw .unavailable
            }
        } catch {
            logger.warning("the store can't be used", metadata: ["peer.host": "\(imap.hostname)", "error": "\(error)"])
            throw .unavailable
        }
    }

    private static func clamp(_ page: Int, _ total: Int) -> Int { min(max(1, page), max(1, (total + pageSize - 1) / pageSize)) }

    private static let uses = ["\\drafts", "\\sent", "\\archive", "\\junk", "\\trash"]

    private static func mailboxes(_ connection: IMAPClientConnection) async throws -> [MailboxSummary] {
        var summaries: [MailboxSummary] = []
        for mailbox in try await connection.mailboxes().filter(\.isSelectable).prefix(mailboxLimit) {
            let use = uses.first(where: mailbox.attributes.contains)
            summaries.append(MailboxSummary(name: mailbox.name, unseen: 0, use: use))
        }
        // The inbox first, then those with a use, then the others.
        func rank(_ mailbox: MailboxSummary) -> Int { mailbox.name == "INBOX" ? -1 : mailbox.use.flatMap(uses.firstIndex) ?? uses.count }
        summaries.sort { (rank($0), $0.name) < (rank($1), $1.name) }
        for index in summaries.indices.prefix(12) where summaries[index].use != "\\sent" && summaries[index].use != "\\trash" {
            let numbers = try await connection.status(of: summaries[index].name, ["UNSEEN"])
            summaries[index].unseen = numbers["UNSEEN"].flatMap { Int(exactly: $0) } ?? 0
        }
        return summaries
    }

    private static func mailbox(for use: String, named name: String, in mailboxes: [IMAPServerMailbox]) -> String? {
        let selectable = mailboxes.filter(\.isSelectable)
        return (selectable.first { $0.attributes.contains(use) } ?? selectable.first { $0.name == name })?.name
    }

    private static func summary(_ message: IMAPServerMessage) -> MessageSummary? {
        guard let uid = message.uid, let fields = message.sections.first(where: { $0.key.hasPrefix("HEADER") })?.value else { return nil }
        let header = Message(parsing: fields)
        let flags = message.flags ?? []
        return MessageSummary(
            uid: uid, isSeen: flags.contains("\\seen"), isAnswered: flags.contains("\\answered"), size: message.size ?? 0,
            from: header.from.mailboxes.first.map(Correspondent.init), to: header.to.mailboxes.first.map(Correspondent.init),
            subject: ReadableMessage.oneLine(header.subject ?? "", limit: 300),
            date: message.internalDate.flatMap(internalDate) ?? header.date?.date)
    }

    /// `17-Jul-1996 02:44:25 -0700` (RFC 9051 §9, date-time) is, but for its hyphens, a date of RFC 5322.
    static func internalDate(_ text: String) -> Date? {
        let halves = text.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard halves.count == 2 else { return nil }
        return MessageDate(parsing: "\(halves[0].replacing("-", with: " ")) \(halves[1])")?.date
    }
}
