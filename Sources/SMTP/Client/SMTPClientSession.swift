import MailMessage
public import NIOCore
public import SASL

/// The client's side of an SMTP or LMTP connection as a state machine without I/O: octets and events in, actions out.
///
/// ```
/// disconnected ─connected→ greeting ─220→ introducing ─250→ ready ⇄ transaction … ─quit→ quitting → closed
///                                          │    ▲   └─→ authenticating ─235→ ready
///                                 STARTTLS ▼    │ EHLO again, all knowledge forgotten (RFC 3207 §4.2)
///                                      securing ─220→ handshaking
/// ```
/// Replies come in the order of the commands, so every command that was written leaves an expectation in a queue; a reply is
/// handled by what its command was, whether the commands were pipelined or not (RFC 2920). RFC 5321 doesn't say what a reply is
/// that nobody asked for: 421 is taken at any time (RFC 5321 §3.8), one in the middle of a message is taken as the message's, any
/// other ends the session.
///
/// Every call takes `now`, the time since any fixed moment, which serves the durations of exchanges alone.
public struct SMTPClientSession: Sendable {
    /// What a session needs to know from the start.
    public struct Configuration: Sendable {
        /// When STARTTLS is used.
        public enum StartTLS: Sendable, Hashable {
            /// Never: TLS from the first octet, or not at all.
            case never
            /// Where the peer offers it and doesn't refuse it.
            case opportunistic
            /// Always, or the session fails.
            case required
        }
        /// Our name in EHLO (RFC 5321 §4.1.1.1).
        public var hostname: String
        /// LHLO instead of EHLO, and a reply for each recipient after the message (RFC 2033).
        public var isLMTP = false
        /// When STARTTLS is used.
        public var startTLS = StartTLS.never
        /// The connection is under TLS from its first octet.
        public var hasImplicitTLS = false
        /// The peer is one of our own and may get `XTRACE=`.
        public var handsOnTrace = false
        /// With pipelining and BDAT, a message of at most this many octets follows its envelope without waiting for the replies.
        public var earlyContentOctets = 0
        /// Who authenticates; nobody by default.
        public var credentials: SMTPCredentials?
        /// What SCRAM's nonce is made of: printable US-ASCII without a comma, fresh for each session (RFC 5802 §5.1). Without one,
        /// SCRAM is not used.
        public var authenticationNonce = ""
        /// Octets of a BDAT chunk, and of a piece of content that is asked for.
        public var chunkOctets = 262_144
        /// Recipients of one transaction where the peer names no limit (RFC 5321 §4.5.3.1.8).
        public var recipientLimit = 100
        /// How much a peer may say.
        public var replyLimits = SMTPReplyParser.Limits()

        /// A configuration with defaults.
        public init(hostname: String) { self.hostname = hostname }
    }

    /// What the owner of the connection must do, in this order.
    public enum Action: Sendable {
        /// Write the octets.
        case write(ByteBuffer)
        /// Begin a TLS handshake, then call ``SMTPClientSession/tlsEstablished(isVerified:channelBinding:at:)``.
        case startTLS
        /// A transaction may begin.
        case ready
        /// Read these octets of the message and hand them over with ``SMTPClientSession/content(_:at:)`` when the connection can
        /// take them.
        case readContent(Range<Int>)
        /// The transaction ended.
        case finished(SMTPClientResult)
        /// The session ends without having been ready.
        case failed(SMTPClientFailure)
        /// Close the connection.
        case close
    }

    enum State: Sendable {
        case disconnected, greeting, introducing, securing, handshaking, ready, quitting, closed
        case authenticating(SMTPClientAuthentication)
    }

    /// A command that was written and has no reply yet.
    struct Expectation: Sendable {
        enum Kind: Sendable, Equatable {
            case greeting, ehlo, helo, startTLS, authentication
            case reset, mail, data, message, emptyMessage
            /// The recipient's place in the envelope.
            case recipient(Int)
            /// LMTP's reply for a recipient after the message.
            case delivery(Int)
            case chunk(isLast: Bool)
            case quit
        }
        var kind: Kind
        var command: String
        var sentAt: Duration
    }

