import FoundationEssentials
import IMAP
import Logging
import NIOCore
import PosternMetrics
import SASL

/// Serves one connection from its greeting to its end: does what the session asks for, in the order in which it asks.
///
/// Safe to send: one task at a time uses it, as the task that serves the connection waits for each that it begins.
final class IMAPConversation: @unchecked Sendable {
    private let server: IMAPServer
    private let terms: IMAPServer.Terms
    private let connection: IMAPConnection
    private let output: IMAPOutput
    private var session: IMAPSession
    private var info: IMAPConnectionInfo
    private var account: (any IMAPAccount)?
    private let loginDeadline: NIODeadline
    private var lastCommand = NIODeadline.now()
    private var messageDeadline = NIODeadline.distantFuture

    init(server: IMAPServer, connection: IMAPConnection) {
        self.server = server
        let terms = server.terms
        self.terms = terms
        self.connection = connection
        let timeout = TimeAmount(terms.settings.writeTimeout)
        output = IMAPOutput { try await connection.write($0, timeout: timeout) }
        session = IMAPSession(
            configuration: terms.settings.session, authenticationSecret: terms.settings.authenticationSecret, makeNonce: Self.makeNonce)
        info = connection.info
        loginDeadline = .now() + TimeAmount(terms.settings.loginTimeout * 3)
    }

    /// 24 random octets as printable text (RFC 5802 §5.1).
    @Sendable private static func makeNonce() -> String {
        var generator = SystemRandomNumberGenerator()
        return Data((0..<24).map { _ in UInt8.random(in: 0...255, using: &generator) }).base64EncodedString()
    }

    func run() async {
        do {
            try await converse()
        } catch {
            server.logger.debug(
                "connection lost",
                metadata: ["imap.connection": "\(info.id)", "net.peer": "\(info.remoteAddress)", "error": "\(error)"])
        }
        if session.isAppending { await account?.abandonAppend() }
    }

    private func converse() async throws {
        guard await awaitReadiness() else { return }
        session.greet()
        while true {
            guard try await actApart(), await receive() else { return }
        }
    }

    /// As ``act()``. A task keeps the memory of its deepest call as long as it lives, and most of their time connections wait: so the one that
    /// waits calls nothing that is deep, and what the client asked for has a task of its own, which is gone when this returns.
    private func actApart() async throws -> Bool {
        async let isOpen = act()
        return try await isOpen
    }

    /// Does all that the session asks for; `false` when the connection is to be closed.
    private func act() async throws -> Bool {
        while let action = session.next() {
            guard try await perform(action) else {
                try await output.flush()
                return false
            }
            lastCommand = .now()
        }
        try await output.flush()
        return true
    }

    /// Waits for the client and tells the session; `false` when nothing more comes.
    private func receive() async -> Bool {
        switch await connection.receive(until: deadline) {
        case .octets(let octets): session.receive(octets)
        case .woken, .secured, .opened: break
        case .timedOut: session.timedOut()
        case .shutdown: session.shutDown()
        case .ended: return false
        }
        return true
    }

    /// When the client's patience with us, or ours with it, is at its end (RFC 9051 §5.4).
    private var deadline: NIODeadline {
        let settings = terms.settings
        if session.isAppending { return min(.now() + TimeAmount(settings.dataTimeout), messageDeadline) }
        // Single octets of a command don't count: a client that drips must not hold its place for ever.
        guard account == nil else { return lastCommand + TimeAmount(settings.idleTimeout) }
        return min(lastCommand + TimeAmount(settings.loginTimeout), loginDeadline)
    }

    /// Waits until the greeting may be said, or until what follows STARTTLS may; `false` when that never comes.
    private func awaitReadiness() async -> Bool {
        while true {
            switch await connection.receive(until: min(.now() + TimeAmount(terms.settings.loginTimeout), loginDeadline)) {
            case .opened: return true
            case .secured(let summary):
                info.tls = summary
                session.tlsEstablished(channelBinding: server.tls.endPointBinding(serverName: summary.serverName))
                return true
            case .woken: continue
            case .octets, .timedOut, .shutdown, .ended: return false
            }
        }
    }

