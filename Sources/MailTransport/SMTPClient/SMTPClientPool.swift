public import Logging
import MailMessage
public import NIOCore
import NIOPosix
import SMTP
import Synchronization
import TransportSecurity

/// Delivers messages to targets by SMTP or LMTP, over connections that are kept for a while and used again.
///
/// A connection is used again for exactly the target that it was opened for: host, addresses, port, security and role.
public final class SMTPClientPool: Sendable {
    private struct State {
        var idle: [SMTPTarget: [SMTPClientConnection]] = [:]
        var open: [ObjectIdentifier: SMTPClientConnection] = [:]
        var isShutDown = false
    }

    let configuration: SMTPClientConfiguration
    let tls: SMTPClientTLS
    let group: any EventLoopGroup
    let logger: Logger
    private let state = Mutex(State())

    /// Makes a pool without connections.
    public init(configuration: SMTPClientConfiguration, tls: SMTPClientTLS, group: any EventLoopGroup, logger: Logger) {
        self.configuration = configuration
        self.tls = tls
        self.group = group
        self.logger = logger
    }

    /// Sends a message to the target: tries its addresses in order, and tells what came of each recipient. Every failure on the way
    /// becomes an outcome; see ``DeliveryReport``.
    public func deliver(_ message: OutboundMessage, to target: SMTPTarget) async -> DeliveryReport {
        let clock = ContinuousClock()
        let began = clock.now
        var attempt = SMTPDeliveryAttempt(message: message, target: target)
        await run(&attempt)
        var report = attempt.report()
        report.duration = clock.now - began
        logger.debug(
            "SMTP delivery attempt ended",
            metadata: [
                "smtp.peer": "\(target.hostname)", "smtp.reused": "\(report.reusedConnection)",
                "smtp.delivered": "\(report.outcomes.count { $0.result == .delivered })",
                "smtp.recipients": "\(report.outcomes.count)",
            ])
        return report
    }

    /// Ends all connections without a message, and the others when their message is done or the grace is over.
    public func shutdown() async {
        let idle = state.withLock { state in
            state.isShutDown = true
            defer { state.idle = [:] }
            return state.idle.values.flatMap { $0 }
        }
        for connection in idle { connection.quit() }
        let clock = ContinuousClock()
        let end = clock.now + configuration.shutdownGrace
        while clock.now < end, state.withLock({ !$0.open.isEmpty }) {
            do { try await clock.sleep(for: .milliseconds(20)) } catch { break }
        }
        for connection in state.withLock({ Array($0.open.values) }) {
            connection.channel.close(promise: nil)
            try? await connection.channel.closeFuture.get()
        }
    }

    // MARK: One attempt

    private func run(_ attempt: inout SMTPDeliveryAttempt) async {
        let content: any MessageContent
        let profile: SMTPContentProfile
        do {
            (content, profile) = try await Self.examine(attempt.message.content)
        } catch {
            return attempt.answerRest(SMTPReply(451, EnhancedStatusCode(4, 3, 0), "the message could not be read: \(error)"))
        }
        var mayReuse = true
        // The bound is never met by a peer in its right mind: each round has an answer for at least one recipient.
        for _ in 0..<1000 where !attempt.remaining.isEmpty {
            let connection: SMTPClientConnection
            let isReused: Bool
            if mayReuse, let idle = takeIdle(attempt.target) {
                connection = idle
                isReused = true
                if let reply = attempt.judge(connection.opening.observation, at: connection.address, from: nil, isReused: true) {
                    // Another message may go over it.
                    giveBack(connection, attempt.target)
                    return attempt.answerRest(reply)
                }
            } else {
                guard let opened = await open(for: &attempt) else { return }
                connection = opened
                isReused = false
            }
            attempt.use(connection, isReused: isReused)
            let transaction = SMTPClientTransaction(
                envelope: attempt.remainingEnvelope, profile: profile, trace: attempt.message.trace)
            let sent = await connection.send(transaction, content: content)
            attempt.record(sent.exchanges)
            if isReused, sent.result.nothingWasAnswered {
                attempt.failures.append("the kept connection to \(connection.channel.placeText) had ended; connecting anew")
                connection.quit()
                mayReuse = false
                continue
            }
            attempt.take(sent.result)
            if sent.canContinue { giveBack(connection, attempt.target) } else { connection.quit() }
        }
        attempt.answerRest(SMTPReply(451, EnhancedStatusCode(4, 5, 3), "the peer takes too few recipients at a time"))
    }

