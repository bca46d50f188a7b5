import Foundation
import MailTesting
import NIOPosix
import Testing

@testable import Lab

extension FaultTests {
    /// Disks that are full, broken or read-only: 4yz replies, no false 250, and service again by itself when the disk is well.
    @Suite(.timeLimit(.minutes(10))) struct Disk {
        /// Sends messages until one is refused; those that were accepted before, and the refusal.
        private func fill(_ host: FaultHost, name: String, size: Int, limit: Int) async throws -> (accepted: [FaultMessage], refusal: String?) {
            var accepted: [FaultMessage] = []
            for number in 1...limit {
                let message = FaultMessage(identity: "\(name)-\(number)", size: size)
                let reply = try await host.take(message)
                guard reply.hasPrefix("250") else { return (accepted, reply) }
                accepted.append(message)
            }
            return (accepted, nil)
        }

        /// All of them arrive, each once, and nothing else.
        private func expectExactly(_ messages: [FaultMessage], at sink: ScriptedServer, of host: FaultHost) async throws {
            #expect(try await host.emptied(within: 90), "\(host.log.suffix(2000))")
            let contents = SinkContents(sink)
            #expect(contents.lacks(messages) == [])
            #expect(contents.repeated.isEmpty)
            #expect(Set(contents.arrivals.keys).subtracting(messages.map(\.identity)) == [], "something arrived that had been refused")
        }

        @Test func aFullDiskIsSaidAndForgottenWhenThereIsSpaceAgain() async throws {
            try await withTemporaryFolder { folder in
                try await FileSystems.withMemory("size=3m", at: "\(folder)/disk") {
                    let dataFolder = "\(folder)/disk/data"
                    // Nobody takes the mail until the disk is full.
                    try await FaultHost.run(folder, options: .init(limits: ["memoryPerMessageBytes: 16KiB"]), dataFolder: dataFolder) { host in
                        var (accepted, refusal) = try await fill(host, name: "small", size: 10_000, limit: 600)
                        #expect(refusal?.hasPrefix("452 4.3.1") == true, "\(refusal ?? "never full")")
                        #expect(!accepted.isEmpty)
                        // A large message fails while it arrives, in its own file.
                        let large = try await host.take(FaultMessage(identity: "large", size: 2_000_000))
                        #expect(large.hasPrefix("452 4.3.1"), "\(large)")
                        // The session goes on, and so do others.
                        let client = try await ServerTestClient.connected(to: host)
                        #expect(try await client.say("NOOP").hasPrefix("250"))
                        _ = try await client.say("QUIT")
                        await client.close()
                        #expect(host.log.components(separatedBy: "storage.failed").count == 2, "the alarm is one line, however many messages are refused")
                        // What was accepted is delivered meanwhile; what came of it is stored when there is room.
                        try await withSink { sink in
                            try await FileSystems.change("size=64m", at: "\(folder)/disk")
                            let after = FaultMessage(identity: "after", size: 300_000)
                            let reply = try await host.take(after)
                            #expect(reply.hasPrefix("250"), "no recovery without a restart: \(reply)")
                            accepted.append(after)
                            #expect(host.log.contains("storage.recovered"))
                            try await expectExactly(accepted, at: sink, of: host)
                            FaultRun.tell(
                                "full disk: \(accepted.count) messages accepted, all delivered once; “\(refusal ?? "")” meanwhile; recovered by itself")
                        }
                    }
                }
            }
        }

        /// Outcomes of deliveries can't be stored: nobody gets a message twice because of that.
        @Test func aDiskThatFillsUpBetweenAcceptanceAndDeliveryCausesNoDuplicates() async throws {
            try await withTemporaryFolder { folder in
                try await FileSystems.withMemory("size=6m", at: "\(folder)/disk") {
                    try await FaultHost.run(folder, dataFolder: "\(folder)/disk/data") { host in
                        let (accepted, refusal) = try await fill(host, name: "early", size: 10_000, limit: 20)
                        #expect(refusal == nil)
                        let filler = "\(folder)/disk/filler"
                        _ = try await Command.run("dd", ["if=/dev/zero", "of=\(filler)", "bs=4096", "count=100000"])
                        try await withSink { sink in
                            #expect(await eventually(within: 30) { !SinkContents(sink).arrivals.isEmpty })
                            await pause(milliseconds: FaultRun.count(short: 1000, long: 3000))
                            try FileManager.default.removeItem(atPath: filler)
                            try await expectExactly(accepted, at: sink, of: host)
                            FaultRun.tell("disk full while outcomes are stored: \(accepted.count) messages delivered once each")
                        }
                    }
                }
            }
        }

        @Test func withoutInodesLargeMessagesWaitAndSmallOnesFlow() async throws {
            try await withTemporaryFolder { folder in
                try await FileSystems.withMemory("size=64m", at: "\(folder)/disk") {
                    try await FaultHost.run(folder, options: .init(limits: ["memoryPerMessageBytes: 16KiB"]), dataFolder: "\(folder)/disk/data") { host in
                        let used = try await Command.require("df", ["--output=iused", "\(folder)/disk"]).outputText.split(separator: "\n").last ?? ""
                        let inodes = try #require(Int(used.trimmingCharacters(in: .whitespaces)))
                        try await FileSystems.change("nr_inodes=\(inodes + 10)", at: "\(folder)/disk")
                        var taken: [FaultMessage] = []
                        var refusal = ""
                        for number in 1...40 where refusal.isEmpty {
                            let message = FaultMessage(identity: "file-\(number)", size: 300_000)
                            let reply = try await host.take(message)
                            if reply.hasPrefix("250") { taken.append(message) } else { refusal = reply }
                        }
                        #expect(refusal.hasPrefix("452 4.3.1"), "\(refusal)")
                        let small = FaultMessage(identity: "row", size: 5000)
                        #expect(try await host.take(small).hasPrefix("250"))
                        try await FileSystems.change("nr_inodes=8000", at: "\(folder)/disk")
                        let after = FaultMessage(identity: "after", size: 300_000)
                        #expect(try await host.take(after).hasPrefix("250"))
                        try await withSink { sink in
                            try await expectExactly(taken + [small, after], at: sink, of: host)
                            FaultRun.tell("no inodes: \(taken.count) large messages accepted, then “\(refusal)”; small ones went on; recovered by itself")
                        }
                    }
                }
            }
        }

        /// What a failing call is answered with.
        struct BrokenCall: Sendable, CustomTestStringConvertible {
            let call: FaultyCalls.Call
            let error: Int32
            let size: Int
            let reply: String
            var testDescription: String { "\(call) with error \(error), \(size) octets" }
        }

        @Test func brokenCallsAreAnswered4yzAndForgotten() async throws {
            let table: [BrokenCall] =
                [3000, 400_000].flatMap { size in
                    [
                        BrokenCall(call: .sync, error: EIO, size: size, reply: "451 4.3.0"),
                        BrokenCall(call: .write, error: EIO, size: size, reply: "451 4.3.0"),
                        BrokenCall(call: .write, error: ENOSPC, size: size, reply: "452 4.3.1"),
                        BrokenCall(call: .write, error: EROFS, size: size, reply: "451 4.3.0"),
                    ]
                } + [
                    BrokenCall(call: .open, error: EROFS, size: 400_000, reply: "451 4.3.0"),
                    BrokenCall(call: .open, error: EMFILE, size: 400_000, reply: "451 4.3.0"),
                    BrokenCall(call: .open, error: ENOSPC, size: 400_000, reply: "452 4.3.1"),
                ]
            try await withTemporaryFolder { folder in
                let calls = try await FaultyCalls.make(in: folder)
                let options = FaultHost.Options(limits: ["memoryPerMessageBytes: 16KiB"], wrapper: calls.wrapper(dataFolder: "\(folder)/data"))
                try await FaultHost.run(folder, options: options) { host in
                    var accepted: [FaultMessage] = []
                    for (number, broken) in table.enumerated() {
                        try calls.fail(broken.call, with: broken.error)
                        let reply = try await host.take(FaultMessage(identity: "broken-\(number)", size: broken.size))
                        #expect(reply.hasPrefix(broken.reply), "\(broken.testDescription): \(reply)")
                        #expect(try calls.failures(of: broken.call) > 0, "\(broken.testDescription): nothing failed")
                        try calls.heal()
                        let message = FaultMessage(identity: "healed-\(number)", size: broken.size)
                        let healed = try await host.take(message)
                        #expect(healed.hasPrefix("250"), "after \(broken.testDescription): \(healed)")
                        accepted.append(message)
                    }
                    try await withSink { sink in
                        try await expectExactly(accepted, at: sink, of: host)
                        FaultRun.tell("broken system calls: \(table.count) kinds, each answered 4yz, the next message accepted and delivered")
                    }
                }
            }
        }

        /// Any single call fails on the way of a message: it is refused, or it arrives, and never is it answered 250 and lost.
        @Test(arguments: [FaultyCalls.Call.sync, .write]) func theNthCallFails(call: FaultyCalls.Call) async throws {
            try await withTemporaryFolder { folder in
                let calls = try await FaultyCalls.make(in: folder)
                let options = FaultHost.Options(limits: ["memoryPerMessageBytes: 16KiB"], wrapper: calls.wrapper(dataFolder: "\(folder)/data"))
                try await FaultHost.run(folder, options: options) { host in
                    try await withSink { sink in
                        var accepted: [FaultMessage] = []
                        var refused: [FaultMessage] = []
                        let last = FaultRun.count(short: 9, long: 150)
                        for number in 0..<last {
                            let error = number % 3 == 2 ? ENOSPC : EIO
                            try calls.fail(call, with: error, passing: Int32(number), failing: 1)
                            for size in [3000, 300_000] {
                                let message = FaultMessage(identity: "nth-\(number)-\(size)", size: size)
                                let reply = try await host.take(message)
                                if reply.hasPrefix("250") {
                                    accepted.append(message)
                                } else {
                                    #expect(reply.hasPrefix("45"), "\(reply)")
                                    refused.append(message)
                                }
                            }
                            // Where the message was through before its number came, the queue meets the fault.
                            _ = try await eventually(within: 3) { try calls.failures(of: call) > 0 }
                            try calls.heal()
                        }
                        #expect(!refused.isEmpty && !accepted.isEmpty)
                        try await expectExactly(accepted, at: sink, of: host)
                        FaultRun.tell(
                            "the n-th \(call) fails, n = 1…\(last): \(refused.count) messages refused, \(accepted.count) accepted, each of these delivered once"
                        )
                    }
                }
            }
        }

        /// The process ends right after a sync that failed. What had its 250 before is there; what was refused may turn up (its octets were
        /// written, only their sync failed) and is then known to its sender as refused: a second copy at worst, never a loss.
        @Test func aFailedSyncAndThenACrash() async throws {
            try await withTemporaryFolder { folder in
                let calls = try await FaultyCalls.make(in: folder)
                let options = FaultHost.Options(limits: ["memoryPerMessageBytes: 16KiB"], wrapper: calls.wrapper(dataFolder: "\(folder)/data"))
                let host = try await FaultHost(folder: folder, options: options)
                try await host.run {
                    var accepted: [FaultMessage] = []
                    var refused: Set<String> = []
                    for round in 0..<FaultRun.count(short: 2, long: 30) {
                        for number in 0..<4 {
                            let message = FaultMessage(identity: "before-\(round)-\(number)", size: number == 3 ? 300_000 : 4000)
                            #expect(try await host.take(message).hasPrefix("250"))
                            accepted.append(message)
                        }
                        try calls.fail(.sync, with: EIO)
                        let message = FaultMessage(identity: "unsynced-\(round)", size: round % 2 == 0 ? 4000 : 300_000)
                        #expect(try await host.take(message).hasPrefix("451 4.3.0"))
                        refused.insert(message.identity)
                        await host.crash()
                        try calls.heal()
                        try await host.start()
                    }
                    try await withSink { sink in
                        let isEmpty = try await host.emptied(within: 90)
                        #expect(isEmpty)
                        let contents = SinkContents(sink)
                        #expect(contents.lacks(accepted) == [])
                        #expect(Set(contents.arrivals.keys).subtracting(accepted.map(\.identity)).isSubset(of: refused))
                        let turnedUp = contents.arrivals.keys.filter { refused.contains($0) }.count
                        FaultRun.tell(
                            "failed sync, then a crash: \(accepted.count) messages accepted before are there; \(turnedUp) of \(refused.count) refused ones turned up"
                        )
                    }
                }
            }
        }

        /// ext4 turns read-only when it meets an error. No remount makes it writable again: it is repaired, and the host started anew.
        @Test func aFileSystemThatTurnsReadOnly() async throws {
            try await withTemporaryFolder { folder in
                let image = "\(folder)/image"
                let disk = "\(folder)/disk"
                try await FileSystems.makeImage(image, mebibytes: 64)
                let options = FaultHost.Options(limits: ["memoryPerMessageBytes: 16KiB"])
                var accepted: [FaultMessage] = []
                try await FileSystems.withImage(image, "errors=remount-ro", at: disk) {
                    let host = try await FaultHost(folder: folder, options: options, dataFolder: "\(disk)/data")
                    try await host.run {
                        let filled = try await fill(host, name: "before", size: 5000, limit: 10)
                        #expect(filled.refusal == nil)
                        accepted = filled.accepted
                        let device = try await FileSystems.device(of: disk)
                        try Data("1".utf8).write(to: URL(fileURLWithPath: "/sys/fs/ext4/\(device)/trigger_fs_error"))
                        for (identity, size) in [("small", 5000), ("large", 400_000)] {
                            let reply = try await host.take(FaultMessage(identity: identity, size: size))
                            #expect(reply.hasPrefix("451 4.3.0"), "\(reply)")
                        }
                        #expect(host.log.contains("storage.failed"))
                        await host.crash()
                    }
                }
                // 1: errors were repaired.
                #expect(try await Command.run("e2fsck", ["-f", "-y", image]).status <= 1)
                try await FileSystems.withImage(image, "errors=remount-ro", at: disk) {
                    let host = try await FaultHost(folder: folder, options: options, dataFolder: "\(disk)/data")
                    try await host.run {
                        try await withSink { sink in
                            try await expectExactly(accepted, at: sink, of: host)
                            FaultRun.tell("read-only file system: 451 4.3.0; after the repair all \(accepted.count) messages accepted before were delivered")
                        }
                    }
                }
            }
        }
    }

