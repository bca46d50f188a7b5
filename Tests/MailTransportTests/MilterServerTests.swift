import DNS
import FoundationEssentials
import Logging
import MailMessage
import MailTesting
import MailTransport
import Milter
import NIOCore
import NIOPosix
import Synchronization
import Testing

/// Inserts a field into every message and remembers what it was asked.
final class MilterRecordingService: MilterService {
    struct Memory {
        var messages: [(message: MilterMessage, content: String)] = []
        var abandoned: [String] = []
        var closed: [(reason: String, error: MilterError?)] = []
        var refused: [MilterChange] = []
    }
    private let memory = Mutex(Memory())
    /// Recipients with this local part are refused.
    let refusedRecipient = "tom"
    /// Verdicts wait until this is set.
    let isReleased: Mutex<Bool>

    init(isReleased: Bool = true) { self.isReleased = Mutex(isReleased) }

    var seen: Memory { memory.withLock { $0 } }

    func recipient(_ recipient: MilterPath, envelope: MilterEnvelope, session: MilterSessionInfo) async -> MilterVerdict.Decision {
        recipient.address?.localPart == refusedRecipient ? .reject : .continue
    }
    func message(_ message: MilterMessage) async -> MilterVerdict {
        guard let content = try? await message.content.readAll() else { return MilterVerdict(.tempFail) }
        memory.withLock { $0.messages.append((message, String(buffer: content))) }
        while !isReleased.withLock({ $0 }), !Task.isCancelled { await Task.yield() }
        return MilterVerdict(
            .accept, changes: [.insertHeader(index: 1, name: "X-Seen", value: ByteBuffer(string: " yes")), .replaceBody(ByteBuffer())])
    }
    func changesRefused(_ changes: [MilterChange], session: MilterSessionInfo) async { memory.withLock { $0.refused += changes } }
    func messageAbandoned(_ envelope: MilterEnvelope, reason: String, session: MilterSessionInfo) async {
        memory.withLock { $0.abandoned.append(reason) }
    }
    func connectionClosed(_ session: MilterSessionInfo, reason: String, error: MilterError?) async {
        memory.withLock { $0.closed.append((reason, error)) }
    }
}

/// A server on a free port of the loopback address for the time of `body`.
private func withMilterServer(
    service: MilterRecordingService, budget: MemoryBudget = MemoryBudget(limit: 64 << 20),
    makeFile: (@Sendable () async throws -> any IncomingFile)? = nil, change: (inout MilterServer.Settings) -> Void = { _ in },
    body: (MilterServer, Int) async throws -> Void
) async throws {
    var settings = MilterServer.Settings()
    change(&settings)
    let server = MilterServer(
        listenerName: "milter", settings: settings, service: service, group: MultiThreadedEventLoopGroup.singleton, budget: budget,
        makeIncomingFile: makeFile, logger: Logger(label: "test"))
    let port = try await server.bind(address: .v4(0x7f00_0001), port: 0)
    do { try await body(server, port) } catch {
        await server.shutdown(grace: .zero)
        throw error
    }
    await server.shutdown(grace: .milliseconds(200))
    #expect(server.openConnections == 0)
    #expect(await eventually { budget.octetsInUse == 0 })
}

private let inserted = MilterResponse.insertHeader(index: 1, name: ByteBuffer(string: "X-Seen"), value: ByteBuffer(string: " yes"))

