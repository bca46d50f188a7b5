import Foundation
import MailMessage
import NIOCore
import SASL
import Testing

@testable import MailStore

private let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
private let verifier = SCRAMVerifier(salt: [1, 2], iterations: 4096, storedKey: [3], serverKey: [4])

private func address(_ text: String) -> EmailAddress { EmailAddress(storeKey: text) }

@Suite struct MailboxStoreTests {
    private func withStore(_ body: (MailboxStore, String) async throws -> Void) async throws {
        try await withFolder { folder in
            let store = try await MailboxStore.open(folder: folder, bodyRowLimit: 64)
            try await store.addUser(bob, verifier: verifier)
            try await body(store, folder)
            try await store.close()
        }
    }

    private func deliver(_ store: MailboxStore, _ text: String, id: String? = nil, flags: Set<String> = []) async throws -> DeliveredMessage {
        try await store.deliver(
            BufferedContent(ByteBuffer(string: text)), prefix: ByteBuffer(string: "Return-Path: <>\r\n"), to: "inbox", of: bob, flags: flags,
            internalDate: Date(timeIntervalSinceReferenceDate: 5), deliveryID: id)
    }

    @Test func newUserHasMailboxesAndAVerifier() async throws {
        try await withStore { store, _ async throws in
            #expect(try await store.mailboxes(of: bob).map(\.name) == ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"])
            #expect(try await store.verifier(forUser: address("BOB@kartapuce.test")) == verifier)
            let error = await #expect(throws: StoreError.self) { try await store.addUser(bob, verifier: verifier) }
            #expect(error?.code == .exists)
        }
    }

    @Test func deliveryIsCountedAndRecognisedAgain() async throws {
        try await withStore { store, folder async throws in
            let large = String(repeating: "a", count: 200)
            let first = try await deliver(store, large, id: "one")
            let again = try await deliver(store, large, id: "one")
            #expect(again.uid == first.uid && again.isDuplicate && !first.isDuplicate)
            #expect(bodyFiles(folder).count == 1)
            let inbox = try #require(try await store.mailbox(named: "INBOX", of: bob))
            #expect((inbox.messageCount, inbox.unseenCount, inbox.totalSize, inbox.uidNext) == (1, 1, 217, 2))
            let message = try #require(try await store.messages(in: inbox.id, uids: 1...UInt32.max).first)
            #expect(try await store.content(message.contentID)?.readAll() == ByteBuffer(string: "Return-Path: <>\r\n" + large))
        }
    }

    @Test func flagsExpungeCopyMove() async throws {
        try await withStore { store, folder async throws in
            for number in 0..<3 { _ = try await deliver(store, String(repeating: "\(number)", count: 100)) }
            let inbox = try #require(try await store.mailbox(named: "INBOX", of: bob))
            let before = inbox.highestModSeq
            let changed = try await store.changeFlags(in: inbox.id, uids: [1, 2], .add, ["\\Deleted", "$Work"], unchangedSince: nil)
            #expect(changed.messages.map(\.flags) == [["\\Deleted", "$Work"], ["\\Deleted", "$Work"]])
            let refused = try await store.changeFlags(in: inbox.id, uids: [1, 3], .add, ["\\Seen"], unchangedSince: before)
            #expect(refused.modified == [1] && refused.messages.map(\.uid) == [3])
            let copied = try await store.copy(from: inbox.id, uids: [1], to: "Archive", of: bob, move: false)
            #expect(copied.uids.map(\.0) == [1] && copied.uids.map(\.1) == [1])
            #expect(try await store.expunge(in: inbox.id, uids: nil) == [1, 2])
            // The copy still needs the octets of the first.
            #expect(bodyFiles(folder).count == 2)
            _ = try await store.copy(from: inbox.id, uids: [3], to: "Trash", of: bob, move: true)
            let delta = try await store.changes(in: inbox.id, after: before)
            #expect(delta.vanished == [1, 2, 3] && delta.exists == 0 && delta.changed.isEmpty && delta.highestModSeq > before)
            let now = try #require(try await store.mailbox(named: "INBOX", of: bob))
            #expect((now.messageCount, now.unseenCount, now.deletedCount, now.totalSize) == (0, 0, 0, 0))
            #expect(try await deliver(store, "next").uid == 4)
            try await store.removeUser(bob)
            #expect(bodyFiles(folder).isEmpty)
        }
    }

