import Foundation
import MailTesting
import NIOCore
import NIOPosix
import Testing

@testable import Lab

extension FaultTests {
    /// Clients that break every rule: they are told so and let go, and nobody else notices.
    @Suite(.timeLimit(.minutes(10))) struct Clients {
        private let patience = ["commandTimeoutSeconds: 1s", "dataTimeoutSeconds: 1s", "messageTimeoutSeconds: 3s"]

        /// Runs a host for impatient tests and sees afterwards that it serves as before.
        private func withHost(
            _ options: FaultHost.Options, name: String, body: (FaultHost) async throws -> Void
        ) async throws {
            try await withTemporaryFolder { folder in
                try await withSink { sink in
                    try await FaultHost.run(folder, options: options) { host in
                        try await body(host)
                        let message = FaultMessage(identity: "after-all-that", size: 3000)
                        #expect(try await host.take(message).hasPrefix("250"))
                        #expect(try await host.emptied())
                        #expect(SinkContents(sink).arrivals["after-all-that"]?.count == 1)
                        FaultRun.tell(name)
                    }
                }
            }
        }

        private func begin(_ client: ServerTestClient, to recipient: String = "out") async throws {
            #expect(try await client.say("MAIL FROM:<alice@gmail.test>").hasPrefix("250"))
            #expect(try await client.say("RCPT TO:<\(recipient)@kartapuce.test>").hasPrefix("250"))
        }

        @Test func slowClientsAreToldAndLetGo() async throws {
            try await withHost(
                .init(limits: patience), name: "slow clients: silence, dripped commands, silence within a message, dripped messages: 421 4.4.2 each"
            ) { host in
                try await withThrowingDiscardingTaskGroup { group in
                    group.addTask {
                        let client = try await ServerTestClient.connected(to: host)
                        #expect(await client.reply().last?.hasPrefix("421 4.4.2") == true, "silence")
                        #expect(await client.reply() == [])
                        await client.close()
                    }
                    group.addTask {
                        let client = try await ServerTestClient.connected(to: host)
                        for _ in 0..<15 {
                            client.push(ByteBuffer(string: "N"))
                            await pause(milliseconds: 100)
                        }
                        #expect(await client.reply().last?.hasPrefix("421 4.4.2") == true, "a command that comes octet by octet")
                        await client.close()
                    }
                    group.addTask {
                        let client = try await ServerTestClient.connected(to: host)
                        try await self.begin(client)
                        #expect(try await client.say("DATA").hasPrefix("354"))
                        try await client.send("Subject: and then")
                        #expect(await client.reply().last?.hasPrefix("421 4.4.2") == true, "silence within a message")
                        await client.close()
                    }
                    group.addTask {
                        let client = try await ServerTestClient.connected(to: host)
                        try await self.begin(client)
                        #expect(try await client.say("DATA").hasPrefix("354"))
                        for _ in 0..<35 {
                            client.push(ByteBuffer(string: "x\r\n"))
                            await pause(milliseconds: 100)
                        }
                        #expect(await client.reply().last?.hasPrefix("421 4.4.2") == true, "a message that never ends")
                        await client.close()
                    }
                    group.addTask {
                        let client = try await ServerTestClient.connected(to: host)
                        try await self.begin(client)
                        try await client.send("BDAT 1000000\r\nonly this")
                        #expect(await client.reply().last?.hasPrefix("421 4.4.2") == true, "a chunk that is shorter than it says")
                        await client.close()
                    }
                }
                #expect(try await host.emptied(within: 5), "nothing of it was taken")
            }
        }

        @Test func garbageIsAnswered() async throws {
            try await withHost(.init(limits: patience), name: "garbage: answered 5yz, never more") { host in
                var random = SeededGenerator(state: FaultRun.seed)
                for _ in 0..<FaultRun.count(short: 10, long: 300) {
                    let client = try await ServerTestClient(host: host.address, port: host.port)
                    let count = Int.random(in: 1...20_000, using: &random)
                    client.push(ByteBuffer(bytes: (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }))
                    client.push(ByteBuffer(string: "\r\nQUIT\r\n"))
                    while true {
                        let reply = await client.reply()
                        if reply.isEmpty { break }
                        #expect(["2", "4", "5"].contains(reply.last?.prefix(1) ?? ""), "\(reply)")
                    }
                    await client.close()
                }
            }
        }

        @Test func whoHasEndedTheirSideHearsTheReply() async throws {
            try await withHost(.init(limits: patience), name: "half-closed connections: the message is taken, and the client hears it") { host in
                let client = try await ServerTestClient.connected(to: host)
                try await client.send("MAIL FROM:<alice@gmail.test>\r\nRCPT TO:<out@kartapuce.test>\r\nDATA\r\n")
                for code in ["250", "250", "354"] { #expect(await client.reply().last?.hasPrefix(code) == true) }
                try await client.send(FaultMessage(identity: "half", size: 2000).text + ".\r\n")
                try await client.closeOutput()
                #expect(await client.reply().last?.hasPrefix("250 2.0.0") == true)
                #expect(await client.reply() == [])
                await client.close()
            }
        }

        @Test func resetsLeaveNothingBehind() async throws {
            try await withHost(.init(limits: patience + ["memoryPerMessageBytes: 64KiB"]), name: "resets in every state: nothing queued, no file left") {
                host in
                for lines in [[], ["MAIL FROM:<alice@gmail.test>"], ["MAIL FROM:<alice@gmail.test>", "RCPT TO:<out@kartapuce.test>", "DATA"]] {
                    for _ in 0..<FaultRun.count(short: 3, long: 100) {
                        let client = try await ServerTestClient.connected(to: host)
                        for line in lines { _ = try await client.say(line) }
                        if lines.count == 3 { try await client.send(String(repeating: "never whole\r\n", count: 20_000)) }
                        await client.reset()
                    }
                }
                #expect(try await host.emptied(within: 10))
                let incoming = "\(host.dataFolder)/incoming"
                #expect(try await eventually(within: 10) { try FileManager.default.contentsOfDirectory(atPath: incoming).isEmpty })
            }
        }

        @Test func falseSizesAreFoundOut() async throws {
            try await withHost(.init(limits: patience), name: "BDAT with false sizes: refused, or the rest is taken for commands") { host in
                let client = try await ServerTestClient.connected(to: host)
                try await begin(client)
                #expect(try await client.say("BDAT 99999999999999999999").hasPrefix("5"))
                await client.close()
                let second = try await ServerTestClient.connected(to: host)
                try await begin(second)
                // Four octets too many: they begin a command that nobody knows.
                try await second.send("BDAT 16 LAST\r\nSubject: xyz\r\n\r\nwhat\r\n")
                #expect(await second.reply().last?.hasPrefix("250") == true)
                #expect(await second.reply().last?.hasPrefix("5") == true)
                #expect(try await second.say("NOOP").hasPrefix("250"))
                await second.close()
            }
        }

        @Test func commandsBeforeTheReplyAreAnsweredInOrder() async throws {
            try await withHost(.init(limits: patience), name: "commands while a reply is pending: all answered, in order") { host in
                let client = try await ServerTestClient.connected(to: host)
                try await client.send(
                    "MAIL FROM:<alice@gmail.test>\r\nRCPT TO:<out@kartapuce.test>\r\nRCPT TO:<nobody@kartapuce.test>\r\nRSET\r\nVRFY bob\r\nNOOP\r\n")
                for code in ["250 2.1.0", "250 2.1.5", "550 5.1.1", "250 2.0.0", "252", "250 2.0.0"] {
                    let reply = await client.reply().last ?? ""
                    #expect(reply.hasPrefix(code), "\(reply) instead of \(code)")
                }
                // A message right behind DATA, before the 354: it is the message all the same, and no command in it is carried out.
                let message = FaultMessage(identity: "hasty", size: 1000)
                try await client.send("MAIL FROM:<alice@gmail.test>\r\nRCPT TO:<out@kartapuce.test>\r\nDATA\r\n\(message.text).\r\nNOOP\r\n")
                var codes: [String] = []
                for _ in 0..<5 { codes.append(String(await client.reply().last?.prefix(3) ?? "")) }
                #expect(codes == ["250", "250", "354", "250", "250"] || codes.contains { $0.hasPrefix("5") }, "\(codes)")
                await client.close()
            }
        }

        @Test func linesWithoutEndAreNotKept() async throws {
            try await withHost(
                .init(limits: patience + ["memoryPerMessageBytes: 64KiB", "messageSizeBytes: 20MiB"]),
                name: "10 MB without a line end: refused, memory as before"
            ) { host in
                let before = try await host.residentOctets()
                let command = try await ServerTestClient.connected(to: host)
                command.push(ByteBuffer(repeating: 65, count: 10 << 20))
                #expect(await command.reply().last?.hasPrefix("5") == true)
                await command.close()
                let client = try await ServerTestClient.connected(to: host)
                try await begin(client)
                #expect(try await client.say("DATA").hasPrefix("354"))
                client.push(ByteBuffer(repeating: 65, count: 10 << 20))
                client.push(ByteBuffer(string: "\r\n.\r\n"))
                let verdict = await client.reply().last ?? ""
                #expect(verdict.hasPrefix("250") || verdict.hasPrefix("5"), "\(verdict)")
                await client.close()
                let growth = try await host.residentOctets() - before
                #expect(growth < 64 << 20, "\(growth >> 20) MiB more after ten megabytes without a line end")
                FaultRun.tell("a message of 10 MB without a line end: “\(verdict)”, \(growth >> 20) MiB more")
            }
        }

        @Test func bareLineFeedsAreTakenFromTheirNetworksOnly() async throws {
            let inside = FaultRun.address(9)
            try await withHost(
                .init(limits: patience + ["bareLineFeedNetworks: [\(inside)/32]"]),
                name: "bare line feeds: taken from the network that may, refused from others"
            ) { host in
                for (source, isTaken) in [(inside, true), (FaultRun.address(10), false)] {
                    let client = try await ServerTestClient.connected(to: host, from: source)
                    try await begin(client)
                    #expect(try await client.say("DATA").hasPrefix("354"))
                    // No message ends by a bare line feed, wherever it comes from.
                    try await client.send("From: Alice <alice@gmail.test>\nSubject: bare\n\ntext\n.\nmore\r\n.\r\n")
                    let reply = await client.reply().last ?? ""
                    #expect(reply.hasPrefix(isTaken ? "250" : "5"), "from \(source): \(reply)")
                    await client.close()
                }
            }
        }

        @Test func tooManyConnectionsAreTurnedAway() async throws {
            let limits = ["connections: 6", "connectionsPerNetwork: 4"]
            try await withTemporaryFolder { folder in
                let host = try await FaultHost(folder: folder, options: .init(limits: limits))
                // The limit of a network concerns those that aren't trusted.
                try await host.start()
                var open: [ServerTestClient] = []
                for number in 0..<4 {
                    let client = try await ServerTestClient(host: host.address, port: host.port, from: "127.1.2.\(number + 1)")
                    #expect(await client.reply().last?.hasPrefix("220") == true)
                    open.append(client)
                }
                let sameNetwork = try await ServerTestClient(host: host.address, port: host.port, from: "127.1.2.9")
                #expect(await sameNetwork.reply().last?.hasPrefix("421 4.7.0") == true, "the fifth of a network of four")
                await sameNetwork.close()
                for number in 0..<2 {
                    let client = try await ServerTestClient(host: host.address, port: host.port, from: "127.1.\(number + 3).1")
                    #expect(await client.reply().last?.hasPrefix("220") == true)
                    open.append(client)
                }
                let seventh = try await ServerTestClient(host: host.address, port: host.port, from: "127.1.9.1")
                #expect(await seventh.reply().last?.hasPrefix("421") == true, "the seventh of six")
                await seventh.close()
                // Those inside are served still, and one that leaves makes room.
                for client in open { #expect(try await client.say("NOOP").hasPrefix("250")) }
                _ = try await open[0].say("QUIT")
                await open[0].close()
                let hasRoom = try await eventually(within: 20) {
                    let next = try await ServerTestClient(host: host.address, port: host.port, from: "127.1.9.1")
                    let greeting = await next.reply().last
                    await next.close()
                    return greeting?.hasPrefix("220") == true
                }
                #expect(hasRoom)
                for client in open.dropFirst() { await client.close() }
                await host.stop()
                FaultRun.tell("too many connections: 421 to the fifth of a network and to the seventh of all, service to the others")
            }
        }

        @Test func passwordsAreNotTakenInClear() async throws {
            try await withTemporaryFolder { folder in
                let (key, certificate) = try await FaultCertificates.make(folder)
                let address = FaultRun.address(1)
                var options = FaultHost.Options(more: ["certificate: {certificate: \(certificate), key: \(key)}"])
                options.roles = "mx, relay, store, submission"
                options.listeners = ["{kind: submission, address: \(address), port: 2587}"]
                try await FaultHost.run(folder, options: options) { host in
                    let client = try await ServerTestClient(host: address, port: 2587)
                    _ = await client.reply()
                    try await client.send("EHLO client.gmail.test\r\n")
                    let offers = await client.reply()
                    #expect(offers.contains { $0.hasSuffix("STARTTLS") } && !offers.contains { $0.contains("AUTH") }, "\(offers)")
                    let secret = Data("\0bob@kartapuce.test\0correct horse".utf8).base64EncodedString()
                    #expect(try await client.say("AUTH PLAIN \(secret)").hasPrefix("5"))
                    let reply = try await client.say("MAIL FROM:<bob@kartapuce.test>")
                    #expect(reply.hasPrefix("5"), "\(reply)")
                    #expect(!host.log.contains(secret))
                    await client.close()
                    FaultRun.tell("AUTH before TLS: not offered, refused, and not in the log")
                }
            }
        }
    }
}