    /// Does what the session asks for; `false` when the connection is to be closed.
    private func perform(_ action: IMAPSession.Action) async throws -> Bool {
        switch action {
        case .write(let octets):
            output.buffer.writeImmutableBuffer(octets)
            try await output.drain()
        case .startTLS(let reply):
            try await output.flush()
            try await connection.startTLS(reply: reply)
            return await awaitReadiness()
        case .findVerifier(let username, let isPlain): await findVerifier(username, isPlain)
        case .authenticationEnded(let username, let mechanism, let succeeded):
            return try await authenticationEnded(username, mechanism, succeeded)
        case .perform(let tag, let command):
            guard let account else { return false }
            let began = ContinuousClock.now
            let isRev2 = session.isRev2
            let ending =
                if command.takesLong {
                    try await withTaskExecutorPreference(globalConcurrentExecutor) {
                        try await account.perform(command, tag: tag, isRev2: isRev2, into: output)
                    }
                } else {
                    try await account.perform(command, tag: tag, isRev2: isRev2, into: output)
                }
            Metrics.commandSeconds.observe(.now - began)
            Metrics.commands.add(.init(ending.status == .ok))
            session.complete(ending)
        case .beginAppend(let request):
            guard let account else { return false }
            messageDeadline = .now() + TimeAmount(terms.settings.messageTimeout)
            if let refusal = await account.beginAppend(request) { session.complete(refusal) } else { session.acceptAppend() }
        case .appendOctets(let octets): await account?.append(octets)
        case .endAppend:
            guard let account else { return false }
            session.complete(try await account.endAppend(isRev2: session.isRev2, into: output))
        case .abandonAppend: await account?.abandonAppend()
        case .idle: try await idle()
        case .idleEnded:
            let ending = try await account?.synchronize(isRev2: session.isRev2, into: output)
            session.complete(ending ?? .ok("Idle no more"))
        case .close: return false
        }
        return true
    }

    private func findVerifier(_ username: String, _ isPlain: Bool) async {
        do {
            let verifier = try await terms.backend.verifier(forUser: username)
            if isPlain {
                session = await withTaskExecutorPreference(globalConcurrentExecutor) {
                    await PasswordCheck.any(for: info).provide(verifier, to: session)
                }
            } else {
                session.provide(verifier: verifier)
            }
        } catch {
            server.logger.error("users can't be looked up", metadata: ["error": "\(error)"])
            session.verifierUnavailable()
        }
    }

    private func authenticationEnded(_ username: String, _ mechanism: String, _ succeeded: Bool) async throws -> Bool {
        Metrics.authentications.add(.init(succeeded))
        await terms.backend.authenticationEnded(username: username, mechanism: mechanism, succeeded: succeeded, connection: info)
        guard succeeded else {
            // Slows down whoever guesses; the connection counts against its network meanwhile.
            try await Task.sleep(for: terms.settings.failureDelay)
            return true
        }
        do {
            account = try await terms.backend.openAccount(ofUser: username, connection: info)
            return true
        } catch {
            server.logger.error("an account can't be opened", metadata: ["user": "\(username)", "error": "\(error)"])
            IMAPResponse.bye(code: "UNAVAILABLE", "Your mailboxes can't be used now").write(into: &output.buffer, isRev2: false)
            return false
        }
    }

    /// Tells what changes until the client says something (RFC 9051 §6.3.13).
    private func idle() async throws {
        guard let account else { return }
        let connection = connection
        let changes = account.changes()
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            if let changes {
                group.addTask {
                    for await _ in changes { connection.wake() }
                    // The mailbox is gone, or this task is cancelled.
                    connection.wake()
                }
            }
            while true {
                // A line of the client ends it; what follows from that is done outside.
                session.advanceIdle()
                guard session.isIdle else { return }
                if let ending = try await account.synchronize(isRev2: session.isRev2, into: output) {
                    return session.complete(ending)
                }
                try await output.flush()
                guard await receive() else { throw ChannelError.eof }
            }
        }
    }
}

extension IMAPCommand {
    /// Whether messages may have to be taken apart: away from the event loop, on which all its connections would wait.
    fileprivate var takesLong: Bool {
        switch self {
        case .fetch(_, let items, _): items.contains { $0.need > .row && !$0.isWholeMessage }
        case .search(let query, _): query.key.need > .row
        default: false
        }
    }
}

/// Checks plain passwords, each of which costs all rounds of a verifier: one at a time, and only half of the processors do it, so that
/// whoever guesses passwords slows down nobody but others who log in.
private actor PasswordCheck {
    private static let checks = (0..<max(1, System.coreCount / 2)).map { _ in PasswordCheck() }

    static func any(for connection: IMAPConnectionInfo) -> PasswordCheck {
        checks[Int(truncatingIfNeeded: connection.id % UInt64(checks.count))]
    }

    func provide(_ verifier: SCRAMVerifier?, to session: IMAPSession) -> IMAPSession {
        var session = session
        session.provide(verifier: verifier)
        return session
    }
}
