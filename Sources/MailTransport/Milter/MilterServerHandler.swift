import FoundationEssentials
import MailMessage
import Milter
import NIOCore
import NIOPosix

/// Runs the session of one MTA's connection: reads, writes, waits, and asks the service. What is said is decided by ``MilterSession``.
///
/// Everything happens on the connection's event loop but the calls of the service, which are made one after the other by a task. While one
/// of them is awaited, nothing is read.
final class MilterServerHandler: ChannelDuplexHandler, Expiring {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// While there is no limit to keep, one is looked for again after this time.
    private static let recheck = TimeAmount.seconds(5)

    private let server: MilterServer
    private var session: MilterSession
    private var information: MilterSessionInfo
    private var context: ChannelHandlerContext?

    // What the connection is doing.
    private var isRunning = false
    private var isClosing = false
    private var isReadWanted = false
    private var isInputClosed = false
    private var didBegin = false
    private var output = ByteBuffer()
    private var error: MilterError?
    /// The service's last call; the next one waits for it.
    private var calls: Task<Void, Never>?
    private var callsMade = 0
    /// The call whose answer is awaited.
    private var awaited: Int?

    // Time.
    private var wheel: DeadlineWheel?
    private var expiry: DeadlineWheel.Place?
    private var lastProgress = NIODeadline.now()
    private var answerDeadline: NIODeadline?

    // The message.
    private var envelope: MilterEnvelope?
    private var collector: MessageCollector?
    private var startedAt = Date.now
    private var transferBegan = NIODeadline.now()

    init(server: MilterServer, information: MilterSessionInfo) {
        self.server = server
        self.information = information
        session = MilterSession(configuration: server.settings.session)
    }

    // MARK: - The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        wheel = DeadlineWheel.current(of: context.eventLoop)
        if context.channel.isActive { begin() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        if let expiry { wheel?.cancel(self, expiry) }
        expiry = nil
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        begin()
        context.fireChannelActive()
    }

    private func begin() {
        guard !didBegin else { return }
        didBegin = true
        lastProgress = .now()
        limitTime()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        session.receive(unwrapInboundIn(data))
        lastProgress = .now()
        run()
    }

    func read(context: ChannelHandlerContext) {
        if mayRead { context.read() } else { isReadWanted = true }
    }

