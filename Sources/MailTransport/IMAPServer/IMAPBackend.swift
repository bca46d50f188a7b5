public import DNS
public import FoundationEssentials
public import IMAP
public import NIOCore
public import SASL

/// A connection as the house sees it.
public struct IMAPConnectionInfo: Sendable {
    /// Unique within the process.
    public var id: UInt64
    /// The listener's name in the configuration.
    public var listener: String
    public var remoteAddress: IPAddress
    public var remotePort: Int
    public var connectedAt: Date
    /// `nil` before TLS.
    public var tls: TLSSummary?

    /// Describes a connection.
    public init(id: UInt64, listener: String, remoteAddress: IPAddress, remotePort: Int, connectedAt: Date, tls: TLSSummary? = nil) {
        self.id = id
        self.listener = listener
        self.remoteAddress = remoteAddress
        self.remotePort = remotePort
        self.connectedAt = connectedAt
        self.tls = tls
    }
}

/// What the server asks of the house: who users are, and what is in their mailboxes. The server has the protocol.
public protocol IMAPBackend: Sendable {
    /// The verifier of a user's password; `nil` for an unknown user.
    /// - Throws: when nobody can tell now.
    func verifier(forUser username: String) async throws -> SCRAMVerifier?
    /// An attempt to log in ended.
    func authenticationEnded(username: String, mechanism: String, succeeded: Bool, connection: IMAPConnectionInfo) async
    /// The mailboxes of a user who has logged in, for this connection alone.
    /// - Throws: when they can't be used now.
    func openAccount(ofUser username: String, connection: IMAPConnectionInfo) async throws -> any IMAPAccount
}

/// Runs a user's commands on one connection, one after the other. What it throws ends the connection.
public protocol IMAPAccount: AnyObject {
    /// Runs a command: writes its untagged responses and returns how it ended.
    func perform(_ command: IMAPCommand, tag: String, isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion
    /// Says that nobody wants a message that a client would append, or `nil` to have it sent.
    func beginAppend(_ request: AppendRequest) async -> IMAPCompletion?
    /// Takes octets of the message. A failure is told at its end.
    func append(_ octets: ByteBuffer) async
    /// The message is complete.
    func endAppend(isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion
    /// The message will never be complete.
    func abandonAppend() async
    /// Yields when the selected mailbox may have changed; `nil` where none is selected.
    func changes() -> AsyncStream<Void>?
    /// Tells what has changed in the selected mailbox.
    func synchronize(isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion?
}

/// Responses on their way to a client. Whoever writes much calls ``drain()`` now and then: it returns when the client has taken what is
/// there, so that no more than a piece is ever held in memory.
public final class IMAPOutput {
    /// What is not sent yet.
    public var buffer = ByteBuffer()
    private let write: (ByteBuffer) async throws -> Void
    /// What is written at once, in octets.
    public static let pieceSize = 64 * 1024

    /// - Parameter write: sends octets, and returns when the client's side has taken them.
    public init(write: @escaping (ByteBuffer) async throws -> Void) { self.write = write }

    /// Sends what is there if it is much.
    /// - Throws: when the connection is gone.
    public func drain() async throws {
        if buffer.readableBytes >= Self.pieceSize { try await flush() }
    }

    /// Sends what is there.
    /// - Throws: when the connection is gone.
    public func flush() async throws {
        guard buffer.readableBytes > 0 else { return }
        let piece = buffer
        buffer = ByteBuffer()
        try await write(piece)
    }
}
