import Foundation
import GRDB
import MailMessage
import NIOCore
import SASL
import Synchronization
import Testing

@testable import MailStore

private final class Done: Sendable {
    let value = Atomic(false)
}

/// Copies of a data folder in use, and what comes back from them.
@Suite struct BackupTests: Sendable {
    private var bob: EmailAddress { EmailAddress(localPart: "bob", domain: "kartapuce.test") }
    private var time: Date { Date(timeIntervalSince1970: 1_764_000_000) }

    private func text(_ number: Int) -> String { "Subject: \(number)\r\n\r\n" + String(repeating: "\(number) ", count: number % 3 == 0 ? 100 : 2) }

    private func deliver(_ number: Int, _ store: MailboxStore) async throws {
        _ = try await store.deliver(
            BufferedContent(ByteBuffer(string: text(number))), prefix: ByteBuffer(), to: "inbox", of: bob, flags: [], internalDate: time,
            deliveryID: nil)
    }

    private func copy(_ folder: String, to target: String, further: [String: String] = [:]) throws -> BackupManifest {
        try StoreBackup.make(of: folder, host: "store.kartapuce.test", further: further, to: target, at: time)
    }

    /// The texts of all messages in the inbox.
    private func inbox(_ store: MailboxStore) async throws -> Set<String> {
        let rows = try await store.database.read { db in
            try Row.fetchAll(db, sql: "SELECT body, file, size FROM content").map { row in
                (row["body"] as Data?, row["file"] as String?, row["size"] as Int)
            }
        }
        var texts: Set<String> = []
        for (data, file, size) in rows {
            texts.insert(String(buffer: try await store.bodies.content(data: data, fileName: file, size: size).readAll()))
        }
        return texts
    }

