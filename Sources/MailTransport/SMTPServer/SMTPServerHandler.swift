import FoundationEssentials
import MailMessage
import NIOCore
import NIOSSL
import NIOTLS
import PosternMetrics
import SASL
import SMTP

/// Runs the session of one connection: reads, writes, waits, and asks the service. What is said is decided by ``SMTPServerSession``.
///
/// Everything happens on the connection's event loop but the calls of the service, which are made one after the other by a task.
/// While one of them is awaited, no more than one piece is read.
final class SMTPServerHandler: ChannelDuplexHandler, Expiring {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// How long a connection that we close may take to take notice.
    private static let lingering = TimeAmount.seconds(2)
    /// While a call of the service is awaited, there is no limit to keep; one is looked for again after this time.
    private static let recheck = TimeAmount.seconds(5)
    /// Replies are written when this many octets wait, or when nothing more is to be done.
    private static let outputThreshold = 16 * 1024

    let server: SMTPServer
    private let terms: SMTPServer.Terms
    var session: SMTPServerSession
    private var information: SMTPSessionInfo
    private var context: ChannelHandlerContext?

    // What the connection is doing.
    private var isRunning = false
    private var isAwaitingService = false
    private var isClosing = false
    private var isReadWanted = false
    private var isInputClosed = false
    private var didBegin = false
    private var output = ByteBuffer()
    /// The service's last call; the next one waits for it.
    private var calls: Task<Void, Never>?
    private var callsMade = 0
    private weak var tlsHandler: NIOSSLServerHandler?

    // Time.
    private var wheel: DeadlineWheel?
    private var expiry: DeadlineWheel.Place?
    private var lastProgress = NIODeadline.now()
    private var stepBegan = NIODeadline.now()
    private var messageDeadline: NIODeadline?

    // The transaction.
    private var collector: MessageCollector?
    private var log = ExchangeLog()
    private var startedAt = Date.now
    private var transferBegan = NIODeadline.now()
    private var refusals: [SMTPExchange] = []

    init(server: SMTPServer, terms: SMTPServer.Terms, information: SMTPSessionInfo) {
        self.server = server
        self.terms = terms
        self.information = information
        session = SMTPServerSession(
            terms: terms.session,
            allowsBareLineFeeds: terms.settings.bareLineFeedNetworks.contains { $0.covers(information.remoteAddress) },
            authenticationSecret: terms.settings.authenticationSecret, makeNonce: Self.makeNonce)
    }

    /// 24 random octets as printable text (RFC 5802 §5.1).
    @Sendable private static func makeNonce() -> String {
        var generator = SystemRandomNumberGenerator()
        return Data((0..<24).map { _ in UInt8.random(in: 0...255, using: &generator) }).base64EncodedString()
    }

