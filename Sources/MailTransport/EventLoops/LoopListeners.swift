import Logging
import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Listens on an address with a socket for each event loop, so that a connection is served where it was accepted.
///
/// With a single socket, a connection that another loop is to serve goes there, back, and there again before it is open: three times a thread
/// is woken, for each connection. The kernel deals connections out by the hash of their ends (socket(7), SO_REUSEPORT).
enum LoopListeners {
    /// Begins to listen.
    /// - Parameters:
    ///   - address: with port 0 for any free port, the same for all loops.
    ///   - group: the loops.
    ///   - name: the listener's name in the configuration.
    ///   - logger: told when there are no descriptors left.
    ///   - accept: puts the handlers of a new connection in place, on the loop that serves it.
    /// - Returns: the listening channels. All have the same local address.
    /// - Throws: when the address cannot be bound, also where another process listens there.
    static func bind(
        to address: SocketAddress, on group: any EventLoopGroup, name: String, logger: Logger, accept: @escaping @Sendable (any Channel) throws -> Void
    ) async throws -> [any Channel] {
        var listeners: [any Channel] = []
        do {
            for loop in group.makeIterator() {
                // Accepted connections inherit TCP_NODELAY from the socket that listens (tcp(7)).
                var bootstrap = ServerBootstrap(group: loop)
                    .serverChannelOption(.backlog, value: 1024)
                    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                    .serverChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .serverChannelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.addHandler(AcceptPause(listener: name, logger: logger))
                        }
                    }
                    .childChannelInitializer { channel in channel.eventLoop.makeCompletedFuture { try accept(channel) } }
                // The first one takes the address for itself alone: that fails where anybody else has it. Then it lets its siblings in, which the
                // kernel allows to sockets of the same user only.
                if let first = listeners.first {
                    bootstrap = bootstrap.serverChannelOption(.socketOption(sharing), value: 1)
                    listeners.append(try await bootstrap.bind(to: first.localAddress ?? address).get())
                } else {
                    let first = try await bootstrap.bind(to: address).get()
                    listeners.append(first)
                    try await first.setOption(.socketOption(sharing), value: 1).get()
                }
            }
        } catch {
            for listener in listeners { try? await listener.close() }
            throw error
        }
        return listeners
    }

    private static let sharing = NIOBSDSocket.Option(rawValue: CInt(SO_REUSEPORT))
}
