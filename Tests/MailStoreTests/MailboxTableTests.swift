import Foundation
import GRDB
import MailMessage
import NIOCore
import SASL
import Testing

@testable import MailStore

private let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
private let verifier = SCRAMVerifier(salt: [1, 2], iterations: 4096, storedKey: [3], serverKey: [4])

/// The messages of a mailbox in memory: as the rows say, whoever changed them.
@Suite(.timeLimit(.minutes(2))) struct MailboxTableTests {
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

    private func inbox(_ store: MailboxStore) async throws -> MailboxInfo { try #require(try await store.mailbox(named: "INBOX", of: bob)) }

    /// The table's messages, and what the rows say.
    private func both(_ table: MailboxTable, _ store: MailboxStore) async throws -> (known: [StoredMessage], stored: [StoredMessage]) {
        let snapshot = table.snapshot
        return (snapshot.uids.indices.map(snapshot.message(at:)), try await store.messages(in: table.mailbox, uids: 1...UInt32.max))
    }

    private func expectSame(_ table: MailboxTable, _ store: MailboxStore, _ comment: Comment = "") async throws {
        let (known, stored) = try await both(table, store)
        #expect(known == stored, comment)
        #expect(table.snapshot.uids == stored.map(\.uid), comment)
        #expect(Set(table.snapshot.flagSetsInUse) == Set(stored.map(\.flags)), comment)
        #expect(table.snapshot.firstPlace(without: "\\Seen") == stored.firstIndex { !$0.flags.contains("\\Seen") }, comment)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func everyChangeIsFollowed(seed: UInt64) async throws {
        try await withStore { store, folder async throws in
            // A second store in the folder is to the first what another process is.
            let other = try await MailboxStore.open(folder: folder, bodyRowLimit: 64)
            var state = seed
            func roll(_ count: Int) -> Int {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int((state >> 33) % UInt64(count))
            }
            try await append(store, 5, flags: ["\\Seen", "$Work"])
            let inbox = try await inbox(store)
            let table = try await store.table(of: inbox.id)
            var known = table.modSeq
            for step in 0..<80 {
                let changer = roll(2) == 0 ? store : other
                let uids = table.snapshot.uids
                let some = uids.filter { _ in roll(3) == 0 }
                switch roll(7) {
                case 0, 1: try await append(changer, 1 + roll(3), flags: roll(2) == 0 ? ["\\Flagged"] : ["key\(roll(4))"])
                case 2: _ = try await changer.changeFlags(in: inbox.id, uids: some, .add, ["\\Deleted"], unchangedSince: nil)
                case 3: _ = try await changer.changeFlags(in: inbox.id, uids: some, .replace, ["\\Seen", "key\(roll(4))"], unchangedSince: nil)
                case 4: _ = try await changer.expunge(in: inbox.id, uids: nil)
                case 5: _ = try await changer.copy(from: inbox.id, uids: some, to: "INBOX", of: bob, move: roll(2) == 0)
                default: try await append(changer, 1)
                }
                if roll(2) == 0 {
                    let delta = try await store.changes(in: table, after: known, lookedWithin: .zero)
                    known = delta?.highestModSeq ?? known
                    #expect(known == table.modSeq, "seed \(seed), step \(step)")
                    try await expectSame(table, store, "seed \(seed), step \(step)")
                }
            }
            _ = try await store.changes(in: table, after: known, lookedWithin: .zero)
            try await expectSame(table, store, "seed \(seed)")
            try await other.close()
        }
    }

    @Test func ownChangesAreSeenAtOnceAndOthersWhenAsked() async throws {
        try await withStore { store, folder async throws in
            let other = try await MailboxStore.open(folder: folder, bodyRowLimit: 64)
            try await append(store, 2)
            let table = try await store.table(of: try await inbox(store).id)
            #expect(try await store.table(of: table.mailbox) === table)
            let before = table.modSeq
            // Nothing is new, and nobody looks.
            #expect(try await store.changes(in: table, after: before, lookedWithin: .seconds(3600)) == nil)
            _ = try await store.changeFlags(in: table.mailbox, uids: [1], .add, ["\\Seen"], unchangedSince: nil)
            try await store.refresh(table)
            #expect(table.snapshot.messages([1]).map(\.flags) == [["\\Seen"]])
            // A session that has not been told yet still is, though the table knows.
            let told = try #require(try await store.changes(in: table, after: before, lookedWithin: .seconds(3600)))
            #expect(told.changed.map(\.uid) == [1] && told.vanished.isEmpty)
            // What another process did is found by a look, and not before.
            _ = try await other.changeFlags(in: table.mailbox, uids: [2], .add, ["\\Flagged"], unchangedSince: nil)
            #expect(try await store.changes(in: table, after: told.highestModSeq, lookedWithin: .seconds(3600)) == nil)
            let found = try #require(try await store.changes(in: table, after: told.highestModSeq, lookedWithin: .zero))
            #expect(found.changed.map(\.uid) == [2])
            #expect(table.snapshot.messages([2]).map(\.flags) == [["\\Flagged"]])
            try await other.close()
        }
    }

    @Test func readByManyAtOnceWhileItChanges() async throws {
        try await withStore { store, _ async throws in
            try await append(store, 50)
            let id = try await inbox(store).id
            let tables = try await withThrowingTaskGroup(of: MailboxTable.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        if number % 4 == 0 { _ = try await store.changeFlags(in: id, uids: [UInt32(number + 1)], .add, ["\\Seen"], unchangedSince: nil) }
                        return try await store.table(of: id)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let first = try #require(tables.first)
            #expect(tables.allSatisfy { $0 === first })
            try await store.refresh(first)
            try await expectSame(first, store)
        }
    }

    @Test(arguments: [false, true]) func deletedMailboxIsGone(byAnother: Bool) async throws {
        try await withStore { store, folder async throws in
            let other = try await MailboxStore.open(folder: folder, bodyRowLimit: 64)
            let work = try await store.createMailbox("Work", of: bob, specialUse: nil)
            try await append(store, 1, to: "Work")
            let table = try await store.table(of: work.id)
            try await (byAnother ? other : store).deleteMailbox("Work", of: bob)
            let error = await #expect(throws: StoreError.self) {
                if byAnother {
                    _ = try await store.changes(in: table, after: table.modSeq, lookedWithin: .zero)
                } else {
                    try await store.refresh(table)
                }
            }
            #expect(error?.code == .notFound)
            await #expect(throws: StoreError.self) { try await store.table(of: work.id) }
            // One of the same name is another one, with another validity, and its messages are not the old ones.
            let again = try await store.createMailbox("Work", of: bob, specialUse: nil)
            #expect(again.uidValidity > work.uidValidity)
            #expect(try await store.table(of: again.id).snapshot.uids.isEmpty)
            try await other.close()
        }
    }

    @Test func restartedStoreKnowsTheSame() async throws {
        try await withFolder { folder in
            let store = try await MailboxStore.open(folder: folder)
            try await store.addUser(bob, verifier: verifier)
            try await append(store, 3, flags: ["$Work", "\\Draft"])
            let id = try await inbox(store).id
            _ = try await store.table(of: id)
            _ = try await store.changeFlags(in: id, uids: [2], .replace, ["\\Deleted"], unchangedSince: nil)
            _ = try await store.expunge(in: id, uids: nil)
            try await store.close()
            let again = try await MailboxStore.open(folder: folder)
            let table = try await again.table(of: id)
            #expect(table.snapshot.uids == [1, 3])
            try await expectSame(table, again)
            try await again.close()
        }
    }

    @Test func combinationsOfFlagsThatNobodyHasAreForgotten() {
        func message(_ flags: Set<String>, _ modSeq: UInt64) -> StoredMessage {
            StoredMessage(uid: 1, modSeq: modSeq, flags: flags, internalDate: Date(timeIntervalSinceReferenceDate: 0), size: 1, contentID: 1)
        }
        var snapshot = MailboxSnapshot(modSeq: 1, capacity: 1)
        for number in 0..<3000 {
            let modSeq = UInt64(number + 2)
            snapshot.apply(changed: [message(["key\(number)", "\\Seen"], modSeq)], vanished: [], modSeq: modSeq)
            #expect(snapshot.message(at: 0).flags == ["key\(number)", "\\Seen"])
        }
        #expect(snapshot.flagSets.count < 1200 && snapshot.flagGeneration > 0)
        // What is older than what is known changes nothing.
        snapshot.apply(changed: [message([], 2)], vanished: [1], modSeq: 5)
        #expect(snapshot.message(at: 0).flags == ["key2999", "\\Seen"])
    }

    // MARK: - Summaries

    @Test func summariesAreKeptWithTheMessage() async throws {
        try await withStore { store, _ async throws in
            let text = "Subject: one\r\n two\r\nX-Other: y\r\nfrom: tom@gmail.test\r\n\r\nbody\r\n"
            let bodies = [text, text + String(repeating: "x", count: 300_000), "no header"]
            for body in bodies {
                _ = try await store.deliver(
                    BufferedContent(ByteBuffer(string: body)), prefix: ByteBuffer(string: "Received: by x\r\n"), to: "INBOX", of: bob, flags: [],
                    internalDate: Date(timeIntervalSinceReferenceDate: 1), deliveryID: nil)
            }
            let id = try await inbox(store).id
            let contents = try await store.table(of: id).snapshot.messages([1, 2, 3]).map(\.contentID)
            let summaries = try await store.summaries(contents)
            let expected = "Subject: one\r\n two\r\nfrom: tom@gmail.test\r\n\r\n"
            #expect(contents.map { summaries[$0].map { String(buffer: $0) } } == [expected, expected, "\r\n"])
            // Far apart, and some that were never there.
            let apart = try await store.summaries([contents[0], 1_000_000])
            #expect(apart.mapValues { String(buffer: $0) } == [contents[0]: expected])
            // A copy shares its octets, and the summary goes with the last of them.
            _ = try await store.copy(from: id, uids: [1], to: "INBOX", of: bob, move: false)
            _ = try await store.changeFlags(in: id, uids: [1], .add, ["\\Deleted"], unchangedSince: nil)
            _ = try await store.expunge(in: id, uids: nil)
            #expect(try await store.summaries([contents[0]]).count == 1)
            _ = try await store.changeFlags(in: id, uids: [4], .add, ["\\Deleted"], unchangedSince: nil)
            _ = try await store.expunge(in: id, uids: nil)
            #expect(try await store.summaries([contents[0]]).isEmpty)
            // Nor does one come back that was made while the message went.
            try await store.keepSummaries([contents[0]: ByteBuffer(string: "late"), contents[1]: ByteBuffer(string: "late")])
            #expect(try await store.summaries([contents[0]]).isEmpty)
            #expect(try await store.summaries([contents[1]])[contents[1]].map { String(buffer: $0) } == expected)
        }
    }

    @Test func messagesOfTheVersionBeforeHaveNoSummaryYet() async throws {
        try await withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let queue = try DatabaseQueue(path: "\(folder)/mail.sqlite")
            try MailboxSchema.migrator.migrate(queue, upTo: "mail-2")
            try await queue.write { db in
                try db.execute(
                    sql: """
                        INSERT INTO user (address, salt, iterations, storedKey, serverKey) VALUES ('bob@kartapuce.test', x'01', 4096, x'02', x'03');
                        INSERT INTO mailbox (user, name, uidValidity, uidNext, modSeq, mailboxID, messageCount) VALUES (1, 'INBOX', 7, 2, 2, 'id', 1);
                        INSERT INTO content (references_, prefix, size, body) VALUES (1, x'', 9, CAST('Subject: ' AS BLOB));
                        INSERT INTO message (mailbox, uid, modSeq, flags, keywords, internalDate, size, content) VALUES (1, 1, 2, 8, 'b a', 5, 9, 1);
                        """)
            }
            try queue.close()
            let store = try await MailboxStore.open(folder: folder)
            let table = try await store.table(of: 1)
            try await expectSame(table, store)
            #expect(table.snapshot.messages([1]).map(\.flags) == [["\\Seen", "a", "b"]])
            #expect(try await store.summaries([1]).isEmpty)
            try await store.keepSummaries([1: ByteBuffer(string: "made")])
            #expect(try await store.summaries([1]).mapValues { String(buffer: $0) } == [1: "made"])
            try await store.close()
        }
    }
}
