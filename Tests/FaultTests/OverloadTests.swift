import Foundation
import MailStore
import MailTesting
import NIOCore
import NIOPosix
import Testing

@testable import Lab

extension FaultTests {
    /// More of everything than there is room for: those inside are served, the others are told to come later, and nothing spins or swells.
    @Suite(.timeLimit(.minutes(20))) struct Overload {
        /// Opens connections, a hundred at a time; what each was greeted with.
        private func open(
            _ count: Int, to host: FaultHost, from source: @escaping @Sendable (Int) -> String
        ) async throws -> [(client: ServerTestClient, greeting: String)] {
            var all: [(client: ServerTestClient, greeting: String)] = []
            for start in stride(from: 0, to: count, by: 100) {
                var clients: [ServerTestClient] = []
                for number in start..<min(count, start + 100) {
                    clients.append(try await ServerTestClient(host: host.address, port: host.port, from: source(number)))
                }
                for client in clients { all.append((client, await client.reply().last ?? "")) }
            }
            return all
        }

        private func expectIdle(_ host: FaultHost, while what: String) async throws {
            let before = try await host.processorSeconds()
            let milliseconds = FaultRun.count(short: 1000, long: 3000)
            await pause(milliseconds: milliseconds)
            let used = try await host.processorSeconds() - before
            // A loop that spins takes all of the time.
            #expect(used < Double(milliseconds) / 2000, "\(used) s of processor time in \(milliseconds) ms \(what)")
        }

        @Test func aCrowdFromOneNetworkLeavesRoomForOthers() async throws {
            let count = FaultRun.count(short: 500, long: 10_000)
            let share = count / 5
            try await withTemporaryFolder { folder in
                try await withSink { sink in
                    let limits = ["connections: \(count * 4 / 5)", "connectionsPerNetwork: \(share)"]
                    try await FaultHost.run(folder, options: .init(limits: limits)) { host in
                        let before = try await host.residentOctets()
                        let crowd = try await open(count, to: host) { "127.20.1.\($0 % 250 + 1)" }
                        #expect(crowd.count { $0.greeting.hasPrefix("220") } == share)
                        #expect(crowd.count { $0.greeting.hasPrefix("421") } == count - share)
                        let other = FaultMessage(identity: "other", size: 3000)
                        #expect(try await host.take(other).hasPrefix("250"), "another network gets no service")
                        try await expectIdle(host, while: "with a crowd that says nothing")
                        let growth = try await host.residentOctets() - before
                        #expect(growth < share * 40_000 + (48 << 20), "\(growth >> 20) MiB more")
                        for (client, _) in crowd { await client.close() }
                        #expect(await eventually(within: 30) { SinkContents(sink).arrivals["other"] != nil })
                        let isFree = try await eventually(within: 30) {
                            let client = try await ServerTestClient(host: host.address, port: host.port, from: "127.20.1.1")
                            let greeting = await client.reply().last ?? ""
                            await client.close()
                            return greeting.hasPrefix("220")
                        }
                        #expect(isFree)
                        FaultRun.tell("\(count) connections from one network: \(share) served, the others 421, other networks served; \(growth >> 20) MiB more")
                    }
                }
            }
        }

        @Test func aCrowdFromEverywhereIsCounted() async throws {
            let count = FaultRun.count(short: 500, long: 10_000)
            let room = count * 4 / 5
            try await withTemporaryFolder { folder in
                try await FaultHost.run(folder, options: .init(limits: ["connections: \(room)"])) { host in
                    let crowd = try await open(count, to: host) { "127.\(30 + $0 / 250 % 100).\($0 % 250).1" }
                    #expect(crowd.count { $0.greeting.hasPrefix("220") } == room)
                    #expect(crowd.count { $0.greeting.hasPrefix("421") } == count - room)
                    // Those inside are served.
                    let inside = crowd.filter { $0.greeting.hasPrefix("220") }
                    for (client, _) in inside.prefix(50) + inside.suffix(50) {
                        #expect(try await client.say("EHLO client.gmail.test").hasPrefix("250"))
                    }
                    try await expectIdle(host, while: "with \(room) open sessions")
                    let resident = try await host.residentOctets()
                    for (client, _) in crowd { await client.close() }
                    FaultRun.tell("\(count) connections from everywhere: \(room) served, \(count - room) turned away; \(resident >> 20) MiB resident")
                }
            }
        }

        @Test func largeMessagesStayWithinTheBudget() async throws {
            let (count, mebibytes, budget) = FaultRun.isLong ? (50, 50, 64) : (10, 8, 16)
            try await withTemporaryFolder { folder in
                // Nobody takes them: what was accepted is in the queue.
                let limits = ["memoryBudgetBytes: \(budget)MiB", "messageSizeBytes: 60MiB", "connections: 1000"]
                try await FaultHost.run(folder, options: .init(limits: limits)) { host in
                    let before = try await host.residentOctets()
                    let part = String(repeating: String(repeating: "x", count: 70) + "\r\n", count: 14_563)
                    let watch = Task {
                        var most = 0
                        while !Task.isCancelled {
                            most = max(most, (try? await host.residentOctets()) ?? 0)
                            await pause(milliseconds: 50)
                        }
                        return most
                    }
                    let replies = try await withThrowingTaskGroup(of: String.self) { group in
                        for number in 0..<count {
                            group.addTask {
                                let client = try await ServerTestClient.connected(to: host)
                                for command in ["MAIL FROM:<alice@gmail.test>", "RCPT TO:<out@kartapuce.test>"] {
                                    let reply = try await client.say(command)
                                    if !reply.hasPrefix("250") { return reply }
                                }
                                let go = try await client.say("DATA")
                                guard go.hasPrefix("354") else { return go }
                                try await client.send("Subject: large \(number)\r\n\r\n")
                                for _ in 0..<mebibytes { try await client.send(part) }
                                let reply = try await client.say(".")
                                await client.close()
                                return reply
                            }
                        }
                        var replies: [String] = []
                        for try await reply in group { replies.append(reply) }
                        return replies
                    }
                    watch.cancel()
                    let most = await watch.value
                    let accepted = replies.count { $0.hasPrefix("250") }
                    #expect(accepted > 0)
                    #expect(replies.allSatisfy { $0.hasPrefix("250") || $0.hasPrefix("4") }, "\(replies)")
                    let queued = try await host.spool { try await $0.counts().queued }
                    #expect(queued >= accepted)
                    #expect(queued == accepted, "\(queued) in the queue, \(accepted) acknowledged")
                    let growth = most - before
                    // What the allocator keeps and the code that was not loaded before come on top.
                    #expect(growth < (budget + 96) << 20, "\(growth >> 20) MiB more with a budget of \(budget) MiB")
                    FaultRun.tell("\(count) messages of \(mebibytes) MiB at once: \(accepted) accepted, \(growth >> 20) MiB more at most, budget \(budget) MiB")
                }
            }
        }

        /// With 100 descriptors Postern keeps some for its own work, and turns clients away; with 60 that doesn't suffice, and accepting itself fails.
        @Test(arguments: [100, 60]) func withoutDescriptorsOpenSessionsGoOn(descriptors: Int) async throws {
            try await withTemporaryFolder { folder in
                try await withSink { sink in
                    let options = FaultHost.Options(limits: ["memoryPerMessageBytes: 16KiB"], wrapper: ["prlimit", "--nofile=\(descriptors):\(descriptors)"])
                    try await FaultHost.run(folder, options: options) { host in
                        let session = try await ServerTestClient.connected(to: host)
                        #expect(try await session.send(FaultMessage(identity: "first", size: 3000), to: "out").hasPrefix("250"))
                        // More than it has descriptors for: the rest waits in the listener's queue, which the kernel keeps.
                        var crowd: [ServerTestClient] = []
                        for _ in 0..<120 { crowd.append(try await ServerTestClient(host: host.address, port: host.port)) }
                        if descriptors == 60 {
                            #expect(try await eventually(within: 10) { try await host.openFiles() >= 59 })
                            #expect(await eventually(within: 10) { host.log.contains("no descriptors or memory for another connection") })
                        } else {
                            #expect(host.log.contains("fewer connections than limits.connections says"))
                        }
                        // An open session goes on: a small message needs no file of its own; a large one is told to wait.
                        let small = try await session.send(FaultMessage(identity: "second", size: 3000), to: "bob")
                        #expect(small.hasPrefix("250") || (descriptors == 60 && small.hasPrefix("451 4.")), "\(small)")
                        if !small.hasPrefix("250") { _ = try await session.say("RSET") }
                        let large = try await session.send(FaultMessage(identity: "third", size: 300_000), to: "out")
                        // 4.3.0 where its file can't be made, 4.4.3 where its recipient can't be looked up.
                        #expect(large.hasPrefix("250") || (descriptors == 60 && large.hasPrefix("451 4.")), "\(large)")
                        if !large.hasPrefix("250") { _ = try await session.say("RSET") }
                        try await expectIdle(host, while: "without a free descriptor")
                        for client in crowd { await client.close() }
                        let isFree = try await eventually(within: 30) {
                            let client = try await ServerTestClient(host: host.address, port: host.port)
                            let greeting = await client.reply().last ?? ""
                            await client.close()
                            return greeting.hasPrefix("220")
                        }
                        #expect(isFree)
                        #expect(try await session.send(FaultMessage(identity: "fourth", size: 300_000), to: "out").hasPrefix("250"))
                        await session.close()
                        #expect(try await host.emptied())
                        let arrivals = SinkContents(sink).arrivals
                        #expect(arrivals["first"]?.count == 1 && arrivals["fourth"]?.count == 1)
                        FaultRun.tell("\(descriptors) descriptors: open sessions served (“\(large)” to a message that needs a file), nothing spun, recovered")
                    }
                }
            }
        }
    }
}
