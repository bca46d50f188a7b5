import Logging
import MailTesting
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import MailTransport

@Suite(.timeLimit(.minutes(1))) struct LoopListenersTests {
    private func withLoops(_ body: (MultiThreadedEventLoopGroup) async throws -> Void) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
        do { try await body(group) } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
    }

    private func bind(
        to address: SocketAddress, on group: any EventLoopGroup, accept: @escaping @Sendable (any Channel) throws -> Void = { _ in }
    ) async throws -> [any Channel] {
        try await LoopListeners.bind(to: address, on: group, name: "smtp", logger: Logger(label: "test"), accept: accept)
    }

    private func anyPort() throws -> SocketAddress { try SocketAddress(ipAddress: "127.0.0.1", port: 0) }

    @Test func aConnectionStaysOnTheLoopThatAcceptedIt() async throws {
        try await withLoops { group in
            let places = Mutex<[(loop: ObjectIdentifier, stays: Bool)]>([])
            let listeners = try await bind(to: anyPort(), on: group) { channel in
                places.withLock { $0.append((ObjectIdentifier(channel.eventLoop), channel.parent?.eventLoop === channel.eventLoop)) }
            }
            #expect(listeners.count == 3)
            let address = try #require(listeners.first?.localAddress)
            #expect(listeners.allSatisfy { $0.localAddress == address })
            #expect(Set(listeners.map { ObjectIdentifier($0.eventLoop) }).count == 3)
            // That all of a hundred fall to one loop of three happens once in 10^47 times.
            for _ in 0..<100 {
                let client = try await ClientBootstrap(group: group).connect(to: address).get()
                try await client.close()
            }
            #expect(await eventually { places.withLock { $0.count } == 100 })
            let seen = places.withLock { $0 }
            #expect(seen.allSatisfy { $0.stays })
            #expect(Set(seen.map { $0.loop }).count > 1)
            for listener in listeners { try await listener.close() }
        }
    }

    @Test func anAddressThatIsTakenIsRefused() async throws {
        try await withLoops { group in
            let listeners = try await bind(to: anyPort(), on: group)
            let address = try #require(listeners.first?.localAddress)
            // As another process of the same user would do it.
            let failure = await #expect(throws: IOError.self) { _ = try await bind(to: address, on: group) }
            #expect(failure?.errnoCode == EADDRINUSE)
            for listener in listeners { try await listener.close() }
            // Nothing is left behind, neither by the refused attempt nor by the one before.
            for listener in try await bind(to: address, on: group) { try await listener.close() }
        }
    }
}