    /// Looks at the whole message once. A short one is kept, so that it is read only once.
    private static func examine(_ content: any MessageContent) async throws -> (any MessageContent, SMTPContentProfile) {
        let pieceOctets = 262_144
        if content.byteCount <= pieceOctets {
            let buffer = try await content.readAll()
            return (BufferedContent(buffer), SMTPContentProfile(buffer))
        }
        var profile = SMTPContentProfile()
        var position = 0
        while position < content.byteCount {
            let end = min(content.byteCount, position + pieceOctets)
            profile.consume(try await content.read(position..<end))
            position = end
        }
        profile.finish()
        return (content, profile)
    }

    // MARK: Opening

    /// Opens a connection to the first address that takes one.
    /// - Returns: `nil` when there is none; the attempt has its answers then.
    private func open(for attempt: inout SMTPDeliveryAttempt) async -> SMTPClientConnection? {
        let target = attempt.target
        if state.withLock({ $0.isShutDown }) {
            attempt.answerRest(SMTPReply(451, EnhancedStatusCode(4, 3, 2), "shutting down"))
            return nil
        }
        guard !target.addresses.isEmpty else {
            attempt.answerRest(SMTPReply(451, EnhancedStatusCode(4, 4, 4), "no address of \(target.hostname) is known"))
            return nil
        }
        var last: SMTPClientFailure?
        if target.security == .judged, attempt.message.judge == nil {
            attempt.answerRest(SMTPReply(451, EnhancedStatusCode(4, 3, 5), "nobody judges the sessions with \(target.hostname)"))
            return nil
        }
        addresses: for address in target.addresses.prefix(max(1, configuration.maxAddresses)) {
            attempt.remoteAddress = address
            var plan = plan(for: target, triesTLS: attempt.message.judge?.triesTLS ?? true)
            // Why there was no TLS in the first try; it has been judged.
            var lackOfTLS: String?
            tries: while true {
                if plan.session.hasImplicitTLS, plan.tls == nil {
                    let reply = SMTPReply(451, EnhancedStatusCode(4, 7, 5), "no certificate for links is configured")
                    last = SMTPClientFailure(stage: .handshake, reply: reply, isLocal: true)
                    break addresses
                }
                do {
                    var connection = try await SMTPClientConnection.open(
                        address, port: target.port, from: configuration.localAddress, plan: plan,
                        group: MultiThreadedEventLoopGroup.currentEventLoop ?? group)
                    attempt.record(connection.opening.exchanges)
                    if let refusal = connection.opening.startTLSRefusal {
                        attempt.failures.append(
                            "\(connection.channel.placeText) refused STARTTLS: \(refusal); going on in plain text")
                    }
                    if let lackOfTLS {
                        connection = connection.withoutTLS(because: lackOfTLS)
                    } else if let reply = attempt.judge(
                        connection.opening.observation, at: address, from: connection.channel.localAddress?.internetAddress,
                        exchanges: connection.opening.exchanges)
                    {
                        connection.quit()
                        attempt.failures.append("\(target.hostname) (\(connection.channel.placeText)): \(reply)")
                        last = Self.outweighing(last, SMTPClientFailure(stage: .startTLS, reply: reply, isLocal: true))
                        break tries
                    }
                    register(connection, target)
                    return connection
                } catch {
                    attempt.record(error.exchanges)
                    var failure = error.failure
                    let place = (try? address.socketAddress(port: target.port).text) ?? target.hostname
                    if target.security == .judged, failure.stage == .handshake || failure.stage == .startTLS {
                        let reason = failure.reply.lines.joined(separator: " ")
                        let observation = TLSObservation(isOffered: true, handshakeFailure: reason, isInjected: Self.isInjection(failure))
                        if let reply = attempt.judge(observation, at: address, from: error.localAddress, exchanges: error.exchanges) {
                            failure = SMTPClientFailure(stage: failure.stage, reply: reply, isLocal: true)
                        }
                        lackOfTLS = reason
                    }
                    let isAllowed = target.security == .judged ? !attempt.isKeptBack : attempt.message.envelope.mayGoInClear
                    let canDoWithoutTLS = plan.session.startTLS == .opportunistic && isAllowed
                    if canDoWithoutTLS, Self.isLostToTLS(failure) {
                        attempt.failures.append(
                            "TLS with \(target.hostname) (\(place)) failed: \(failure.reply); trying again in plain text")
                        plan.session.startTLS = .never
                        continue tries
                    }
                    attempt.failures.append("\(target.hostname) (\(place)): \(failure.reply)")
                    last = Self.outweighing(last, failure)
                    // Deliberate: a wrong password is not tried at the next address, for accounts get locked.
                    if failure.stage == .authentication { break addresses }
                    break tries
                }
            }
        }
        if let last { attempt.answerRest(last.reply, isLocal: last.isLocal) }
        return nil
    }