    /// What the peer offers, after the latest EHLO.
    public internal(set) var extensions = SMTPExtensions()
    /// The peer refused STARTTLS with this reply, and the session went on without TLS.
    public private(set) var startTLSRefusal: SMTPReply?
    /// How many transactions were begun.
    public internal(set) var transactionCount = 0
    /// Commands and replies since the last ``takeExchanges()``.
    var exchanges: [SMTPClientExchange] = []

    let configuration: Configuration
    var state = State.disconnected
    var parser: SMTPReplyParser
    var expectations = CircularBuffer<Expectation>()
    var output = ByteBuffer()
    var transaction: SMTPOpenTransaction?
    /// A transaction of the peer's is still open: RSET goes before the next MAIL.
    var needsReset = false
    var isEncrypted: Bool
    var isVerified = false
    private var isAuthenticated = false
    private var channelBinding: ChannelBinding?

    /// Makes a session for a connection that isn't there yet.
    public init(configuration: Configuration) {
        self.configuration = configuration
        parser = SMTPReplyParser(limits: configuration.replyLimits)
        isEncrypted = configuration.hasImplicitTLS
    }

    // MARK: Events

    /// The connection is there, with TLS on it if that is implicit.
    /// - Parameters:
    ///   - isVerified: the peer's certificate was verified for this peer.
    ///   - channelBinding: what ties an authentication to the TLS session.
    public mutating func connected(
        isVerified: Bool = false, channelBinding: ChannelBinding? = nil, at now: Duration
    ) -> [Action] {
        precondition(isDisconnected, "a session begins once")
        self.isVerified = isVerified
        self.channelBinding = channelBinding
        state = .greeting
        expect(.greeting, "(connect)", now)
        return []
    }

    /// Octets arrived.
    public mutating func received(_ bytes: ByteBuffer, at now: Duration) -> [Action] {
        var actions: [Action] = []
        switch state {
        case .disconnected, .closed: return []
        case .handshaking:
            return injected(&actions)
        case .greeting, .introducing, .securing, .ready, .quitting, .authenticating: break
        }
        parser.append(bytes)
        readReplies(&actions, now)
        return flush(actions)
    }

    /// Somebody has verified the peer after the handshake, by what it sent.
    public mutating func peerWasVerified() { isVerified = isEncrypted }

    /// The TLS handshake that ``Action/startTLS`` asked for is done.
    /// - Parameters:
    ///   - isVerified: the peer's certificate was verified for this peer.
    ///   - channelBinding: what ties an authentication to the TLS session.
    public mutating func tlsEstablished(
        isVerified: Bool, channelBinding: ChannelBinding? = nil, at now: Duration
    ) -> [Action] {
        guard case .handshaking = state else { return [] }
        // RFC 3207 §4.2: nothing that was learnt before TLS survives it.
        parser = SMTPReplyParser(limits: configuration.replyLimits)
        extensions = SMTPExtensions()
        isEncrypted = true
        self.isVerified = isVerified
        self.channelBinding = channelBinding
        introduce(now)
        return flush([])
    }

    /// Ends the session politely once nothing is under way.
    public mutating func quit(at now: Duration) -> [Action] {
        guard case .ready = state, transaction == nil else { return end([.close]) }
        state = .quitting
        send("QUIT", expecting: .quit, now)
        return flush([])
    }

    /// The connection is gone.
    /// - Parameter reason: the system's words, where there are any.
    public mutating func closed(reason: String? = nil) -> [Action] {
        let detail = reason.map { ": \($0)" } ?? ""
        return abort(SMTPReply(451, EnhancedStatusCode(4, 4, 2), "connection lost while \(waitingText)\(detail)"))
    }

    /// The peer was silent for too long.
    public mutating func timedOut() -> [Action] {
        abort(SMTPReply(451, EnhancedStatusCode(4, 4, 2), "timed out while \(waitingText)"))
    }

    /// Something on our side ends the session, such as a failed handshake or a shutdown.
    public mutating func abort(_ reply: SMTPReply) -> [Action] {
        if case .closed = state { return [] }
        var actions: [Action] = []
        fail(reply, isLocal: true, &actions)
        return actions
    }

