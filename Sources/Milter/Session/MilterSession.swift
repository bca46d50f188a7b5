public import NIOCore

/// The filter's side of one connection of the milter protocol, without any I/O: octets go in by ``receive(_:)``, ``next()`` says what to do.
///
///     negotiating → idle ─CONNECT→ client ─MAIL→ envelope ─HEADER, EOH→ header → body ─BODYEOB→ awaiting the verdict → client
///                   idle ←QUIT_NC─ client, envelope, header, body
///                   client ←ABORT─ envelope, header, body
///                   awaiting a decision about CONNECT, HELO, MAIL, RCPT or DATA → client or envelope
///                   any → closed
///
/// There is no specification but Sendmail's programs; this follows them, and Postfix where the two differ. MAIL and HELO within an envelope
/// put an end to it, as ABORT does: MTAs don't agree on whether ABORT is sent then. How the octets are cut into pieces makes no difference
/// to what comes out.
public struct MilterSession: Sendable {
    enum State: Sendable {
        /// The MTA's offer is expected. Can transition to: idle, closed.
        case negotiating
        /// There is no client. Can transition to: client, awaitingDecision, closed.
        case idle
        /// There is a client, and no message. Can transition to: envelope, idle, awaitingDecision, closed.
        case client
        /// MAIL was said. Can transition to: client, header, body, awaitingDecision, awaitingVerdict, idle, closed.
        case envelope(Message)
        /// Header fields come. Can transition to: body, awaitingVerdict, client, idle, closed.
        case header(Message)
        /// The body comes. Can transition to: awaitingVerdict, client, idle, closed.
        case body(Message)
        /// Can transition to: client, envelope, closed.
        case awaitingDecision(MilterStage, Message?)
        /// Can transition to: client, closed.
        case awaitingVerdict
        /// Nothing is read or said any more.
        case closed

        /// What the session does, for an error.
        var text: String {
            switch self {
            case .negotiating: "the negotiation is expected"
            case .idle: "no client is connected"
            case .client: "no message is open"
            case .envelope: "recipients are named"
            case .header: "header fields come"
            case .body: "the body comes"
            case .awaitingDecision(let stage, _): "a decision about \(stage) is awaited"
            case .awaitingVerdict: "the verdict is awaited"
            case .closed: "closed"
            }
        }
    }

    /// The message that is open.
    struct Message: Sendable {
        var recipients = 0
        var headerFields = 0
        var headerOctets = 0
        var octets = 0
        var overrun: MilterOverrun?
        /// The rest of the body isn't wanted.
        var isSkipping = false
    }

    /// What the filter wants.
    public let configuration: MilterConfiguration
    /// What holds since the negotiation; `nil` before.
    public internal(set) var negotiation: MilterNegotiation?
    /// The macros that hold now.
    public internal(set) var macros = MilterMacros()
    /// Messages that got a verdict.
    public internal(set) var messages = 0

    var state = State.negotiating
    private var decoder: MilterPacketDecoder
    private var pending: [MilterAction] = []
    private var isShuttingDown = false
    var hasClient = false

    /// Makes a session that expects the MTA's offer.
    public init(configuration: MilterConfiguration = MilterConfiguration()) {
        self.configuration = configuration
        decoder = MilterPacketDecoder(limit: configuration.limits.packetLength)
    }

    // MARK: - What comes in

    /// Takes octets from the MTA.
    public mutating func receive(_ buffer: ByteBuffer) {
        if case .closed = state { return }
        decoder.receive(buffer)
    }

    /// The next thing to do; `nil` when octets or an answer are needed first.
    public mutating func next() -> MilterAction? {
        while pending.isEmpty {
            guard advance() else { return nil }
        }
        return pending.removeFirst()
    }

    /// The MTA said nothing for too long.
    public mutating func timedOut() { close(reason: "time-out while \(state.text)") }

    /// The connection is gone.
    public mutating func connectionLost(reason: String = "lost") { close(reason: reason) }

    /// The filter stops: at once where no message is open, else after its verdict.
    public mutating func shutdown() {
        isShuttingDown = true
        switch state {
        case .negotiating, .idle, .client: close(reason: "shutdown")
        case .envelope, .header, .body, .awaitingDecision, .awaitingVerdict, .closed: break
        }
    }

    // MARK: - What is asked about the session

    /// How long the MTA may be silent now; `nil` while we are at work.
    public var timeout: Duration? {
        switch state {
        case .negotiating, .header, .body: configuration.limits.messageTimeout
        case .idle, .client, .envelope: configuration.limits.idleTimeout
        case .awaitingDecision, .awaitingVerdict, .closed: nil
        }
    }

    /// An answer of the filter is awaited; reading on would only fill memory.
    public var isAwaitingAnswer: Bool {
        switch state {
        case .awaitingDecision, .awaitingVerdict: true
        case .negotiating, .idle, .client, .envelope, .header, .body, .closed: false
        }
    }

    /// Octets of a message are coming.
    public var isReceivingMessage: Bool {
        switch state {
        case .header, .body: true
        case .negotiating, .idle, .client, .envelope, .awaitingDecision, .awaitingVerdict, .closed: false
        }
    }

    // MARK: - Moving on

    /// One step; `false` when nothing can be done without more octets or an answer.
    private mutating func advance() -> Bool {
        switch state {
        case .awaitingDecision, .awaitingVerdict, .closed: return false
        case .negotiating, .idle, .client, .envelope, .header, .body: break
        }
        do throws(MilterError) {
            guard let packet = try decoder.next() else { return false }
            try run(try MilterCommand(packet, limits: configuration.limits))
        } catch {
            var error = error
            if error.state == nil { error.state = state.text }
            fail(error)
        }
        return true
    }

    func outOfOrder(_ command: MilterCommand) -> MilterError { MilterError(.outOfOrder, command: command.letter, state: state.text) }

    mutating func emit(_ action: MilterAction) { pending.append(action) }

    mutating func respond(_ response: MilterResponse) {
        var buffer = ByteBuffer()
        response.packet.write(into: &buffer)
        emit(.write(buffer))
    }

    /// Says `continue` where the MTA waits for it.
    mutating func proceed(after command: MilterCommand) {
        if negotiation?.awaitsReply(to: command) ?? true { respond(.continue) }
    }

    /// Back to a client without a message.
    mutating func messageEnded(nextBegan: Bool = false) {
        macros.forgetMessage(nextBegan: nextBegan)
        state = .client
        if isShuttingDown { close(reason: "shutdown") }
    }

    /// The message that is open won't come; none is no fault.
    mutating func abandonMessage(reason: String, nextBegan: Bool = false) {
        switch state {
        case .envelope, .header, .body:
            emit(.messageAbandoned(reason: reason))
            messageEnded(nextBegan: nextBegan)
        case .awaitingDecision(_, .some), .awaitingVerdict:
            emit(.messageAbandoned(reason: reason))
            messageEnded(nextBegan: nextBegan)
        case .awaitingDecision(_, nil), .negotiating, .idle, .client, .closed: break
        }
    }

    mutating func clientGone() {
        if hasClient { emit(.disconnected) }
        hasClient = false
        macros = MilterMacros()
    }

    private mutating func fail(_ error: MilterError) {
        emit(.failed(error))
        close(reason: "protocol error")
    }

    mutating func close(reason: String) {
        if case .closed = state { return }
        isShuttingDown = false
        abandonMessage(reason: reason)
        clientGone()
        state = .closed
        decoder = MilterPacketDecoder(limit: 0)
        emit(.close(reason: reason))
    }
}