    @Test func mailboxesAreMadeRenamedAndDeleted() async throws {
        try await withStore { store, _ async throws in
            let first = try await store.createMailbox("a/b", of: bob, specialUse: nil)
            try await store.renameMailbox("a", to: "c", of: bob)
            #expect(try await store.mailbox(named: "c/b", of: bob)?.id == first.id)
            try await store.deleteMailbox("c/b", of: bob)
            #expect(try await store.createMailbox("c/b", of: bob, specialUse: nil).uidValidity > first.uidValidity)
            _ = try await deliver(store, "x")
            try await store.renameMailbox("INBOX", to: "old", of: bob)
            #expect(try await store.mailbox(named: "old", of: bob)?.messageCount == 1)
            #expect(try await store.mailbox(named: "Inbox", of: bob)?.messageCount == 0)
            for name in ["", "a//b", "/a", "a*", "a\u{7}", String(repeating: "x", count: 1001)] {
                let error = await #expect(throws: StoreError.self) { try await store.createMailbox(name, of: bob, specialUse: nil) }
                #expect(error?.code == .invalidName, "\(name)")
            }
        }
    }

    @Test func changesWakeHereAndFromAnotherOpening() async throws {
        try await withStore { store, folder async throws in
            let other = try await MailboxStore.open(folder: folder)
            let inbox = try #require(try await store.mailbox(named: "INBOX", of: bob))
            var changes = store.changes(of: inbox.id).makeAsyncIterator()
            // The stream begins with a wake; from there on each stands for a change.
            #expect(await changes.next() != nil)
            _ = try await deliver(store, "x")
            #expect(await changes.next() != nil)
            _ = try await deliver(other, "y")
            #expect(await changes.next() != nil)
            try await store.removeUser(bob)
            while await changes.next() != nil {}
            try await other.close()
        }
    }

    @Test func largeMessageIsSharedWithTheSpool() async throws {
        try await withStore { store, folder async throws in
            let spool = try await SpoolStore.open(folder: folder, host: "store.kartapuce.test", bodyRowLimit: 64)
            let file = try await spool.makeIncomingFile()
            try await file.append(ByteBuffer(repeating: 65, count: 1000))
            var message = newMessage()
            message.content = try await file.finish()
            let id = try await spool.enqueue(message, journey: [])
            let content = try #require(try await spool.message(id)?.content)
            _ = try await store.deliver(
                content, prefix: ByteBuffer(), to: "INBOX", of: bob, flags: [], internalDate: Date(), deliveryID: nil)
            let inodes = try bodyFiles(folder).filter { !$0.hasPrefix("incoming") }.map { name in
                try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")[.systemFileNumber] as? Int
            }
            #expect(inodes.count == 2 && Set(inodes).count == 1)
            try await spool.close()
        }
    }

    @Test func addressesAreResolved() async throws {
        try await withStore { store, _ async throws in
            let before = try await store.accountsVersion()
            try await store.setAlias(address("sales@kartapuce.test"), targets: [bob, address("mike@gmail.test")])
            try await store.setAlias(address("x@kartapuce.test"), targets: [address("y@kartapuce.test")])
            try await store.setAlias(address("y@kartapuce.test"), targets: [address("x@kartapuce.test")])
            try await store.setAlias(address("*@all.test"), targets: [bob])
            #expect(try await store.accountsVersion() > before)
            let cases: [(String, [ResolvedRecipient])] = [
                ("Bob@kartapuce.test", [.init(target: .user(bob), detail: nil)]),
                ("bob+lists@kartapuce.test", [.init(target: .user(bob), detail: "lists")]),
                ("sales@kartapuce.test", [.init(target: .user(bob), detail: nil), .init(target: .remote(address("mike@gmail.test")), detail: nil)]),
                ("x@kartapuce.test", []), ("jack@kartapuce.test", []),
                ("anyone@all.test", [.init(target: .user(bob), detail: nil)]),
            ]
            for (recipient, expected) in cases {
                let found = try await store.resolve(address(recipient))
                #expect(found == expected, "\(recipient)")
            }
            #expect(try await store.allAddresses().catchAllDomains == ["all.test"])
        }
    }

    @Test func digestsAnswerAndSurviveTheFile() async throws {
        let set = DigestSet(key: Array(0..<32), addresses: [bob, address("tom@kartapuce.test")], catchAllDomains: ["all.test"])
        for (text, known) in [
            ("bob@kartapuce.test", true), ("BOB+x@kartapuce.test", true), ("jack@kartapuce.test", false), ("q@all.test", true),
        ] { #expect(set.contains(address(text)) == known, "\(text)") }
        #expect(!set.contains(address("bob+x@kartapuce.test"), subaddressSeparator: ""))
        try await withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            #expect(try DigestSet.load(folder: folder) == nil)
            try set.save(folder: folder)
            #expect(try DigestSet.load(folder: folder) == set)
            let mode = try FileManager.default.attributesOfItem(atPath: "\(folder)/recipients.digests")[.posixPermissions] as? Int
            #expect(mode == 0o600)
        }
        let octets = set.serialized
        for length in 0..<octets.count { #expect(throws: StoreError.self) { try DigestSet(serialized: Array(octets.prefix(length))) } }
    }
}