@Suite(.timeLimit(.minutes(1))) struct MilterServerTests {
    @Test func servesMessagesOfSeveralClientsOnOneConnection() async throws {
        let service = MilterRecordingService()
        try await withMilterServer(service: service) { _, port in
            let mta = try await MilterTestClient(port: port)
            guard case .negotiate = try await mta.begin() else {
                Issue.record("no negotiation")
                return
            }
            for name in ["mail.gmail.test", "second.gmail.test"] {
                let message = try await mta.say(
                    .client, .helo(name), .bob, .jack, .field("Subject", " folded\r\n here"), .endOfHeader, .body(ByteBuffer(string: "Hello\r\n")),
                    .endOfMessage(ByteBuffer(string: "Bob\r\n")))
                #expect(message == [inserted, .accept])
                try await mta.say(.quitNewConnection)
            }
            try await mta.say(.quit)
            #expect(try await mta.response() == nil)
            #expect(await eventually { service.seen.closed.count == 1 })
        }
        let messages = service.seen.messages
        #expect(messages.map(\.content) == Array(repeating: "Subject: folded\r\n here\r\n\r\nHello\r\nBob\r\n", count: 2))
        #expect(messages.map(\.message.session.helo) == ["mail.gmail.test", "second.gmail.test"])
        #expect(messages.first?.message.clientAddress?.description == "198.51.100.7")
        #expect(messages.first?.message.envelope.sender.address?.description == "bob@kartapuce.test")
        #expect(messages.first?.message.envelope.recipients.map(\.text) == ["<jack@gmail.test>"])
        #expect(messages.first?.message.session.mtaAddress == .v4(0x7f00_0001))
        // The body's replacement wasn't negotiated.
        #expect(service.seen.refused == [.replaceBody(ByteBuffer()), .replaceBody(ByteBuffer())])
        #expect(service.seen.closed.first?.reason == "quit")
    }

    @Test func spillsLargeMessages() async throws {
        let service = MilterRecordingService()
        let file = ServerTestFile()
        let chunk = String(repeating: String(repeating: "x", count: 70) + "\r\n", count: 800)
        try await withMilterServer(
            service: service, makeFile: { file }, change: { $0.memoryPerMessage = 100_000 },
            body: { _, port in
                let mta = try await MilterTestClient(port: port)
                _ = try await mta.begin()
                try await mta.say(.client, .bob, .jack, .field("A", " b"), .endOfHeader)
                for _ in 0..<20 { try await mta.say(.body(ByteBuffer(string: chunk))) }
                #expect(try await mta.say(.endOfMessage(ByteBuffer())) == [inserted, .accept])
                await mta.close()
            })
        #expect(service.seen.messages.first?.content == "A: b\r\n\r\n" + String(repeating: chunk, count: 20))
        #expect(file.state.withLock { $0.appends } > 2)
    }

    @Test func aFullDiskRefusesForNow() async throws {
        let service = MilterRecordingService()
        try await withMilterServer(
            service: service, makeFile: { ServerTestFile(fails: true) }, change: { $0.memoryPerMessage = 1_000 },
            body: { _, port in
                let mta = try await MilterTestClient(port: port)
                _ = try await mta.begin()
                try await mta.say(.client, .bob, .jack, .endOfHeader, .body(ByteBuffer(repeating: 0x61, count: 60_000)))
                #expect(try await mta.say(.endOfMessage(ByteBuffer())) == [.tempFail])
                // A small one is taken.
                #expect(try await mta.say(.bob, .jack, .endOfHeader, .endOfMessage(ByteBuffer())) == [inserted, .accept])
                await mta.close()
            })
        #expect(service.seen.abandoned == ["over the limit: storage"])
    }

    @Test func withoutMemoryMessagesAreRefusedForNow() async throws {
        let budget = MemoryBudget(limit: 64 << 20)
        try await withMilterServer(service: MilterRecordingService(), budget: budget) { _, port in
            let mta = try await MilterTestClient(port: port)
            _ = try await mta.begin()
            try await mta.say(.client)
            #expect(await eventually { budget.octetsInUse > 0 })
            budget.limit = 1
            #expect(try await mta.say(.bob, .jack, .endOfHeader, .body(ByteBuffer(string: "x")), .endOfMessage(ByteBuffer())) == [.tempFail])
            // Nobody else is served meanwhile.
            let second = try await MilterTestClient(port: port)
            #expect(try await second.begin() == nil)
            await mta.close()
        }
    }

    @Test func recipientsAreDecidedOneByOne() async throws {
        let service = MilterRecordingService()
        try await withMilterServer(
            service: service, change: { $0.session.decisions = [.recipient] },
            body: { _, port in
                let mta = try await MilterTestClient(port: port)
                _ = try await mta.begin()
                let tom = MilterCommand.recipient(MilterPath("<tom@gmail.test>"))
                #expect(try await mta.say(.client, .bob, tom, .jack) == [.reject, .continue])
                #expect(try await mta.say(.endOfHeader, .endOfMessage(ByteBuffer())) == [inserted, .accept])
                await mta.close()
            })
        #expect(service.seen.messages.first?.message.envelope.recipients.map(\.text) == ["<jack@gmail.test>"])
    }

    @Test func aServiceThatTakesTimeSaysSoAndThenRefusesForNow() async throws {
        let service = MilterRecordingService(isReleased: false)
        try await withMilterServer(
            service: service,
            change: {
                $0.progressInterval = .milliseconds(100)
                $0.verdictTimeout = .milliseconds(700)
            },
            body: { _, port in
                let mta = try await MilterTestClient(port: port)
                _ = try await mta.begin()
                let responses = try await mta.say(.client, .bob, .jack, .endOfHeader, .endOfMessage(ByteBuffer()))
                #expect(responses.count > 1)
                #expect(responses.dropLast().allSatisfy { $0 == .progress })
                #expect(responses.last == .tempFail)
                service.isReleased.withLock { $0 = true }
                #expect(try await mta.say(.bob, .jack, .endOfHeader, .endOfMessage(ByteBuffer())).last == .accept)
                await mta.close()
            })
    }

    @Test func aSilentMTAIsClosed() async throws {
        let service = MilterRecordingService()
        try await withMilterServer(
            service: service, change: { $0.session.limits.messageTimeout = .milliseconds(200) },
            body: { _, port in
                let mta = try await MilterTestClient(port: port)
                _ = try await mta.begin()
                try await mta.say(.client, .bob, .jack, .endOfHeader, .body(ByteBuffer(string: "x")))
                #expect(try await mta.response() == nil)
                #expect(await eventually { service.seen.closed.count == 1 })
            })
        #expect(service.seen.closed.first?.reason == "time-out while the body comes")
        #expect(service.seen.abandoned == ["time-out while the body comes"])
    }

    @Test func aLostMTALeavesNothing() async throws {
        let service = MilterRecordingService()
        try await withMilterServer(service: service) { server, port in
            let mta = try await MilterTestClient(port: port)
            _ = try await mta.begin()
            try await mta.say(.client, .bob, .jack, .endOfHeader, .body(ByteBuffer(string: "x")))
            await mta.close()
            #expect(await eventually { service.seen.closed.count == 1 && server.openConnections == 0 })
        }
        #expect(service.seen.abandoned == ["lost"])
    }

    @Test func whoBreaksTheProtocolIsClosedAndNamed() async throws {
        let service = MilterRecordingService()
        try await withMilterServer(service: service) { _, port in
            let mta = try await MilterTestClient(port: port)
            mta.push(ByteBuffer(string: "EHLO attacker.test\r\n"))
            #expect(try await mta.response() == nil)
            #expect(await eventually { service.seen.closed.count == 1 })
        }
        #expect(service.seen.closed.first?.error?.code == .packetTooLong)
    }

    @Test func connectionsHaveALimitAndMTAsANetwork() async throws {
        try await withMilterServer(
            service: MilterRecordingService(), change: { $0.connections = 1 },
            body: { _, port in
                let first = try await MilterTestClient(port: port)
                #expect(try await first.begin() != nil)
                let second = try await MilterTestClient(port: port)
                #expect(try await second.begin() == nil)
                await first.close()
            })
        try await withMilterServer(
            service: MilterRecordingService(), change: { $0.clients = [] },
            body: { _, port in
                let stranger = try await MilterTestClient(port: port)
                #expect(try await stranger.begin() == nil)
            })
    }

    @Test func listensAtASocketOfTheFileSystem() async throws {
        // The path of a socket has at most 107 octets.
        let manager = FileManager.default
        let path = manager.temporaryDirectory.appending(component: "postern-milter-\(UInt64.random(in: 0..<UInt64.max))").path
        try await withMilterServer(
            service: MilterRecordingService(), change: { $0.clients = [] },
            body: { server, _ in
                try await server.bind(path: path, permissions: 0o600)
                let mode = try manager.attributesOfItem(atPath: path)[.posixPermissions] as? Int
                #expect(mode.map { $0 & 0o777 } == 0o600)
                let mta = try await MilterTestClient(path: path)
                _ = try await mta.begin()
                #expect(try await mta.say(.client, .bob, .jack, .endOfHeader, .endOfMessage(ByteBuffer())) == [inserted, .accept])
                await mta.close()
            })
        #expect(!manager.fileExists(atPath: path))
    }

    @Test func aStopWaitsForTheMessage() async throws {
        let service = MilterRecordingService(isReleased: false)
        try await withMilterServer(service: service) { server, port in
            let mta = try await MilterTestClient(port: port)
            _ = try await mta.begin()
            async let responses = mta.say(.client, .bob, .jack, .endOfHeader, .endOfMessage(ByteBuffer()))
            #expect(await eventually { service.seen.messages.count == 1 })
            async let stopped: Void = server.shutdown(grace: .seconds(20))
            service.isReleased.withLock { $0 = true }
            #expect(try await responses == [inserted, .accept])
            await stopped
        }
        #expect(service.seen.closed.first?.reason == "shutdown")
    }
}
