import Foundation
import GRDB
import MailMessage
import NIOCore
import SASL
import Testing

@testable import MailStore

private let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
private let verifier = SCRAMVerifier(salt: [1, 2], iterations: 4096, storedKey: [3], serverKey: [4])

/// UIDVALIDITY, UIDNEXT, MODSEQ (RFC 9051 §2.3.1, RFC 7162), deliveries that come again, and shared octets.
@Suite struct MailboxNumbersTests {
    private func withStore(_ body: (MailboxStore, String) async throws -> Void) async throws {
        try await withFolder { folder in
            let store = try await MailboxStore.open(folder: folder, bodyRowLimit: 64)
            try await store.addUser(bob, verifier: verifier)
            try await body(store, folder)
            try await store.close()
        }
    }

    @discardableResult
    private func append(_ store: MailboxStore, _ count: Int, to mailbox: String = "INBOX", flags: Set<String> = []) async throws -> [UInt32] {
        let message: (content: any MessageContent, flags: Set<String>, internalDate: Date) = (
            BufferedContent(ByteBuffer(string: "x")), flags, Date(timeIntervalSinceReferenceDate: 1)
        )
        return try await store.append(Array(repeating: message, count: count), to: mailbox, of: bob).map(\.uid)
    }

    private func info(_ store: MailboxStore, _ name: String = "INBOX") async throws -> MailboxInfo {
        try #require(try await store.mailbox(named: name, of: bob))
    }

    @Test func numbersOnlyGrow() async throws {
        try await withStore { store, _ async throws in
            var uidNext: UInt32 = 1
            var modSeq: UInt64 = 0
            for _ in 0..<3 {
                #expect(try await append(store, 2) == [uidNext, uidNext + 1])
                let inbox = try await info(store)
                #expect(inbox.uidNext == uidNext + 2 && inbox.highestModSeq > modSeq)
                _ = try await store.changeFlags(in: inbox.id, uids: [uidNext, uidNext + 1], .add, ["\\Deleted"], unchangedSince: nil)
                let flagged = try await info(store).highestModSeq
                #expect(flagged > inbox.highestModSeq)
                // The same again changes nothing.
                _ = try await store.changeFlags(in: inbox.id, uids: [uidNext], .add, ["\\Deleted"], unchangedSince: nil)
                #expect(try await info(store).highestModSeq == flagged)
                #expect(try await store.expunge(in: inbox.id, uids: nil) == [uidNext, uidNext + 1])
                let after = try await info(store)
                #expect(after.uidNext == uidNext + 2 && after.highestModSeq > flagged && after.messageCount == 0)
                (uidNext, modSeq) = (after.uidNext, after.highestModSeq)
            }
        }
    }

    @Test func recreatedMailboxHasAnotherValidity() async throws {
        try await withStore { store, _ async throws in
            var seen: Set<UInt32> = []
            var last: UInt32 = 0
            for _ in 0..<5 {
                let made = try await store.createMailbox("Work", of: bob, specialUse: nil)
                #expect(made.uidValidity > last && seen.insert(made.uidValidity).inserted && made.uidNext == 1)
                last = made.uidValidity
                try await append(store, 1, to: "Work")
                try await store.deleteMailbox("Work", of: bob)
            }
            // A user who comes back doesn't find his old numbers either.
            let inbox = try await info(store)
            try await store.removeUser(bob)
            try await store.addUser(bob, verifier: verifier)
            let again = try await info(store)
            #expect(again.uidValidity > last && again.uidValidity > inbox.uidValidity && again.mailboxID != inbox.mailboxID)
        }
    }

    @Test func validityGrowsWhenTheClockStandsStill() async throws {
        try await withStore { store, _ async throws in
            // As if the clock had once been a day ahead.
            let future = Int64(Date().timeIntervalSince1970) + 86_400
            try await store.database.writer.submit { try $0.execute(sql: "UPDATE counter SET value = ? WHERE name = 'uidValidity'", arguments: [future]) }
            #expect(try await Int64(store.createMailbox("a", of: bob, specialUse: nil).uidValidity) == future + 1)
            #expect(try await Int64(store.createMailbox("b", of: bob, specialUse: nil).uidValidity) == future + 2)
        }
    }

    @Test func inboxIsRecognisedInASCIIOnly() async throws {
        try await withStore { store, _ async throws in
            #expect(try await info(store, "inBox").name == "INBOX")
            // The capital of a dotless i is an I.
            let made = try await store.createMailbox("\u{131}nbox", of: bob, specialUse: nil)
            #expect(made.name == "\u{131}nbox")
        }
    }

    // MARK: - What vanished