    // MARK: - The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        wheel = DeadlineWheel.current(of: context.eventLoop)
        if context.channel.isActive { channelBecameActive(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        if let expiry { wheel?.cancel(self, expiry) }
        expiry = nil
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        channelBecameActive(context)
        context.fireChannelActive()
    }

    private func channelBecameActive(_ context: ChannelHandlerContext) {
        guard !didBegin else { return }
        didBegin = true
        progress()
        let isImplicit = terms.settings.session.security == .implicit
        if isImplicit { tlsHandler = try? context.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self) }
        limitTime()
        if !isImplicit { open() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        session.receive(unwrapInboundIn(data))
        // Single octets of a command don't count: a client that drips must not hold its place for ever.
        if session.isReceivingMessage { progress() }
        run()
    }

    func read(context: ChannelHandlerContext) {
        if mayRead { context.read() } else { isReadWanted = true }
    }

    /// While an answer is awaited, reading goes on until something comes: most clients wait too, and to stop and begin again costs two calls of
    /// the kernel for each message.
    private var mayRead: Bool {
        guard !isClosing else { return true }
        guard context?.channel.isWritable == true else { return false }
        return !isAwaitingService || (session.isAwaitingAnswer && !session.hasOctets)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        run()
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        lose(reason: "lost")
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted: secured()
        case ChannelEvent.inputClosed:
            isInputClosed = true
            if isClosing { context.close(promise: nil) } else { run() }
        case is SMTPServerShutdown:
            session.shutdown()
            run()
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Whoever hangs up instead of waiting for our end of the connection is no matter.
        guard !isClosing else { return context.close(promise: nil) }
        let isTLS = error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError
        if isTLS, information.tls == nil { Metrics.handshakes.add(.serverFailed) }
        lose(reason: isTLS && information.tls == nil ? "TLS handshake failed: \(error)" : "lost: \(error)")
        context.close(promise: nil)
    }

    // MARK: - Running the session

    /// Does what the session asks for, until it needs octets or an answer.
    private func run() {
        guard !isRunning, let context else { return }
        isRunning = true
        while !isAwaitingService, !isClosing, context.channel.isWritable {
            session.refusesMessages = server.budget.isExhausted
            guard let action = session.next() else {
                // The client has sent all that it will; what it is still owed was said.
                guard isInputClosed else { break }
                session.connectionLost()
                isInputClosed = false
                continue
            }
            perform(action, context)
        }
        flush()
        isRunning = false
        if isReadWanted, mayRead {
            isReadWanted = false
            context.read()
        }
    }

    private func perform(_ action: SMTPServerAction, _ context: ChannelHandlerContext) {
        switch action {
        case .reply(let reply, let record): say(reply, record)
        case .startTLS: startTLS(context)
        case .requestVerifier(let username, let exchange): findVerifier(username, exchange)
        case .authenticationEnded(let username, let mechanism, let reply):
            if reply.isPositive { information.authenticationMechanism = mechanism }
            Metrics.authentications.add(.init(reply.isPositive))
            let information = currentInformation()
            tell { service in await service.authenticationEnded(username: username, mechanism: mechanism, reply: reply, session: information) }
        case .requestReversePath(let envelope, let trace):
            startedAt = .now
            log = ExchangeLog()
            let information = currentInformation()
            stepBegan = .now()
            if let reply = terms.service.reversePathNow(envelope, trace: trace, session: information) {
                return session.reversePathAnswered(reply)
            }
            ask { service in
                await service.reversePath(envelope, trace: trace, session: information)
            } then: { handler, reply in
                handler.session.reversePathAnswered(reply)
            }
        case .requestRecipient(let recipient, let envelope):
            let information = currentInformation()
            stepBegan = .now()
            if let reply = terms.service.recipientNow(recipient, envelope: envelope, session: information) {
                return session.recipientAnswered(reply)
            }
            ask { service in
                await service.recipient(recipient, envelope: envelope, session: information)
            } then: { handler, reply in
                handler.session.recipientAnswered(reply)
            }
        case .contentBegan:
            collector = MessageCollector(budget: server.budget)
            ReceiveBuffers.set(ReceiveBuffers.content, context.channel)
            transferBegan = .now()
            messageDeadline = .now() + TimeAmount(terms.settings.session.limits.messageTimeout)
            limitTime()
        case .content(let octets): collect(octets)
        case .contentRefused: dropContent()
        case .requestVerdict(let envelope, let trace, _): deliver(envelope, trace)
        case .transactionAbandoned(let envelope, let trace, let reason):
            messageDeadline = nil
            Metrics.transactions.add(.abandoned)
            let transaction = makeTransaction(envelope, trace, BufferedContent(ByteBuffer()), duration: .zero)
            log = ExchangeLog()
            tell { service in await service.transactionAbandoned(transaction, reason: reason) }
        case .close(let reason): finish(reason: reason)
        }
    }

    private func say(_ reply: SMTPReply, _ record: SMTPServerCommandRecord) {
        reply.write(into: &output, allowsUTF8: session.allowsUTF8InReplies)
        let now = NIODeadline.now()
        let exchange = SMTPExchange(command: record.text, reply: reply, duration: Duration(now - stepBegan))
        stepBegan = now
        progress()
        if record.isInTransaction {
            log.append(exchange)
        } else if !reply.isPositive, reply.code / 100 != 3, refusals.count < 100 {
            refusals.append(exchange)
        }
        if output.readableBytes >= Self.outputThreshold { flush() }
    }

    private func flush() {
        guard output.readableBytes > 0, let context else { return }
        context.writeAndFlush(wrapOutboundOut(output), promise: nil)
        output = ByteBuffer()
    }

    // MARK: - Opening, TLS, AUTH

    /// Asks the service whether the client is served, then greets. Reading goes on meanwhile: who speaks now speaks too early.
    private func open() {
        let information = currentInformation()
        switch terms.service.connectionOpenedNow(information) {
        case .serve?: prepareGreeting(nil)
        case .refuse(let reply)?: prepareGreeting(reply)
        case nil:
            call { service in
                await service.connectionOpened(information)
            } then: { handler, refusal in
                handler.prepareGreeting(refusal)
            }
        }
    }

    private func prepareGreeting(_ refusal: SMTPReply?) {
        let delay = TimeAmount(terms.settings.greetingDelay)
        guard delay > .zero, refusal == nil, let context else { return greet(refusal) }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: delay) { bound.value.greet(nil) }
    }

