import Foundation
import MailMessage
import NIOCore
import SASL
import Testing

@testable import MailStore

private let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
private let verifier = SCRAMVerifier(salt: [1, 2], iterations: 4096, storedKey: [3], serverKey: [4])

/// Says that it has octets and has none.
private struct BrokenContent: MessageContent {
    let byteCount: Int
    func read(_ range: Range<Int>) async throws -> ByteBuffer { throw StoreError(.inputOutput, "on purpose") }
}

/// What the disk refuses is never acknowledged.
@Suite struct StorageFailureTests {
    /// Each file may have a mebibyte: the log of the database is full in the middle of a commit, a body in the middle of its copying.
    @Test func filesThatMayNotGrowAreToldAndPass() async throws {
        try await withFolder { folder in
            await #expect(processExitsWith: .success) { [folder = folder as String] in
                let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test", bodyRowLimit: 256 * 1024)
                signal(SIGXFSZ, SIG_IGN)
                limitFileSize(1 << 20)
                var accepted = 0
                var refused: StoreError?
                while refused == nil && accepted < 100 {
                    do {
                        _ = try await spool.enqueue(newMessage(String(repeating: "x", count: 100_000)), journey: [])
                        accepted += 1
                    } catch { refused = error as? StoreError }
                }
                #expect(accepted > 0 && accepted < 100)
                #expect(refused?.code == .inputOutput || refused?.code == .full)
                #expect(try await spool.counts().queued == accepted)
                let large = newMessage(String(repeating: "y", count: 2 << 20))
                await #expect(throws: StoreError.self) { try await spool.enqueue(large, journey: []) }
                #expect(bodyFiles(folder).isEmpty)
                limitFileSize(nil)
                _ = try await spool.enqueue(large, journey: [])
                _ = try await spool.enqueue(newMessage(String(repeating: "x", count: 100_000)), journey: [])
                #expect(try await spool.counts().queued == accepted + 2)
                try await spool.close()
            }
            let after = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            for (message, _) in try await after.list(limit: 200, offset: 0) { #expect(try await message.content.readAll().readableBytes > 100_000) }
            try await after.close()
        }
    }

    @Test func missingBodyFolderIsTold() async throws {
        try await withFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test", bodyRowLimit: 64)
            let large = String(repeating: "x", count: 500)
            let kept = try await spool.enqueue(newMessage(large), journey: [])
            try FileManager.default.moveItem(atPath: "\(folder)/bodies", toPath: "\(folder)/away")
            let error = await #expect(throws: StoreError.self) { try await spool.enqueue(newMessage(large), journey: []) }
            #expect(error?.code == .inputOutput && error?.message.contains("folder is missing") == true)
            #expect(try await spool.counts().queued == 1)
            // Small ones need no file.
            _ = try await spool.enqueue(newMessage(), journey: [])
            // What is lost is told as such, and spoils no list.
            let lost = await #expect(throws: StoreError.self) { try await spool.message(kept) }
            #expect(lost?.code == .corrupted && lost?.message.contains("\(kept)") == true)
            #expect(try await spool.list(limit: 10, offset: 0).count == 2)
            #expect(try await spool.delete(kept) == 1)
            #expect(try await spool.message(kept) == nil)
            try FileManager.default.moveItem(atPath: "\(folder)/away", toPath: "\(folder)/bodies")
            _ = try await spool.enqueue(newMessage(large), journey: [])
            try await spool.close()
        }
    }

    @Test func closedStoreRefuses() async throws {
        try await withFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            try await spool.close()
            await #expect(throws: StoreError.self) { try await spool.enqueue(newMessage(), journey: []) }
        }
    }

    @Test func severalAreAppendedAllOrNone() async throws {
        try await withFolder { folder in
            let store = try await MailboxStore.open(folder: folder, bodyRowLimit: 64)
            try await store.addUser(bob, verifier: verifier)
            func message(_ content: any MessageContent) -> (content: any MessageContent, flags: Set<String>, internalDate: Date) {
                (content, ["\\Seen"], Date(timeIntervalSinceReferenceDate: 1))
            }
            let good = message(BufferedContent(ByteBuffer(repeating: 65, count: 500)))
            // The last one cannot be read.
            await #expect(throws: StoreError.self) {
                try await store.append([good, good, message(BrokenContent(byteCount: 500))], to: "INBOX", of: bob)
            }
            // There is no such mailbox, no such user.
            for (name, user) in [("nowhere", bob), ("INBOX", EmailAddress(localPart: "jack", domain: "kartapuce.test"))] {
                let error = await #expect(throws: StoreError.self) { try await store.append([good, good], to: name, of: user) }
                #expect(error?.code == .notFound)
            }
            // There is room for the first, not for all.
            let row = message(BufferedContent(ByteBuffer(repeating: 65, count: 60)))
            try await store.limitPages(1)
            let full = await #expect(throws: StoreError.self) { try await store.append(Array(repeating: row, count: 2000), to: "INBOX", of: bob) }
            #expect(full?.code == .full)
            try await store.limitPages(100_000)
            let empty = try #require(try await store.mailbox(named: "INBOX", of: bob))
            #expect(empty.messageCount == 0 && empty.uidNext == 1 && empty.totalSize == 0)
            #expect(bodyFiles(folder).isEmpty)
            let appended = try await store.append([good, row, good], to: "INBOX", of: bob)
            #expect(appended.map(\.uid) == [1, 2, 3])
            let inbox = try #require(try await store.mailbox(named: "INBOX", of: bob))
            #expect(inbox.messageCount == 3 && inbox.unseenCount == 0 && inbox.totalSize == 1060)
            #expect(bodyFiles(folder).count == 2)
            try await store.close()
        }
    }

    @Test func failedDeliveryLeavesNoFile() async throws {
        try await withFolder { folder in
            let store = try await MailboxStore.open(folder: folder, bodyRowLimit: 64)
            let content = BufferedContent(ByteBuffer(repeating: 65, count: 500))
            let error = await #expect(throws: StoreError.self) {
                try await store.deliver(
                    content, prefix: ByteBuffer(), to: "INBOX", of: bob, flags: [], internalDate: Date(timeIntervalSinceReferenceDate: 1), deliveryID: nil)
            }
            #expect(error?.code == .notFound)
            #expect(bodyFiles(folder).isEmpty)
            try await store.close()
        }
    }

    @Test func lostOctetsOfAStoredMessageAreTold() async throws {
        try await withFolder { folder in
            let store = try await MailboxStore.open(folder: folder, bodyRowLimit: 64)
            try await store.addUser(bob, verifier: verifier)
            _ = try await store.append(
                [(BufferedContent(ByteBuffer(repeating: 65, count: 500)), [], Date(timeIntervalSinceReferenceDate: 1))], to: "INBOX", of: bob)
            let inbox = try #require(try await store.mailbox(named: "INBOX", of: bob))
            let message = try #require(try await store.messages(in: inbox.id, uids: 1...1).first)
            for file in bodyFiles(folder) { try FileManager.default.removeItem(atPath: "\(folder)/\(file)") }
            let error = await #expect(throws: StoreError.self) { try await store.content(message.contentID) }
            #expect(error?.code == .corrupted)
            #expect(try await store.content(999) == nil)
            try await store.close()
        }
    }
}

/// Limits the files of this process to so many octets; `nil` lifts the limit.
private func limitFileSize(_ size: UInt?) {
    var limit = rlimit()
    // Safe: the structure lives for the calls.
    unsafe getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    limit.rlim_cur = size ?? limit.rlim_max
    unsafe setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
}
