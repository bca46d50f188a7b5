import DNS
import Foundation
import IMAP
import Logging
import MailMessage
import MailStore
import MailTransport
import NIOCore
import NIOPosix
import SASL
import Testing

@testable import Gateway
@testable import Portal

/// The webmail's way to the store, against Postern's own IMAP server over TLS.
@Suite("Mail that lies inside")
struct RemoteMailTests {
    private static let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
    private static let login = MailLogin(username: "bob@kartapuce.test", password: "correct horse")
    private static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private struct House: Sendable {
        var store: MailboxStore
        var port: Int
        var authority: String

        func mail(
            hostname: String = "imap.kartapuce.test", trusting authority: String? = nil, messageLimit: Int = 1_000_000, port: Int? = nil
        ) throws -> RemoteMail {
            let server = RemoteMail.Server(host: hostname, address: .v4(0x7f00_0001), port: port ?? self.port)
            return RemoteMail(
                store: server, submission: server, tls: try .verified(additionalAuthorityFiles: [authority ?? self.authority]),
                hostname: "webmail.kartapuce.test",
                localAddress: nil, messageLimit: messageLimit, group: MultiThreadedEventLoopGroup.singleton, logger: RemoteMailTests.silent)
        }

        func deliver(_ texts: String...) async throws {
            for text in texts {
                _ = try await store.deliver(
                    BufferedContent(ByteBuffer(string: text.replacing("\n", with: "\r\n"))), prefix: ByteBuffer(), to: "INBOX", of: RemoteMailTests.bob,
                    flags: [],
                    internalDate: Date(timeIntervalSince1970: 1_795_000_000), deliveryID: nil)
            }
        }
    }