    private func greet(_ refusal: SMTPReply?) {
        session.greet(refusal: refusal)
        run()
    }

    private func startTLS(_ context: ChannelHandlerContext) {
        flush()
        guard let tls = server.tls else { return finish(reason: "no TLS context") }
        let handler = tls.makeHandler()
        tlsHandler = handler
        do { try TLSHandshakeObserver.add(handler, isServer: true, to: context.pipeline.syncOperations, before: self) } catch {
            return lose(reason: "TLS cannot be started: \(error)")
        }
        limitTime()
    }

    private func secured() {
        guard let context, let tlsHandler, let tls = server.tls else { return }
        let summary = TLSSummary(handler: tlsHandler, in: context.pipeline.syncOperations, server: tls)
        information.tls = summary
        Metrics.countHandshake(isServer: true, version: summary.version, group: summary.group)
        session.tlsEstablished(channelBinding: tls.endPointBinding(serverName: summary.serverName), peerRoles: summary.peerRoles)
        progress()
        if terms.settings.session.security == .implicit { open() } else { run() }
    }

    private func findVerifier(_ username: String, _ exchange: AuthenticationExchange) {
        let information = currentInformation()
        ask { service -> (AuthenticationExchange, AuthenticationExchange.Step)? in
            guard let verifier = try? await OptionalVerifier(service.verifier(forUser: username, session: information)) else { return nil }
            var exchange = exchange
            let step = exchange.provide(verifier: verifier.value)
            return (exchange, step)
        } then: { handler, result in
            guard let (exchange, step) = result else { return handler.session.verifierUnavailable() }
            handler.session.verifierAnswered(exchange, step: step)
        }
    }

    /// Tells "no such user" from "nobody knows".
    private struct OptionalVerifier: Sendable {
        let value: SCRAMVerifier?
        init(_ value: SCRAMVerifier?) { self.value = value }
    }

    // MARK: - The message

    private func collect(_ octets: ByteBuffer) {
        guard collector != nil else { return }
        collector?.append(octets)
        let held = collector?.buffer.readableBytes ?? 0
        let isFull = held > terms.settings.memoryPerMessage
        guard isFull || (server.budget.isExhausted && held > 16 * 1024) else { return }
        if server.makeIncomingFile == nil, collector?.file == nil {
            if server.budget.isExhausted { failContent() }
            return
        }
        spill()
    }

    /// Writes what is in memory to the message's file.
    private func spill() {
        guard let chunk = collector?.takeBuffer(), let makeFile = server.makeIncomingFile else { return }
        let known = collector?.file
        let budget = server.budget
        let information = currentInformation()
        ask { service -> Spilled in
            defer { budget.remove(chunk.readableBytes) }
            do {
                let file: any IncomingFile
                if let known { file = known } else { file = try await makeFile() }
                do { try await file.append(chunk) } catch {
                    await file.discard()
                    throw error
                }
                return .kept(file)
            } catch { return .failed(await service.contentFailed(error, session: information)) }
        } then: { handler, spilled in
            switch spilled {
            case .kept(let file):
                if handler.collector == nil { handler.tell { _ in await file.discard() } } else { handler.collector?.file = file }
            case .failed(let reply):
                guard handler.collector != nil else { return }
                // The file is gone already.
                handler.collector?.file = nil
                handler.failContent(reply)
            }
        }
    }