    /// A failure that may pass outweighs a refusal for good: another time another address may take the message.
    private static func outweighing(_ last: SMTPClientFailure?, _ failure: SMTPClientFailure) -> SMTPClientFailure {
        guard let last, !failure.reply.isTransientFailure else { return failure }
        return last
    }

    /// The connection was lost to a TLS handshake, or to the very wish for one, and not to an injection.
    private static func isLostToTLS(_ failure: SMTPClientFailure) -> Bool {
        switch failure.stage {
        case .handshake: true
        case .startTLS: failure.reply.enhancedStatus == EnhancedStatusCode(4, 4, 2)
        case .greeting, .introduction, .authentication: false
        }
    }

    /// Octets in plain text came where TLS had to begin.
    private static func isInjection(_ failure: SMTPClientFailure) -> Bool {
        failure.stage == .startTLS && failure.isLocal && failure.reply.enhancedStatus == EnhancedStatusCode(4, 7, 0)
    }

    private func plan(for target: SMTPTarget, triesTLS: Bool) -> SMTPConnectionPlan {
        var session = SMTPClientSession.Configuration(hostname: configuration.hostname)
        session.isLMTP = target.isLMTP
        var plan = SMTPConnectionPlan(session: session, timeouts: configuration.timeouts)
        plan.serverName = SMTPClientTLS.serverName(target.serverName ?? target.hostname)
        switch target.security {
        case .opportunistic:
            plan.session.startTLS = .opportunistic
            plan.tls = tls.opportunistic
        case .verified:
            plan.session.startTLS = .required
            plan.tls = tls.verified
        case .judged:
            plan.session.startTLS = triesTLS ? .opportunistic : .never
            plan.tls = tls.observing
            plan.isObserved = true
        case .link:
            plan.session.hasImplicitTLS = true
            plan.session.handsOnTrace = true
            plan.session.earlyContentOctets = configuration.earlyContentOctets
            plan.tls = tls.link
            // A target without a role can be reached by nobody: the empty role is in no certificate.
            plan.requiredRole = target.peerRole ?? ""
        case .plain: break
        }
        plan.session.credentials = configuration.credentials
        return plan
    }

    // MARK: Keeping

    private func register(_ connection: SMTPClientConnection, _ target: SMTPTarget) {
        let identity = ObjectIdentifier(connection)
        state.withLock { $0.open[identity] = connection }
        connection.channel.closeFuture.whenComplete { [weak self] _ in
            self?.state.withLock { state in
                state.open[identity] = nil
                state.idle[target]?.removeAll { $0 === connection }
                if state.idle[target]?.isEmpty ?? false { state.idle[target] = nil }
            }
        }
    }

    private func takeIdle(_ target: SMTPTarget) -> SMTPClientConnection? {
        let eventLoop = MultiThreadedEventLoopGroup.currentEventLoop
        return state.withLock { state in
            // One on the same event loop is the quickest.
            if let eventLoop, let place = state.idle[target]?.lastIndex(where: { $0.channel.eventLoop === eventLoop }),
                let connection = state.idle[target]?.remove(at: place), connection.isActive
            {
                return connection
            }
            while let connection = state.idle[target]?.popLast() {
                if connection.isActive { return connection }
            }
            return nil
        }
    }

    private func giveBack(_ connection: SMTPClientConnection, _ target: SMTPTarget) {
        let isKept = state.withLock { state in
            guard !state.isShutDown, connection.isActive,
                connection.messageCount < configuration.maxMessagesPerConnection,
                state.idle[target, default: []].count < configuration.maxIdleConnectionsPerTarget
            else { return false }
            state.idle[target, default: []].append(connection)
            return true
        }
        if isKept { connection.becomeIdle(for: configuration.maxIdle) } else { connection.quit() }
    }
}

extension SMTPClientTLS {
    /// The name for SNI and verification; `nil` for what is no host name, such as an address.
    static func serverName(_ hostname: String) -> String? {
        var name = hostname
        if name.hasSuffix(".") { name.removeLast() }
        guard !name.isEmpty, !name.hasPrefix("["), !name.utf8.contains(0), name.utf8.allSatisfy({ $0 < 0x80 }),
            (try? SocketAddress(ipAddress: name, port: 0)) == nil
        else { return nil }
        return name
    }
}

extension Channel {
    /// The peer's address and port as text.
    var placeText: String { remoteAddress?.text ?? "the peer" }
}