    private var mayRead: Bool { isClosing || (awaited == nil && context?.channel.isWritable == true) }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        run()
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(reason: "lost")
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            isInputClosed = true
            run()
        case is MilterServerShutdown:
            session.shutdown()
            run()
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(reason: "lost: \(error)")
        context.close(promise: nil)
    }

    // MARK: - Running the session

    /// Does what the session asks for, until it needs octets or an answer.
    private func run() {
        guard !isRunning, let context else { return }
        isRunning = true
        while awaited == nil, !isClosing, context.channel.isWritable {
            guard let action = session.next() else {
                guard isInputClosed else { break }
                session.connectionLost()
                isInputClosed = false
                continue
            }
            perform(action)
        }
        flush()
        isRunning = false
        if isReadWanted, mayRead {
            isReadWanted = false
            context.read()
        }
    }

    private func perform(_ action: MilterAction) {
        switch action {
        case .write(let octets): output.writeImmutableBuffer(octets)
        case .negotiated(let negotiation): information.negotiation = negotiation
        case .connected(let client, let macros):
            information.client = client
            information.macros = macros
            information.helo = nil
            decide { service, session, _ in await service.connected(session) }
        case .helo(let name, let macros):
            information.helo = name
            information.macros = macros
            decide { service, session, _ in await service.helo(session) }
        case .mailFrom(let sender, let macros):
            information.macros = macros
            envelope = MilterEnvelope(sender: sender)
            startedAt = .now
            decide { service, session, envelope in await service.sender(envelope, session: session) }
        case .rcptTo(let recipient, let macros):
            information.macros = macros
            guard session.isAwaitingAnswer else {
                envelope?.recipients.append(recipient)
                return
            }
            decide { service, session, envelope in
                await service.recipient(recipient, envelope: envelope, session: session)
            } then: { handler, decision in
                if decision == .continue { handler.envelope?.recipients.append(recipient) }
            }
        case .dataCommand(let macros):
            information.macros = macros
            decide { service, session, envelope in await service.data(envelope, session: session) }
        case .messageBegan:
            transferBegan = .now()
            // No room for another message: the MTA is told so at its end.
            if server.budget.isExhausted { session.contentFailed() } else { collector = MessageCollector(budget: server.budget) }
        case .header(let octets), .content(let octets): collect(octets)
        case .contentRefused: dropContent()
        case .requestVerdict(let macros, _):
            information.macros = macros
            deliver()
        case .changesRefused(let changes):
            let information = information
            tell { service in await service.changesRefused(changes, session: information) }
        case .messageAbandoned(let reason):
            dropContent()
            guard let envelope else { return }
            self.envelope = nil
            let information = information
            tell { service in await service.messageAbandoned(envelope, reason: reason, session: information) }
        case .disconnected:
            information.client = nil
            information.helo = nil
        case .failed(let error):
            self.error = error
            server.tell(error, information)
        case .close(let reason): finish(reason: reason)
        }
    }

    private func flush() {
        guard output.readableBytes > 0, let context else { return }
        context.writeAndFlush(wrapOutboundOut(output), promise: nil)
        output = ByteBuffer()
    }

    /// Asks the service where the session waits for its decision.
    private func decide(
        _ question: @escaping @Sendable (any MilterService, MilterSessionInfo, MilterEnvelope) async -> MilterVerdict.Decision,
        then: @escaping @Sendable (MilterServerHandler, MilterVerdict.Decision) -> Void = { _, _ in }
    ) {
        guard session.isAwaitingAnswer else { return }
        let information = information
        let envelope = envelope ?? MilterEnvelope(sender: MilterPath("<>"))
        ask(within: server.settings.decisionTimeout) { service in
            await question(service, information, envelope)
        } then: { handler, decision in
            then(handler, decision)
            handler.session.decide(decision)
        }
    }

    // MARK: - The message

    private func collect(_ octets: ByteBuffer) {
        guard collector != nil else { return }
        collector?.append(octets)
        let held = collector?.buffer.readableBytes ?? 0
        guard held > server.settings.memoryPerMessage || (server.budget.isExhausted && held > 16 * 1024) else { return }
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
        ask(within: nil) { _ -> (any IncomingFile)? in
            defer { budget.remove(chunk.readableBytes) }
            var file = known
            do {
                let opened = if let known { known } else { try await makeFile() }
                file = opened
                try await opened.append(chunk)
                return opened
            } catch {
                await file?.discard()
                return nil
            }
        } then: { handler, file in
            guard let file else {
                // The file is gone already.
                handler.collector?.file = nil
                return handler.failContent()
            }
            if handler.collector == nil { handler.tell { _ in await file.discard() } } else { handler.collector?.file = file }
        }
    }

    private func failContent() {
        session.contentFailed()
        dropContent()
    }

    private func dropContent() {
        guard var dropped = collector else { return }
        collector = nil
        dropped.forget()
        if let file = dropped.file { tell { _ in await file.discard() } }
    }

    private func deliver() {
        let buffer = collector?.takeBuffer() ?? ByteBuffer()
        let file = collector?.file
        collector = nil
        let draft = MilterMessage(
            session: information, envelope: envelope ?? MilterEnvelope(sender: MilterPath("<>")), content: BufferedContent(buffer),
            startedAt: startedAt, transferDuration: Duration(NIODeadline.now() - transferBegan))
        let budget = server.budget
        ask(within: server.settings.verdictTimeout) { service -> MilterVerdict in
            defer { budget.remove(buffer.readableBytes) }
            var message = draft
            if let file {
                do {
                    if buffer.readableBytes > 0 { try await file.append(buffer) }
                    message.content = try await file.finish()
                } catch {
                    await file.discard()
                    return MilterVerdict(.tempFail)
                }
            }
            return await service.message(message)
        } then: { handler, verdict in
            handler.envelope = nil
            handler.session.verdict(verdict)
        }
    }

    // MARK: - Calls of the service

    /// Calls the service after all earlier calls, and waits for its answer; nothing is read meanwhile.
    private func ask<Answer: Sendable>(
        within limit: Duration?, _ operation: @escaping @Sendable (any MilterService) async -> Answer,
        then: @escaping @Sendable (MilterServerHandler, Answer) -> Void
    ) {
        guard let eventLoop = context?.eventLoop else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let number = nextCallNumber()
        awaited = number
        answerDeadline = limit.map { .now() + TimeAmount($0) }
        limitTime()
        enqueue { service in
            let answer = await operation(service)
            eventLoop.execute {
                let handler = bound.value
                handler.callEnded(number)
                // Where the answer took too long, something else was said already.
                guard handler.awaited == number else { return }
                handler.answered()
                then(handler, answer)
                handler.run()
            }
        }
    }

    private func answered() {
        awaited = nil
        answerDeadline = nil
        lastProgress = .now()
    }

    /// The service took too long: the message, or what was asked about, is refused for now.
    private func answerIsLate() {
        calls?.cancel()
        answered()
        envelope = nil
        session.decide(.tempFail)
        session.verdict(MilterVerdict(.tempFail))
        run()
    }

    /// Tells the service something, after all earlier calls.
    private func tell(_ operation: @escaping @Sendable (any MilterService) async -> Void) {
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

    private func enqueue(_ operation: @escaping @Sendable (any MilterService) async -> Void) {
        let service = server.service
        let earlier = calls
        calls = Task(executorPreference: context.flatMap { server.executors.executor(of: $0.eventLoop) }) {
            await earlier?.value
            await operation(service)
        }
    }

    // MARK: - Time and the end

    /// Sees to it that ``timeIsUp()`` is called before the next limit is over.
    private func limitTime() {
        guard !isClosing else { return }
        var deadline = session.timeout.map { lastProgress + TimeAmount($0) } ?? .now() + Self.recheck
        if awaited != nil {
            deadline = .now() + TimeAmount(server.settings.progressInterval)
            if let answerDeadline { deadline = min(deadline, answerDeadline) }
        }
        deadline = max(deadline, .now() + .milliseconds(10))
        if let expiry, expiry.isBefore(deadline) { return }
        expiry = wheel?.expire(self, at: deadline, instead: expiry)
    }

    func timeIsUp() {
        expiry = nil
        guard let context, !isClosing else { return }
        if awaited != nil {
            if let answerDeadline, answerDeadline <= .now() {
                answerIsLate()
            } else if lastProgress + TimeAmount(server.settings.progressInterval) <= .now() {
                // An MTA hears this only where it waits for the verdict; the session knows.
                lastProgress = .now()
                session.progress()
                while let action = session.next() { perform(action) }
                flush()
            }
        } else if let timeout = session.timeout, lastProgress + TimeAmount(timeout) <= .now() {
            session.timedOut()
            run()
            if !isClosing { end(reason: "time-out, and the MTA doesn't read") }
            context.close(promise: nil)
        }
        limitTime()
    }

    /// The connection is gone.
    private func end(reason: String) {
        guard !isClosing else { return }
        session.connectionLost(reason: reason)
        while !isClosing, let action = session.next() {
            switch action {
            case .write, .negotiated, .connected, .helo, .mailFrom, .rcptTo, .dataCommand, .messageBegan, .header, .content, .requestVerdict:
                break
            case .contentRefused, .changesRefused, .messageAbandoned, .disconnected, .failed, .close: perform(action)
            }
        }
        dropContent()
        context?.close(promise: nil)
    }

    /// Closes after everything that was written, and tells the service.
    private func finish(reason: String) {
        guard !isClosing else { return }
        isClosing = true
        dropContent()
        let (information, server, error) = (information, server, error)
        tell { service in
            await service.connectionClosed(information, reason: reason, error: error)
            server.ended(information.id)
        }
        guard let context, context.channel.isActive else { return }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        let last = output
        output = ByteBuffer()
        context.writeAndFlush(wrapOutboundOut(last)).whenComplete { _ in bound.value.close(promise: nil) }
    }
}