    private enum Spilled: Sendable {
        case kept(any IncomingFile)
        case failed(SMTPReply)
    }

    private func failContent(_ reply: SMTPReply = .contentCannotBeStored) {
        session.contentFailed(reply)
        dropContent()
    }

    private func dropContent() {
        guard var dropped = collector else { return }
        collector = nil
        if let channel = context?.channel { ReceiveBuffers.set(ReceiveBuffers.commands, channel) }
        dropped.forget()
        if let file = dropped.file { tell { _ in await file.discard() } }
    }

    private func deliver(_ envelope: Envelope, _ trace: TraceID?) {
        let buffer = collector?.takeBuffer() ?? ByteBuffer()
        let file = collector?.file
        collector = nil
        messageDeadline = nil
        if let channel = context?.channel { ReceiveBuffers.set(ReceiveBuffers.commands, channel) }
        let duration = Duration(NIODeadline.now() - transferBegan)
        let draft = makeTransaction(envelope, trace, BufferedContent(buffer), duration: duration)
        log = ExchangeLog()
        let budget = server.budget
        let began = ContinuousClock.now
        ask { service -> SMTPReply in
            defer { budget.remove(buffer.readableBytes) }
            var transaction = draft
            if let file {
                do {
                    if buffer.readableBytes > 0 { try await file.append(buffer) }
                    transaction.content = try await file.finish()
                } catch {
                    await file.discard()
                    await service.transactionAbandoned(draft, reason: "the message cannot be stored: \(error)")
                    return await service.contentFailed(error, session: draft.session)
                }
            }
            return await service.message(transaction)
        } then: { handler, reply in
            Metrics.acceptance.observe(.now - began)
            Metrics.transactions.add(reply.isPositive ? .accepted : reply.isTransientFailure ? .deferred : .refused)
            handler.session.verdictAnswered(reply)
        }
    }

    private func makeTransaction(
        _ envelope: Envelope, _ trace: TraceID?, _ content: any MessageContent, duration: Duration
    ) -> SMTPTransaction {
        SMTPTransaction(
            session: currentInformation(), envelope: envelope, content: content, trace: trace, startedAt: startedAt,
            transferDuration: duration, exchanges: log.exchanges)
    }

    private func currentInformation() -> SMTPSessionInfo {
        information.helo = session.helo
        information.usesExtensions = session.usesExtensions
        information.authenticatedUser = session.authenticatedUser
        return information
    }

    // MARK: - Calls of the service

    /// Calls the service and waits for its answer; nothing is said meanwhile.
    private func ask<Answer: Sendable>(
        _ operation: @escaping @Sendable (any SMTPService) async -> Answer,
        then: @escaping @Sendable (SMTPServerHandler, Answer) -> Void
    ) {
        isAwaitingService = true
        stepBegan = .now()
        call(operation) { handler, answer in
            handler.isAwaitingService = false
            then(handler, answer)
        }
    }

    /// Calls the service after all earlier calls; the answer comes back on the event loop.
    private func call<Answer: Sendable>(
        _ operation: @escaping @Sendable (any SMTPService) async -> Answer,
        then: @escaping @Sendable (SMTPServerHandler, Answer) -> Void
    ) {
        guard let eventLoop = context?.eventLoop else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let number = nextCallNumber()
        enqueue { service in
            let answer = await operation(service)
            eventLoop.execute {
                let handler = bound.value
                handler.callEnded(number)
                then(handler, answer)
                handler.progress()
                handler.run()
            }
        }
    }

    /// Tells the service something, after all earlier calls.
    private func tell(_ operation: @escaping @Sendable (any SMTPService) async -> Void) {
        let number = nextCallNumber()
        guard let eventLoop = context?.eventLoop else { return enqueue(operation) }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        enqueue { service in
            await operation(service)
            eventLoop.execute { bound.value.callEnded(number) }
        }
    }

    private func nextCallNumber() -> Int {
        callsMade += 1
        return callsMade
    }