    private func open(_ body: @Sendable (House) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("portal-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = try await MailboxStore.open(folder: folder)
        try await store.addUser(Self.bob, verifier: try SCRAMVerifier(password: Self.login.password, salt: [1, 2, 3, 4], iterations: 4096))
        let issued = try LinkAuthority.create(now: .now).issueServer(hosts: ["imap.kartapuce.test"], addresses: [], now: .now)
        let files = try issued.write(folder: folder, name: "server")
        let tls = try TLSServerContext(certificateFile: files.certificate, keyFile: files.key, audience: .clients)
        let budget = MemoryBudget(limit: 64 * 1024 * 1024)
        var settings = IMAPServer.Settings(session: IMAPSession.Configuration(hostname: "imap.kartapuce.test", security: .implicit))
        settings.failureDelay = .milliseconds(10)
        let server = IMAPServer(
            listenerName: "imaps", settings: settings,
            backend: MailboxBackend(
                directory: AccountDirectory(accounts: store), store: store, budget: budget, messageSize: 10_000_000, memoryPerMessage: 256 * 1024,
                logger: Self.silent),
            tls: tls, group: MultiThreadedEventLoopGroup.singleton, budget: budget, limiter: ConnectionLimiter(total: 100, perNetwork: 100), logger: Self.silent
        )
        let house = House(store: store, port: try await server.bind(address: .v4(0x7f00_0001), port: 0), authority: files.authority)
        let result = await withDiscardingTaskGroup(returning: Result<Void, any Error>.self) { group in
            group.addTask { await server.run() }
            let result: Result<Void, any Error>
            do { result = .success(try await body(house)) } catch { result = .failure(error) }
            await server.shutdown(grace: .milliseconds(200))
            return result
        }
        try await store.close()
        try result.get()
    }

    @Test("Who logs in with the right password is let in; others are told apart from a store that can't be trusted or reached")
    func logins() async throws {
        try await open { house in
            let mail = try house.mail()
            try await mail.verify(Self.login)
            await #expect(throws: MailFailure.loginRefused) { try await mail.verify(MailLogin(username: "bob@kartapuce.test", password: "wrong")) }
            await #expect(throws: MailFailure.loginRefused) { try await mail.verify(MailLogin(username: "nobody@kartapuce.test", password: "wrong")) }
            // Another name than the certificate's, another authority, nobody there: no password is shown to any of them.
            await #expect(throws: MailFailure.unavailable) { try await house.mail(hostname: "imap.evil.test").verify(Self.login) }
            let other = try LinkAuthority.create(now: .now).issueServer(hosts: ["x.test"], addresses: [], now: .now)
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("portal-\(UUID().uuidString)").path
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let stranger = try other.write(folder: folder, name: "other").authority
            await #expect(throws: MailFailure.unavailable) { try await house.mail(trusting: stranger).verify(Self.login) }
            await #expect(throws: MailFailure.unavailable) { try await house.mail(port: 1).verify(Self.login) }
        }
    }

    @Test("A mailbox is listed in pages, the newest first, and can be searched")
    func pages() async throws {
        try await open { house in
            for number in 1...60 {
                try await house.deliver(
                    "From: Tom <tom@gmail.test>\nSubject: =?utf-8?q?num=C3=A9ro?= \(number)\n\ntext of \(number)\(number == 7 ? " aiguille é" : "")\n")
            }
            let mail = try house.mail()
            let first = try await mail.page(1, of: "INBOX", search: "", Self.login)
            #expect(first.total == 60 && first.pages == 2 && first.messages.count == 50)
            #expect(first.messages.first?.subject == "numéro 60" && first.messages.last?.subject == "numéro 11")
            #expect(first.messages.first?.from?.address == "tom@gmail.test" && first.messages.first?.date == Date(timeIntervalSince1970: 1_795_000_000))
            #expect(first.mailboxes.map(\.name) == ["INBOX", "Drafts", "Sent", "Archive", "Junk", "Trash"] && first.mailboxes.first?.unseen == 60)
            #expect(try await mail.page(2, of: "INBOX", search: "", Self.login).messages.map(\.subject).last == "numéro 1")
            #expect(try await mail.page(99, of: "INBOX", search: "", Self.login).page == 2)
            #expect(try await mail.page(1, of: "INBOX", search: "aiguille é", Self.login).messages.map(\.subject) == ["numéro 7"])
            #expect(try await mail.page(1, of: "INBOX", search: "nothing\r\nhas this", Self.login).messages.isEmpty)
            #expect(try await mail.page(1, of: "Drafts", search: "", Self.login).messages.isEmpty)
            await #expect(throws: MailFailure.notFound) { try await mail.page(1, of: "Nowhere\r\nx LOGOUT", search: "", Self.login) }
        }
    }

    @Test("A message is read whole, marked, unmarked, deleted twice; a copy is kept")
    func messages() async throws {
        try await open { house in
            let text = "Subject: x\n\n" + String(repeating: "line é\n", count: 20_000)
            try await house.deliver(text)
            let mail = try house.mail()
            func listed(_ mailbox: String) async throws -> [MessageSummary] { try await mail.page(1, of: mailbox, search: "", Self.login).messages }
            let uid = try #require(try await listed("INBOX").first?.uid)
            let (octets, mailboxes) = try await mail.message(uid, in: "INBOX", marksSeen: true, Self.login)
            #expect(String(buffer: octets) == text.replacing("\n", with: "\r\n"))
            #expect(mailboxes.first?.unseen == 0)
            #expect(try await listed("INBOX").first?.isSeen == true)
            try await mail.markUnread(uid, in: "INBOX", Self.login)
            #expect(try await listed("INBOX").first?.isSeen == false)
            await #expect(throws: MailFailure.notFound) { try await mail.message(uid + 1, in: "INBOX", marksSeen: false, Self.login) }
            await #expect(throws: MailFailure.tooLarge) { try await house.mail(messageLimit: 1000).message(uid, in: "INBOX", marksSeen: false, Self.login) }
            try await mail.keep(ByteBuffer(string: "Subject: sent\r\n\r\nx\r\n"), answering: (uid, "INBOX"), Self.login)
            #expect(try await listed("Sent").map(\.subject) == ["sent"])
            #expect(try await listed("INBOX").first?.isAnswered == true)
            try await mail.delete(uid, in: "INBOX", Self.login)
            let inTrash = try await listed("Trash")
            #expect(inTrash.count == 1)
            #expect(try await listed("INBOX").isEmpty)
            try await mail.delete(try #require(inTrash.first?.uid), in: "Trash", Self.login)
            #expect(try await listed("Trash").isEmpty)
        }
    }

    @Test("A message that can't be submitted is no message that was sent")
    func submission() async throws {
        try await open { house in
            let mail = try house.mail(port: 1)
            let envelope = Envelope(reversePath: Self.bob, recipients: [EnvelopeRecipient(address: Self.bob)])
            await #expect(throws: MailFailure.unavailable) { try await mail.send(envelope, ByteBuffer(string: "Subject: x\r\n\r\nx\r\n"), Self.login) }
        }
    }
}
