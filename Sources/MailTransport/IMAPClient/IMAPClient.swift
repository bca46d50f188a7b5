public import DNS
public import IMAP
public import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// Reads and changes somebody's mailboxes over IMAPS (RFC 9051, RFC 8314 §3.2), as a mail program does: with that user's own password.
public struct IMAPClient: Sendable {
    /// The server's name, which its certificate must be valid for.
    public var hostname: String
    /// The server's address.
    public var address: IPAddress
    /// The server's port, where TLS begins with the first octet.
    public var port: Int
    /// The rules for TLS; they decide whom a password is shown to.
    public var tls: TLSClientContext
    /// What the server may say.
    public var limits = IMAPClientLimits()
    /// How long the connection may take to stand.
    public var connectTimeout = Duration.seconds(10)
    /// How long everything on one connection may take together.
    public var totalTimeout = Duration.seconds(60)
    /// The address that connections go out from; `nil` leaves it to the system.
    public var localAddress: IPAddress?
    /// Where connections' work is done.
    public var group: any EventLoopGroup

    /// Makes a client.
    public init(hostname: String, address: IPAddress, port: Int, tls: TLSClientContext, group: any EventLoopGroup) {
        self.hostname = hostname
        self.address = address
        self.port = port
        self.tls = tls
        self.group = group
    }

    /// Connects, logs in, runs `body`, logs out.
    /// - Throws: ``IMAPClientError``, or what `body` throws.
    public func withConnection<Result: Sendable>(
        username: String, password: String, _ body: (IMAPClientConnection) async throws -> Result
    ) async throws -> Result {
        let channel = try await connect()
        let flag = TimeoutFlag()
        let underlying = channel.channel
        let timeout = underlying.eventLoop.scheduleTask(in: TimeAmount(totalTimeout)) {
            flag.isSet.store(true, ordering: .relaxed)
            underlying.close(promise: nil)
        }
        defer { timeout.cancel() }
        do {
            return try await channel.executeThenClose { inbound, outbound in
                let connection = IMAPClientConnection(channel: underlying, inbound: inbound, outbound: outbound, limits: limits)
                try await connection.open(username: username, password: password)
                let outcome: Swift.Result<Result, any Error>
                do { outcome = .success(try await body(connection)) } catch { outcome = .failure(error) }
                await connection.logOut()
                return try outcome.get()
            }
        } catch let error where Self.isOurs(error) || flag.isSet.load(ordering: .relaxed) {
            throw IMAPClientError.describing(error, hasTimedOut: flag.isSet.load(ordering: .relaxed))
        }
    }

    /// Whether an error comes from the connection, and not from what was done with it.
    private static func isOurs(_ error: any Error) -> Bool {
        switch error {
        case is IMAPClientError, is IMAPResponseError, is NIOSSLError, is NIOSSLExtraError, is BoringSSLError, is ChannelError, is IOError,
            is NIOAsyncWriterError:
            true
        default: false
        }
    }

    private final class TimeoutFlag: Sendable {
        let isSet = Atomic<Bool>(false)
    }

    private func connect() async throws(IMAPClientError) -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        do {
            let remote = try address.socketAddress(port: port)
            let (tls, hostname) = (tls, hostname)
            var bootstrap = ClientBootstrap(group: group).connectTimeout(TimeAmount(connectTimeout))
            if let local = try localAddress?.socketAddress(port: 0), local.protocol == remote.protocol { bootstrap = bootstrap.bind(to: local) }
            return try await bootstrap.connect(to: remote) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(tls.makeHandler(serverHostname: hostname))
                    return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        } catch {
            throw IMAPClientError(.connection, "\(hostname) can't be reached: \(error)")
        }
    }
}