    /// The last call of all ended: the next one need not wait.
    private func callEnded(_ number: Int) {
        if number == callsMade { calls = nil }
    }

    private func enqueue(_ operation: @escaping @Sendable (any SMTPService) async -> Void) {
        let service = terms.service
        let earlier = calls
        calls = Task(executorPreference: context.flatMap { server.executors.executor(of: $0.eventLoop) }) {
            await earlier?.value
            await operation(service)
        }
    }

    // MARK: - Time and the end

    private func progress() { lastProgress = .now() }

    /// Sees to it that ``timeIsUp()`` is called before the time limit is over: where that is early, it is set again for the rest, so that
    /// a connection that says something needs nothing done.
    private func limitTime() {
        guard !isClosing else { return }
        let limit = patience.map { lastProgress + TimeAmount($0) } ?? .now() + Self.recheck
        // What is over already is looked at again soon, not at once for ever.
        let deadline = max(messageDeadline.map { min($0, limit) } ?? limit, .now() + .milliseconds(10))
        if let expiry, expiry.isBefore(deadline) { return }
        expiry = wheel?.expire(self, at: deadline, instead: expiry)
    }

    func timeIsUp() {
        expiry = nil
        guard let context else { return }
        guard !isClosing else { return context.close(promise: nil) }
        if let timeout = patience, !isAwaitingService {
            let now = NIODeadline.now()
            let isLate = messageDeadline.map { $0 <= now } ?? false
            if isLate || lastProgress + TimeAmount(timeout) <= now {
                guard context.channel.isWritable, !isHandshaking else { return lose(reason: "time-out") }
                session.timedOut()
                run()
            }
        }
        limitTime()
    }

    private var isHandshaking: Bool { tlsHandler != nil && information.tls == nil }

    /// How long the client may be silent. A handshake is the work of programs, and takes no five minutes.
    private var patience: Duration? {
        let handshake = terms.settings.handshakeTimeout
        return isHandshaking ? min(session.timeout ?? handshake, handshake) : session.timeout
    }

    /// The connection is gone, or not worth a word.
    private func lose(reason: String) {
        guard !isClosing else { return }
        session.connectionLost(reason: reason)
        guard let context else { return }
        // Tells the service what was left open; there is nobody to hear a reply.
        while !isClosing, let action = session.next() {
            switch action {
            case .reply, .startTLS, .requestVerifier, .requestReversePath, .requestRecipient, .contentBegan, .content, .requestVerdict:
                break
            case .contentRefused, .transactionAbandoned, .authenticationEnded, .close: perform(action, context)
            }
        }
        dropContent()
        context.close(promise: nil)
    }

    /// Closes after everything that was written, and tells the service.
    private func finish(reason: String) {
        guard !isClosing, let context else { return }
        isClosing = true
        dropContent()
        let information = currentInformation()
        let summary = SMTPSessionSummary(
            messagesAccepted: session.messagesAccepted, commandsRefused: session.commandsRefused,
            octetsReceived: session.octetsReceived, reason: reason, refusals: refusals)
        let server = server
        if calls == nil, terms.service.connectionClosedNow(information, summary: summary) {
            server.ended(information.id)
        } else {
            tell { service in
                await service.connectionClosed(information, summary: summary)
                server.ended(information.id)
            }
        }
        guard context.channel.isActive else { return }
        // A plain close with octets unread would make the kernel reset the connection, and our last reply would be lost with it:
        // end our side, and wait a moment until the client has read. Whoever said QUIT and nothing after it has nothing more to say.
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        expiry = wheel?.expire(self, at: .now() + Self.lingering, instead: expiry)
        let lingers = tlsHandler == nil && (reason != "quit" || session.hasOctets)
        let last = output
        output = ByteBuffer()
        context.writeAndFlush(wrapOutboundOut(last)).whenComplete { _ in
            guard let context = bound.value.context else { return }
            if lingers, !bound.value.isInputClosed { context.close(mode: .output, promise: nil) } else { context.close(promise: nil) }
        }
        if isReadWanted {
            isReadWanted = false
            context.read()
        }
    }
}