    @Test func whatWasStoredBeforeComesBackWhileOthersWriteAndDelete() async throws {
        try await withFolder { root in
            let folder = "\(root)/data"
            let spool = try await SpoolStore.open(folder: folder, host: "store.kartapuce.test", bodyRowLimit: 64)
            let store = try await MailboxStore.open(folder: folder, bodyRowLimit: 64)
            try await store.addUser(bob, verifier: SCRAMVerifier(salt: [1], iterations: 4096, storedKey: [2], serverKey: [3]))
            var ids: [QueueID] = []
            for number in 0..<60 {
                ids.append(try await spool.enqueue(newMessage(text(number)), journey: []))
                try await deliver(number, store)
            }
            try Data("recipients".utf8).write(to: URL(fileURLWithPath: "\(folder)/recipients.bin"))
            let isDone = Done()
            let manifests = try await withThrowingTaskGroup(of: [BackupManifest].self) { group in
                group.addTask {
                    // Large messages come and go all the time.
                    for number in 1000..<100_000 where !isDone.value.load(ordering: .relaxed) {
                        let id = try await spool.enqueue(newMessage(text(number * 3)), journey: [])
                        try await deliver(number, store)
                        for recipient in try await spool.recipients(of: id) {
                            try await spool.record([(recipient.id, .done)], newMessages: [], journey: [])
                        }
                    }
                    return []
                }
                group.addTask {
                    defer { isDone.value.store(true, ordering: .relaxed) }
                    return try (0..<3).map { try copy(folder, to: "\(root)/copy\($0)") }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            try await spool.close()
            try await store.close()
            #expect(manifests.count == 3)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).allSatisfy { !$0.hasPrefix(".backup") })

            for number in 0..<3 {
                let restored = "\(root)/restored\(number)"
                #expect(try StoreBackup.restore("\(root)/copy\(number)", to: restored) == manifests[number])
                #expect(try Data(contentsOf: URL(fileURLWithPath: "\(restored)/recipients.bin")) == Data("recipients".utf8))
                let spool = try await SpoolStore.open(folder: restored, host: "store.kartapuce.test", bodyRowLimit: 64)
                for (place, id) in ids.enumerated() {
                    let message = try #require(try await spool.message(id))
                    #expect(String(buffer: try await message.content.readAll()) == "Received: here\r\n" + text(place))
                }
                // What came meanwhile is there as a whole, or not at all.
                for (message, _) in try await spool.list(limit: 1000, offset: 0) { _ = try await message.content.readAll() }
                // Its numbers go on after those that were given.
                #expect(try await spool.enqueue(newMessage(), journey: []).rawValue > (ids.last?.rawValue ?? 0))
                try await spool.close()
                let store = try await MailboxStore.open(folder: restored, bodyRowLimit: 64)
                #expect(try await inbox(store).isSuperset(of: (0..<60).map(text)))
                #expect(try await store.verifier(forUser: bob) != nil)
                try await store.close()
            }
        }
    }

    @Test func everyFileIsPrivate() async throws {
        try await withFolder { root in
            let spool = try await SpoolStore.open(folder: "\(root)/data", host: "mx.kartapuce.test", bodyRowLimit: 64)
            _ = try await spool.enqueue(newMessage(text(3)), journey: [])
            _ = try copy("\(root)/data", to: "\(root)/copy")
            _ = try StoreBackup.restore("\(root)/copy", to: "\(root)/restored")
            for folder in ["\(root)/copy", "\(root)/restored"] {
                for path in try FileManager.default.subpathsOfDirectory(atPath: folder) {
                    let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(path)")
                    let mode = try #require(attributes[.posixPermissions] as? NSNumber).intValue
                    #expect(mode & 0o077 == 0, "\(path) has the mode \(String(mode, radix: 8))")
                }
            }
            try await spool.close()
        }
    }

    @Test(arguments: ["change", "remove", "add", "manifest", "lead out"])
    func aCopyThatIsNotAsItWasIsRefused(how: String) async throws {
        try await withFolder { root in
            let spool = try await SpoolStore.open(folder: "\(root)/data", host: "mx.kartapuce.test", bodyRowLimit: 64)
            _ = try await spool.enqueue(newMessage(text(3)), journey: [])
            try await spool.close()
            let target = "\(root)/copy"
            let manifest = try copy("\(root)/data", to: target)
            #expect(try StoreBackup.verify(target) == manifest)
            let body = try #require(manifest.files.first { $0.path.hasPrefix("data/bodies/") }).path
            switch how {
            case "change":
                var octets = try Data(contentsOf: URL(fileURLWithPath: "\(target)/\(body)"))
                octets[octets.count / 2] ^= 1
                try octets.write(to: URL(fileURLWithPath: "\(target)/\(body)"))
            case "remove": try FileManager.default.removeItem(atPath: "\(target)/\(body)")
            case "add": try Data("x".utf8).write(to: URL(fileURLWithPath: "\(target)/data/stranger"))
            case "manifest": try Data("{\"format\":1}".utf8).write(to: URL(fileURLWithPath: "\(target)/manifest.json"))
            default:
                var changed = manifest
                changed.files[0].path = "data/../../outside"
                try changed.write(to: target)
            }
            let error = #expect(throws: StoreError.self) { try StoreBackup.restore(target, to: "\(root)/restored") }
            #expect(error?.code == .corrupted)
            #expect(!FileManager.default.fileExists(atPath: "\(root)/restored"))
        }
    }

    @Test func nothingIsOverwritten() async throws {
        try await withFolder { root in
            let spool = try await SpoolStore.open(folder: "\(root)/data", host: "mx.kartapuce.test")
            try await spool.close()
            _ = try copy("\(root)/data", to: "\(root)/copy")
            #expect(#expect(throws: StoreError.self) { try copy("\(root)/data", to: "\(root)/copy") }?.code == .exists)
            #expect(#expect(throws: StoreError.self) { try StoreBackup.restore("\(root)/copy", to: "\(root)/data") }?.code == .exists)
            #expect(#expect(throws: StoreError.self) { try StoreBackup.restore("\(root)/data", to: "\(root)/new") }?.code == .notFound)
            #expect(#expect(throws: StoreError.self) { try copy("\(root)/nowhere", to: "\(root)/new") }?.code == .notFound)
            try Data("{\"format\":2}".utf8).write(to: URL(fileURLWithPath: "\(root)/copy/manifest.json"))
            #expect(#expect(throws: StoreError.self) { try StoreBackup.verify("\(root)/copy") }?.code == .unsupportedSchema)
        }
    }

    @Test func furtherFilesAndLeftoversAreSeenTo() async throws {
        try await withFolder { root in
            let spool = try await SpoolStore.open(folder: "\(root)/data", host: "mx.kartapuce.test")
            try await spool.close()
            try Data("hostname: x".utf8).write(to: URL(fileURLWithPath: "\(root)/postern.yaml"))
            // No process has this number: it is above what the kernel gives.
            try FileManager.default.createDirectory(atPath: "\(root)/data/.backup-99999999-bodies", withIntermediateDirectories: true)
            let manifest = try copy("\(root)/data", to: "\(root)/copy", further: ["configuration/postern.yaml": "\(root)/postern.yaml"])
            #expect(manifest.files.map(\.path) == ["configuration/postern.yaml", "data/spool.sqlite"])
            #expect(!FileManager.default.fileExists(atPath: "\(root)/data/.backup-99999999-bodies"))
            _ = try StoreBackup.restore("\(root)/copy", to: "\(root)/restored")
            #expect(try Set(FileManager.default.contentsOfDirectory(atPath: "\(root)/restored")) == ["spool.sqlite"])
        }
    }
}