    /// Another transaction may begin now: the session is ready, and the peer's MAILMAX is not reached (RFC 9422 §4.1).
    public var canBegin: Bool {
        guard case .ready = state, transaction == nil else { return false }
        return extensions.mailLimit.map { transactionCount < $0 } ?? true
    }

    /// Takes the exchanges that happened since the last call.
    public mutating func takeExchanges() -> [SMTPClientExchange] {
        defer { exchanges = [] }
        return exchanges
    }

    /// What is waited for; `nil` when nothing is, between transactions.
    public var wait: SMTPClientWait? {
        if case .handshaking = state { return .handshake }
        guard let first = expectations.first else { return transaction == nil ? nil : .dataBlock }
        switch first.kind {
        case .greeting: return .greeting
        case .ehlo, .helo, .startTLS, .authentication: return .introduction
        case .reset, .mail: return .mail
        case .recipient: return .recipient
        case .data: return .dataInitiation
        case .message, .emptyMessage, .delivery: return .dataTermination
        case .chunk(let isLast): return isLast ? .dataTermination : .dataBlock
        case .quit: return .quit
        }
    }

    /// What the session was doing, for the text of a failure.
    private var waitingText: String {
        switch state {
        case .disconnected: configuration.hasImplicitTLS ? "negotiating TLS" : "connecting"
        case .handshaking: "negotiating TLS"
        case .greeting, .introducing, .securing, .ready, .quitting, .closed, .authenticating:
            if let first = expectations.first {
                first.kind == .greeting ? "waiting for the greeting" : "waiting for the reply to \(first.command)"
            } else {
                transaction == nil ? "idle" : "sending the message"
            }
        }
    }

    private var isDisconnected: Bool {
        if case .disconnected = state { true } else { false }
    }

    var isClosed: Bool {
        if case .closed = state { true } else { false }
    }

    // MARK: Replies

    private mutating func readReplies(_ actions: inout [Action], _ now: Duration) {
        while !isClosed {
            let reply: SMTPReply
            do {
                guard let next = try parser.next(enhanced: takesEnhancedStatus) else { return }
                reply = next
            } catch {
                let text = "the peer broke the protocol while \(waitingText): \(error)"
                return fail(SMTPReply(451, EnhancedStatusCode(4, 5, 0), text), isLocal: true, &actions)
            }
            guard let expectation = expectations.popFirst() else { return unexpected(reply, &actions) }
            exchanges.append(
                SMTPClientExchange(command: expectation.command, reply: reply, duration: now - expectation.sentAt)
            )
            // RFC 5321 §3.8: 421 may answer any command; the peer closes.
            if reply.code == 421, expectation.kind != .quit { return fail(reply, isLocal: false, &actions) }
            handle(reply, to: expectation, &actions, now)
            if case .handshaking = state {
                if parser.holdsOctets { actions = injected(&actions) }
                return
            }
        }
    }

    private var takesEnhancedStatus: Bool {
        switch expectations.first?.kind {
        case .greeting, .ehlo, .helo: false
        default: true
        }
    }

    private mutating func handle(_ reply: SMTPReply, to expectation: Expectation, _ actions: inout [Action], _ now: Duration) {
        switch expectation.kind {
        case .greeting: greeted(reply, &actions, now)
        case .ehlo: introduced(reply, &actions, now)
        case .helo:
            guard reply.code == 250 else { return refused(reply, "HELO", &actions) }
            extensions = SMTPExtensions()
            proceed(&actions, now)
        case .startTLS: startTLSAnswered(reply, &actions, now)
        case .authentication: authenticationAnswered(reply, &actions, now)
        case .reset, .mail, .recipient, .data, .message, .emptyMessage, .delivery, .chunk:
            transactionAnswered(reply, to: expectation.kind, &actions, now)
        case .quit:
            actions = end(actions + [.close])
        }
    }