    /// The power goes off: what was not synced is lost, and nothing that was acknowledged is.
    @Suite(.timeLimit(.minutes(15))) struct PowerCut {
        @Test func whatWasAcknowledgedIsThereAfterThePowerCut() async throws {
            for round in 1...FaultRun.count(short: 2, long: 40) {
                try await withTemporaryFolder { folder in
                    let image = "\(folder)/image"
                    let disk = "\(folder)/disk"
                    try await FileSystems.makeImage(image, mebibytes: 1024)
                    let options = FaultHost.Options(limits: ["memoryPerMessageBytes: 16KiB"])
                    let recipient = round % 2 == 0 ? "bob" : "out"
                    let load = FaultLoad(recipient: recipient)
                    var acknowledged: [FaultMessage] = []
                    // ext4 is left to write by itself as late as possible: only what is synced is on the disk.
                    try await FileSystems.withImage(image, "commit=300", at: disk) {
                        let host = try await FaultHost(folder: folder, options: options, dataFolder: "\(disk)/data")
                        try await host.run {
                            async let running: Void = load.run(sessions: 4, against: host, name: "power-\(round)") { $0 % 4 == 0 ? 300_000 : 4000 }
                            await pause(milliseconds: 700 + 60 * round)
                            try await Command.require("sh", ["-c", "printf unsynced > \(disk)/unsynced"])
                            acknowledged = load.record.acknowledged
                            // Everything stands still for the copy: a disk has one moment at which it loses power, a copy has not.
                            try await host.signal(SIGSTOP)
                            try await Command.require("cp", ["--sparse=always", image, "\(image).copy"])
                            try await host.signal(SIGCONT)
                            load.stop()
                            await running
                            await host.crash()
                        }
                    }
                    #expect(acknowledged.count > 3)
                    try await FileSystems.withImage("\(image).copy", "commit=300", at: disk) {
                        // The name may have come along with what others synced; the octets must not.
                        let unsynced = (try? String(contentsOfFile: "\(disk)/unsynced", encoding: .utf8)) ?? ""
                        #expect(unsynced != "unsynced", "this is no power cut: what was never synced is on the disk")
                        let host = try await FaultHost(folder: folder, options: options, dataFolder: "\(disk)/data")
                        try await host.run {
                            try await withSink { sink in
                                #expect(try await host.emptied(within: 90), "\(host.log.suffix(2000))")
                                await host.stop()
                                let identities: Set<String>
                                if recipient == "bob" {
                                    identities = Set(try await host.inbox().compactMap { FaultMessage.identity(of: $0) })
                                } else {
                                    identities = Set(SinkContents(sink).arrivals.keys)
                                }
                                #expect(Set(acknowledged.map(\.identity)).subtracting(identities) == [], "lost by the power cut")
                                FaultRun.tell(
                                    "power cut \(round): all \(acknowledged.count) messages acknowledged before it are there, \(identities.count) in all")
                            }
                        }
                    }
                }
            }
        }
    }
}