    @Test func removalsAreForgottenInTheEndAndThenAllIsTold() async throws {
        try await withStore { store, _ async throws in
            try await append(store, 10)
            let inbox = try await info(store)
            let start = inbox.highestModSeq
            _ = try await store.changeFlags(in: inbox.id, uids: [2, 3], .add, ["\\Deleted"], unchangedSince: nil)
            _ = try await store.expunge(in: inbox.id, uids: nil)
            #expect(try await store.changes(in: inbox.id, after: start).vanished == [2, 3])
            // As if twice as many as are kept had been removed since, one by one.
            let kept = MailboxRows.removalsKept
            let base = Int64(try await info(store).highestModSeq)
            try await store.database.writer.submit { db in
                for number in 1...Int64(2 * kept) {
                    try db.run("INSERT INTO vanished (mailbox, modSeq, uid) VALUES (?, ?, ?)", [inbox.id, base + number, 1000 + number])
                }
                try db.run(
                    "UPDATE mailbox SET modSeq = modSeq + ?, uidNext = ?, vanishedCount = vanishedCount + ? WHERE id = ?",
                    [2 * kept, 1001 + 2 * kept, 2 * kept, inbox.id])
            }
            let before = try await info(store).highestModSeq
            _ = try await store.changeFlags(in: inbox.id, uids: [5], .add, ["\\Deleted"], unchangedSince: nil)
            _ = try await store.expunge(in: inbox.id, uids: nil)
            let rows = try await store.database.pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM vanished") ?? 0 }
            let counted = try await store.database.pool.read {
                try Int.fetchOne($0, sql: "SELECT vanishedCount FROM mailbox WHERE id = ?", arguments: [inbox.id])
            }
            #expect(rows == kept && counted == kept)
            // Of late nothing is forgotten.
            #expect(try await store.changes(in: inbox.id, after: before).vanished == [5])
            let lately = try await store.changes(in: inbox.id, after: before - 10).vanished
            #expect(lately.count == 11)
            // Of old: all that isn't there.
            let all = try await store.changes(in: inbox.id, after: start)
            let present = Set(try await store.messages(in: inbox.id, uids: 1...UInt32.max).map(\.uid))
            #expect(present == [1, 4, 6, 7, 8, 9, 10])
            #expect(all.vanished == (1...UInt32(1000 + 2 * kept)).filter { !present.contains($0) })
            // It goes on counting from there.
            try await append(store, 1)
            #expect(try await store.changes(in: inbox.id, after: before).vanished == [5])
        }
    }

    @Test func moreThanIsKeptAtOnce() async throws {
        try await withStore { store, _ async throws in
            let count = 2 * MailboxRows.removalsKept + 1
            let id = try await info(store).id
            try await store.database.writer.submit { db in
                try db.execute(sql: "INSERT INTO content (id, references_, prefix, size, body) VALUES (1, ?, x'', 1, x'41')", arguments: [count])
                try db.execute(
                    sql: """
                        WITH RECURSIVE n(uid) AS (SELECT 1 UNION ALL SELECT uid + 1 FROM n WHERE uid < ?1)
                        INSERT INTO message (mailbox, uid, modSeq, flags, keywords, internalDate, size, content) SELECT ?2, uid, uid + 1, 4, '', 0, 1, 1 FROM n
                        """, arguments: [count, id])
                try db.execute(
                    sql: """
                        UPDATE mailbox SET messageCount = ?1, unseenCount = ?1, deletedCount = ?1, totalSize = ?1, uidNext = ?1 + 1, modSeq = ?1 + 1 WHERE id = ?2
                        """, arguments: [count, id])
            }
            try await append(store, 1)
            let inbox = try await info(store)
            #expect(try await store.expunge(in: inbox.id, uids: nil).count == count)
            let left = try await info(store)
            #expect((left.messageCount, left.unseenCount, left.deletedCount, left.totalSize) == (1, 1, 0, 1))
            #expect(try await store.database.pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM vanished") } == 0)
            #expect(try await store.changes(in: inbox.id, after: inbox.highestModSeq).vanished.count == count)
            #expect(try await store.changes(in: inbox.id, after: try await info(store).highestModSeq).vanished.isEmpty)
        }
    }