    private mutating func greeted(_ reply: SMTPReply, _ actions: inout [Action], _ now: Duration) {
        guard reply.code == 220 else { return refused(reply, "a new connection", &actions) }
        introduce(now)
    }

    private mutating func introduce(_ now: Duration) {
        state = .introducing
        send((configuration.isLMTP ? "LHLO " : "EHLO ") + configuration.hostname, expecting: .ehlo, now)
    }

    private mutating func introduced(_ reply: SMTPReply, _ actions: inout [Action], _ now: Duration) {
        switch reply.code {
        case 250:
            extensions = SMTPExtensions(ehloLines: reply.lines)
            proceed(&actions, now)
        case 500, 502, 504:
            guard !configuration.isLMTP, configuration.startTLS != .required else {
                return refused(reply, "LHLO or EHLO", &actions)
            }
            // RFC 5321 §3.2: a server that doesn't know EHLO is asked again with HELO.
            send("HELO " + configuration.hostname, expecting: .helo, now)
        default: refused(reply, "EHLO", &actions)
        }
    }

    /// Goes on after EHLO: STARTTLS, AUTH, or ready.
    private mutating func proceed(_ actions: inout [Action], _ now: Duration) {
        if configuration.startTLS != .never, !isEncrypted, startTLSRefusal == nil {
            if extensions.startTLS {
                state = .securing
                return send("STARTTLS", expecting: .startTLS, now)
            }
            if configuration.startTLS == .required {
                let text = "TLS is required, and the peer does not offer STARTTLS"
                return fail(SMTPReply(451, EnhancedStatusCode(4, 7, 5), text), stage: .startTLS, isLocal: true, &actions)
            }
        }
        if let credentials = configuration.credentials, !isAuthenticated {
            return authenticate(credentials, &actions, now)
        }
        state = .ready
        actions.append(.ready)
    }

    private mutating func startTLSAnswered(_ reply: SMTPReply, _ actions: inout [Action], _ now: Duration) {
        if reply.code == 220 {
            state = .handshaking
            return actions.append(.startTLS)
        }
        guard configuration.startTLS == .required else {
            startTLSRefusal = reply
            return proceed(&actions, now)
        }
        let text = "TLS is required, and the peer answered STARTTLS with \(reply)"
        fail(SMTPReply(451, EnhancedStatusCode(4, 7, 5), text), isLocal: true, &actions)
    }

    /// Octets came in plain text after the reply to STARTTLS: somebody on the way put them there, to be taken for the peer's words
    /// under TLS (RFC 3207 §6).
    private mutating func injected(_ actions: inout [Action]) -> [Action] {
        let text = "octets in plain text after the reply to STARTTLS: somebody injects commands"
        fail(SMTPReply(451, EnhancedStatusCode(4, 7, 0), text), stage: .startTLS, isLocal: true, &actions)
        actions.removeAll { action in
            if case .startTLS = action { true } else { false }
        }
        return actions
    }

    // MARK: Authentication

    private mutating func authenticate(_ credentials: SMTPCredentials, _ actions: inout [Action], _ now: Duration) {
        let offered = extensions.authenticationMechanisms
        let chosen = SMTPClientAuthentication(
            credentials, offered: offered, isEncrypted: isEncrypted, binding: channelBinding,
            nonce: configuration.authenticationNonce)
        guard let exchange = chosen else {
            let text = "no usable mechanism to authenticate with\(isEncrypted ? "" : " without TLS"): the peer offers \(offered)"
            return fail(
                SMTPReply(454, EnhancedStatusCode(4, 7, 0), text), stage: .authentication, isLocal: true, &actions)
        }
        state = .authenticating(exchange)
        let shown = "AUTH \(exchange.mechanism)"
        let initial = exchange.initialResponse.map { $0.isEmpty ? " =" : " \($0)" } ?? ""
        send(shown + initial, expecting: .authentication, shownAs: initial.isEmpty ? shown : shown + " (hidden)", now)
    }

