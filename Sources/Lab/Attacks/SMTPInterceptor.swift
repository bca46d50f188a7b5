import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A man in the middle of SMTP: he listens where the DNS says that a mail server is, hands everything on to the real one, and changes what he likes.
final class SMTPInterceptor: Sendable {
    /// What he does with a session.
    enum Play: Sendable {
        /// Nothing: he hands octets on.
        case pass
        /// The word STARTTLS is made unreadable in both directions, as some firewalls did.
        case strip
        /// STARTTLS is answered with an error.
        case refuse
        /// The connection breaks off instead of a TLS handshake.
        case breakOff
        /// Replies in plain text follow the one to STARTTLS, for the client to take them as said under TLS.
        case inject
        /// He speaks TLS with the client himself.
        case impersonate(NIOSSLContext)
    }

    /// What he could read since the play changed last.
    var transcript: Transcript { state.withLock { $0.transcript } }

    private struct State {
        var play = Play.pass
        var transcript = Transcript()
        var clients: [ObjectIdentifier: any Channel] = [:]
    }

    private let state = Mutex(State())
    private let listener = Mutex<(any Channel)?>(nil)
    private let upstream: SocketAddress
    private let source: SocketAddress

    /// - Parameters:
    ///   - upstream: the real mail server's address.
    ///   - source: where the attacker's own connections come from.
    init(upstream: String, source: String) throws {
        self.upstream = try SocketAddress(ipAddress: upstream, port: 25)
        self.source = try SocketAddress(ipAddress: source, port: 0)
    }

    /// Listens.
    func start(at address: String) async throws {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(admit(channel)) }
            }
            .bind(host: address, port: 25).get()
        listener.withLock { $0 = channel }
    }

    private func admit(_ channel: any Channel) -> InterceptedClient {
        let identity = ObjectIdentifier(channel)
        let (play, transcript) = state.withLock { state in
            state.clients[identity] = channel
            return (state.play, state.transcript)
        }
        channel.closeFuture.whenComplete { [self] _ in state.withLock { $0.clients[identity] = nil } }
        return InterceptedClient(play: play, transcript: transcript, upstream: upstream, source: source)
    }

    /// Changes what he does. Sessions that are under way break off, so that none goes on as it began.
    func play(_ play: Play) {
        let clients = state.withLock { state in
            state.play = play
            state.transcript = Transcript()
            return Array(state.clients.values)
        }
        for client in clients { client.close(promise: nil) }
    }

    func stop() async {
        play(.pass)
        try? await listener.withLock { $0 }?.close().get()
    }
}