    @Test func storeOfTheFirstVersionIsBroughtUpToDate() async throws {
        try await withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let queue = try DatabaseQueue(path: "\(folder)/mail.sqlite")
            try MailboxSchema.migrator.migrate(queue, upTo: "mail-1")
            try await queue.write { db in
                try db.execute(
                    sql: """
                        INSERT INTO user (address, salt, iterations, storedKey, serverKey) VALUES ('bob@kartapuce.test', x'01', 4096, x'02', x'03');
                        INSERT INTO mailbox (user, name, uidValidity, uidNext, modSeq, mailboxID) VALUES (1, 'INBOX', 7, 3, 9, 'id');
                        INSERT INTO vanished (mailbox, modSeq, uid) VALUES (1, 8, 1), (1, 9, 2);
                        """)
            }
            try queue.close()
            let store = try await MailboxStore.open(folder: folder)
            let inbox = try await info(store)
            #expect(inbox.uidValidity == 7 && inbox.uidNext == 3)
            #expect(try await store.changes(in: inbox.id, after: 8).vanished == [2])
            #expect(try await store.database.pool.read { try Int.fetchOne($0, sql: "SELECT vanishedCount FROM mailbox") } == 2)
            try await store.close()
        }
    }

    @Test func storeOfALaterVersionIsRefused() async throws {
        try await withStore { store, folder async throws in
            try await store.database.writer.submit { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('mail-99')") }
            let error = await #expect(throws: StoreError.self) { try await MailboxStore.open(folder: folder) }
            #expect(error?.code == .unsupportedSchema)
            #expect(error?.message.contains("newer version") == true && error?.message.contains("\(folder)/mail.sqlite") == true)
        }
    }

    // MARK: - Deliveries and octets

    @Test func deliveryThatComesAgain() async throws {
        try await withStore { store, folder async throws in
            let content = BufferedContent(ByteBuffer(repeating: 65, count: 500))
            func deliver(_ id: String?, to mailbox: String = "INBOX", of user: EmailAddress = bob) async throws -> DeliveredMessage {
                try await store.deliver(
                    content, prefix: ByteBuffer(), to: mailbox, of: user, flags: [], internalDate: Date(timeIntervalSinceReferenceDate: 1), deliveryID: id)
            }
            let jack = EmailAddress(localPart: "jack", domain: "kartapuce.test")
            try await store.addUser(jack, verifier: verifier)
            let first = try await deliver("one")
            // Many at once are still one.
            let again = try await withThrowingTaskGroup(of: DeliveredMessage.self) { group in
                for _ in 0..<20 { group.addTask { try await deliver("one") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(again.allSatisfy { $0.isDuplicate && $0.uid == first.uid && $0.uidValidity == first.uidValidity })
            #expect(try await info(store).messageCount == 1 && bodyFiles(folder).count == 1)
            // Another user's, another message's, and one without an identity are their own; another mailbox is not.
            #expect(try await !deliver("one", of: jack).isDuplicate)
            #expect(try await !deliver("two").isDuplicate)
            for _ in 0..<2 { #expect(try await !deliver(nil).isDuplicate) }
            #expect(try await deliver("one", to: "Junk") == again.first)
            // It is remembered though the message is gone, also after a restart.
            let inbox = try await info(store)
            _ = try await store.changeFlags(in: inbox.id, uids: [first.uid], .add, ["\\Deleted"], unchangedSince: nil)
            _ = try await store.expunge(in: inbox.id, uids: nil)
            let reopened = try await MailboxStore.open(folder: folder, bodyRowLimit: 64)
            let late = try await reopened.deliver(
                content, prefix: ByteBuffer(), to: "INBOX", of: bob, flags: [], internalDate: Date(timeIntervalSinceReferenceDate: 1), deliveryID: "one")
            #expect(late.isDuplicate && late.uid == first.uid)
            try await reopened.close()
        }
    }

    @Test func octetsStayAsLongAsAnybodyRefersToThem() async throws {
        try await withStore { store, folder async throws in
            let spool = try await SpoolStore.open(folder: folder, host: "store.kartapuce.test", bodyRowLimit: 64)
            let text = String(repeating: "z", count: 500)
            let id = try await spool.enqueue(newMessage(text, to: [("bob", "mailbox"), ("tom", "mailbox")]), journey: [])
            let content = try #require(try await spool.message(id)?.content)
            for _ in 0..<2 {
                _ = try await store.deliver(
                    content, prefix: ByteBuffer(string: "Return-Path: <>\r\n"), to: "INBOX", of: bob, flags: [],
                    internalDate: Date(timeIntervalSinceReferenceDate: 1), deliveryID: nil)
            }
            func files(_ name: String) -> Int { bodyFiles(folder).filter { $0.hasPrefix(name) }.count }
            #expect(files("bodies") == 1 && files("messages") == 2)
            let recipients = try await spool.recipients(of: id)
            try await spool.record([(recipients[0].id, .done)], newMessages: [], journey: [])
            #expect(files("bodies") == 1)
            try await spool.record([(recipients[1].id, .done)], newMessages: [], journey: [])
            #expect(files("bodies") == 0 && files("messages") == 2)
            let inbox = try await info(store)
            _ = try await store.copy(from: inbox.id, uids: [1], to: "Archive", of: bob, move: false)
            _ = try await store.copy(from: inbox.id, uids: [1], to: "Trash", of: bob, move: true)
            #expect(files("messages") == 2)
            _ = try await store.deleteMailbox("Trash", of: bob)
            let copy = try #require(try await store.messages(in: try await info(store, "Archive").id, uids: 1...1).first)
            #expect(try await store.content(copy.contentID)?.readAll() == ByteBuffer(string: "Return-Path: <>\r\nReceived: here\r\n" + text))
            _ = try await store.deleteMailbox("Archive", of: bob)
            #expect(files("messages") == 1)
            try await store.removeUser(bob)
            #expect(files("messages") == 0)
            try await spool.close()
        }
    }
}