    private mutating func authenticationAnswered(_ reply: SMTPReply, _ actions: inout [Action], _ now: Duration) {
        guard case .authenticating(var exchange) = state else { return }
        switch reply.code {
        case 235:
            guard exchange.isComplete else { return distrusted("it says so without proof", &actions) }
            isAuthenticated = true
            proceed(&actions, now)
        case 334:
            do {
                let response = try exchange.respond(to: reply.lines.first ?? "")
                state = .authenticating(exchange)
                send(response, expecting: .authentication, shownAs: "(authentication response)", now)
            } catch {
                distrusted(error.description, &actions)
            }
        default:
            refused(reply, "AUTH", &actions)
        }
    }

    /// The server's part of the authentication is wrong: perhaps it isn't the one whose password this is (RFC 5802 §9).
    private mutating func distrusted(_ reason: String, _ actions: inout [Action]) {
        let text = "the server failed to authenticate itself: \(reason)"
        fail(SMTPReply(454, EnhancedStatusCode(4, 7, 0), text), isLocal: true, &actions)
    }

    // MARK: Ends

    /// A reply came that no command asked for.
    private mutating func unexpected(_ reply: SMTPReply, _ actions: inout [Action]) {
        exchanges.append(SMTPClientExchange(command: "(nothing)", reply: reply, duration: .zero))
        if transaction != nil, reply.isTransientFailure || reply.isPermanentFailure {
            // A peer that has had enough of a message says so and closes; what it says is the message's reply.
            return fail(reply, isLocal: false, &actions)
        }
        if reply.code == 421 { return fail(reply, isLocal: false, &actions) }
        violated("\(reply), which nobody asked for", &actions)
    }

    /// Ends the session with a 4yz or 5yz reply; a reply of another kind makes no sense here.
    private mutating func refused(_ reply: SMTPReply, _ command: String, _ actions: inout [Action]) {
        guard reply.isTransientFailure || reply.isPermanentFailure else {
            return violated("\(reply) as a reply to \(command)", &actions)
        }
        fail(reply, isLocal: false, &actions)
    }

    mutating func violated(_ what: String, _ actions: inout [Action]) {
        let text = "the peer broke the protocol: \(what)"
        fail(SMTPReply(451, EnhancedStatusCode(4, 5, 0), text), isLocal: true, &actions)
    }

    /// Ends the session; what is under way gets `reply`.
    mutating func fail(
        _ reply: SMTPReply, stage: SMTPClientFailure.Stage? = nil, isLocal: Bool, _ actions: inout [Action]
    ) {
        if transaction != nil {
            finishTransaction(remaining: isLocal ? .local(reply) : .peer(reply), isUsable: false, &actions)
        } else if let stage = stage ?? currentStage {
            actions.append(.failed(SMTPClientFailure(stage: stage, reply: reply, isLocal: isLocal)))
        }
        actions.append(.close)
        actions = end(actions)
    }

    private var currentStage: SMTPClientFailure.Stage? {
        switch state {
        case .disconnected: configuration.hasImplicitTLS ? .handshake : .greeting
        case .greeting: .greeting
        case .introducing: .introduction
        case .securing: .startTLS
        case .handshaking: .handshake
        case .authenticating: .authentication
        case .ready, .quitting, .closed: nil
        }
    }

    private mutating func end(_ actions: [Action]) -> [Action] {
        state = .closed
        expectations.removeAll()
        output.clear()
        return actions
    }

    // MARK: Writing

    mutating func expect(_ kind: Expectation.Kind, _ command: String, _ now: Duration) {
        var shown = command
        if shown.utf8.count > 512 { shown = String(decoding: Array(shown.utf8.prefix(512)), as: UTF8.self) }
        expectations.append(Expectation(kind: kind, command: shown, sentAt: now))
    }

    mutating func send(_ command: String, expecting kind: Expectation.Kind, shownAs shown: String? = nil, _ now: Duration) {
        output.writeString(command)
        output.writeStaticString("\r\n")
        expect(kind, shown ?? command, now)
    }

    /// Puts what was written before the other actions that don't concern it.
    mutating func flush(_ actions: [Action]) -> [Action] {
        guard output.readableBytes > 0 else { return actions }
        let written = output
        output = ByteBuffer()
        return [.write(written)] + actions
    }
}
