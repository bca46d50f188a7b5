import MailMessage
public import NIOCore

/// The server's side of one SMTP connection, without any I/O: octets go in by ``receive(_:)``, ``next()`` says what to do.
///
///     opening ─greet→ commands ⇄ awaiting a service's answer
///                     commands ⇄ authenticating ⇄ awaiting a verifier            (AUTH, RFC 4954)
///                     commands → data → awaiting the verdict → commands          (DATA, RFC 5321 §4.1.1.4)
///                     commands → chunk → commands or awaiting the verdict        (BDAT, RFC 3030)
///                     commands → awaitingTLS → commands, all that was said forgotten (STARTTLS, RFC 3207 §4.2)
///                     any → closed
///
/// While an answer is awaited octets are kept and not looked at; the one who runs the session reads no more than one piece then. How the octets
/// are cut into pieces makes no difference to what comes out.
public struct SMTPServerSession: Sendable {
    /// What is rare or big lies elsewhere: there are many sessions, and most of them wait for a command.
    enum State: Sendable {
        /// The greeting wasn't sent. Can transition to: commands, closed.
        case opening
        /// A command line is expected. Can transition to: all but opening.
        case commands
        /// The rest of an overlong line is thrown away. Can transition to: commands, closed.
        indirect case discardingLine(discarded: Int, endsInCarriageReturn: Bool, refusal: SMTPReply)
        /// A line of a SASL exchange is expected. Can transition to: awaitingVerifier, commands, closed.
        indirect case authenticating(mechanism: String, AuthenticationExchange)
        /// Can transition to: authenticating, commands, closed.
        indirect case awaitingVerifier(mechanism: String, username: String)
        /// Can transition to: commands, closed.
        indirect case awaitingReversePath(Transaction, SMTPServerCommandRecord)
        /// Can transition to: commands, closed.
        indirect case awaitingRecipient(EnvelopeRecipient, SMTPServerCommandRecord)
        /// Octets of a message up to CRLF.CRLF. Can transition to: awaitingVerdict, commands, closed.
        case data(DataDecoder)
        /// Octets of a chunk. Can transition to: awaitingVerdict, commands, closed.
        indirect case chunk(Chunk)
        /// Can transition to: commands, closed.
        case awaitingVerdict(SMTPServerCommandRecord)
        /// 220 was said to STARTTLS. Can transition to: commands, closed.
        case awaitingTLS
        /// Nothing is read or said any more.
        case closed
    }

    /// An open mail transaction.
    struct Transaction: Sendable {
        var envelope: Envelope
        let trace: TraceID?
        /// DATA or the first BDAT was taken.
        var contentBegan = false
        /// Octets of the message so far.
        var octets = 0
        /// Why the message will be refused when it is complete.
        var refusal: SMTPReply?
        /// Recipients that were told that they are too many.
        var surplusRecipients = 0
        /// Watches text that comes by BDAT.
        var textCheck: ChunkedTextCheck
    }

    /// A chunk that is being read (RFC 3030 §2).
    struct Chunk: Sendable {
        let size: Int
        var remaining: Int
        let isLast: Bool
        /// Said after the chunk, which is read in any case.
        let rejection: SMTPReply?
        let record: SMTPServerCommandRecord
    }

    private let terms: SMTPServerTerms
    /// How the listener speaks.
    public var configuration: SMTPServerConfiguration { terms.configuration }
    let allowsBareLineFeeds: Bool
    let authenticationSecret: [UInt8]
    let makeNonce: @Sendable () -> String

    var state = State.opening
    var input = ByteBuffer()
    /// How much of `input` was searched for the end of the line.
    var searched = 0
    private var pending: [SMTPServerAction] = []
    var transaction: Transaction?
    var channelBinding: [UInt8]?
    var peerRoles: Set<String> = []
    var isSecured = false
    var lastWasAuthenticate = false
    private var isShuttingDown = false
    private var endedWithOctets = false
    private var commandsSeen = 0
    private var errors = 0
    var idleCommands = 0
    var transactionsBegun = 0
    var authenticationFailures = 0

    /// What HELO or EHLO said.
    public internal(set) var helo: String?
    /// EHLO was used.
    public internal(set) var usesExtensions = false
    /// The user that AUTH established.
    public internal(set) var authenticatedUser: String?
    /// Messages that got a positive reply.
    public private(set) var messagesAccepted = 0
    /// Negative replies.
    public private(set) var commandsRefused = 0
    /// Octets that came in.
    public private(set) var octetsReceived = 0
    /// Memory is short: new messages get 452 4.3.1. Set by the one who runs the session.
    public var refusesMessages = false

    /// Makes a session whose greeting is not yet sent.
    /// - Parameters:
    ///   - terms: how the listener speaks.
    ///   - allowsBareLineFeeds: the client's network may end lines with LF alone. A message never ends by such a line.
    ///   - authenticationSecret: keeps what unknown users are told the same each time; random, kept for the life of the process.
    ///   - makeNonce: gives the server's nonce of a SCRAM exchange, 18 random octets or more as printable text without commas.
    public init(
        terms: SMTPServerTerms, allowsBareLineFeeds: Bool = false, authenticationSecret: [UInt8], makeNonce: @escaping @Sendable () -> String
    ) {
        self.authenticationSecret = authenticationSecret
        self.terms = terms
        self.allowsBareLineFeeds = allowsBareLineFeeds
        self.makeNonce = makeNonce
    }

    // MARK: - What comes in

    /// Takes octets from the client.
    public mutating func receive(_ buffer: ByteBuffer) {
        octetsReceived += buffer.readableBytes
        if case .closed = state { return }
        if input.readableBytes == 0 {
            input = buffer
        } else if input.readerIndex > 0 {
            // A buffer keeps what was read already: a client whose pieces never end where a line ends would make it grow for ever.
            var rest = ByteBuffer()
            rest.reserveCapacity(input.readableBytes + buffer.readableBytes)
            rest.writeImmutableBuffer(input)
            rest.writeImmutableBuffer(buffer)
            input = rest
        } else {
            input.writeImmutableBuffer(buffer)
        }
    }

    /// The next thing to do; `nil` when octets or an answer are needed first.
    public mutating func next() -> SMTPServerAction? {
        while pending.isEmpty {
            guard advance() else {
                // An idle session holds no buffer, and no room for actions.
                if input.readableBytes == 0 { input = ByteBuffer() }
                pending = []
                return nil
            }
        }
        return pending.removeFirst()
    }

    /// The service has seen the connection: sends the greeting, or `refusal` instead of it.
    public mutating func greet(refusal: SMTPReply?) {
        guard case .opening = state else { return }
        // RFC 5321 §4.3.1: a client waits for the greeting; who doesn't is a robot, or smuggles.
        guard input.readableBytes == 0 else { return earlyTalker() }
        if let refusal {
            commandsRefused += 1
            emit(refusal)
            close(reason: "refused")
        } else {
            emit(SMTPReply(220, nil, "\(configuration.hostname) \(configuration.greeting)"))
            state = .commands
            if isShuttingDown { shutdown() }
        }
    }

    /// A TLS session was established, by STARTTLS or before the greeting. Forgets everything that was said (RFC 3207 §4.2).
    /// - Parameters:
    ///   - channelBinding: `tls-server-end-point` of the certificate (RFC 5929 §4); `nil` where there is none.
    ///   - peerRoles: the roles in the client's verified certificate.
    public mutating func tlsEstablished(channelBinding: [UInt8]?, peerRoles: Set<String>) {
        isSecured = true
        self.channelBinding = channelBinding
        self.peerRoles = peerRoles
        helo = nil
        usesExtensions = false
        authenticatedUser = nil
        input = ByteBuffer()
        searched = 0
        if case .awaitingTLS = state { returnToCommands() }
    }

    /// The client said nothing for too long, or took too long for a message (RFC 5321 §4.5.3.2).
    public mutating func timedOut(_ text: String = "Time-out, closing the connection") {
        switch state {
        case .closed: break
        case .awaitingTLS: close(reason: "time-out in the TLS handshake")
        case .opening, .commands, .discardingLine, .authenticating, .awaitingVerifier, .awaitingReversePath, .awaitingRecipient, .data,
            .chunk, .awaitingVerdict:
            emit(.make(421, (4, 4, 2), "\(configuration.hostname) \(text)"), closing: "time-out")
        }
    }

    /// The server stops: sessions that send no message get 421 now, the others after their message's reply (RFC 5321 §3.8).
    public mutating func shutdown() {
        isShuttingDown = true
        switch state {
        case .commands where transaction?.contentBegan == true: break
        case .commands, .discardingLine, .authenticating:
            emit(.make(421, (4, 3, 2), "\(configuration.hostname) is shutting down, try again later"), closing: "shutdown")
        case .opening, .awaitingVerifier, .awaitingReversePath, .awaitingRecipient, .data, .chunk, .awaitingVerdict, .closed: break
        case .awaitingTLS: close(reason: "shutdown")
        }
    }

    /// The connection is gone.
    public mutating func connectionLost(reason: String = "lost") {
        if case .awaitingVerdict = state { transaction = nil }
        close(reason: reason)
    }

    // MARK: - What is asked about the session

    /// How long the client may be silent now; `nil` while we are at work.
    public var timeout: Duration? {
        switch state {
        case .opening, .commands, .discardingLine, .authenticating, .awaitingTLS: configuration.limits.commandTimeout
        case .data, .chunk: configuration.limits.dataTimeout
        case .awaitingVerifier, .awaitingReversePath, .awaitingRecipient, .awaitingVerdict, .closed: nil
        }
    }

    /// An answer of the service is awaited; reading on and on would only fill memory.
    public var isAwaitingAnswer: Bool {
        switch state {
        case .awaitingVerifier, .awaitingReversePath, .awaitingRecipient, .awaitingVerdict: true
        case .opening, .commands, .discardingLine, .authenticating, .data, .chunk, .awaitingTLS, .closed: false
        }
    }

    /// Octets of a message are expected that may end in its acceptance or in its refusal: each of them is progress. Those of a chunk
    /// that was refused beforehand are not.
    public var isReceivingMessage: Bool {
        switch state {
        case .data: true
        case .chunk(let chunk): chunk.rejection == nil
        case .opening, .commands, .discardingLine, .authenticating, .awaitingVerifier, .awaitingReversePath, .awaitingRecipient,
            .awaitingVerdict, .awaitingTLS, .closed:
            false
        }
    }

    /// Something came in that was not used yet, or never was because the session ended before it.
    public var hasOctets: Bool { endedWithOctets || input.readableBytes > 0 }

    /// The octets that the session keeps of what came in and was not used yet. Bounded by the longest line and the largest piece.
    var octetsHeld: Int { input.capacity }

    /// The client has asked for UTF-8 in this transaction, so replies may hold it (RFC 6531 §3.7.4.1).
    public var allowsUTF8InReplies: Bool { transaction?.envelope.usesSMTPUTF8 ?? false }

    // MARK: - Moving on

    /// One step; `false` when nothing can be done without more octets or an answer.
    private mutating func advance() -> Bool {
        switch state {
        case .opening:
            guard input.readableBytes > 0 else { return false }
            earlyTalker()
            return true
        case .commands: return advanceCommand()
        case .discardingLine(let discarded, let endsInCarriageReturn, let refusal):
            return advanceDiscarding(discarded, endsInCarriageReturn, refusal)
        case .authenticating(let mechanism, let exchange): return advanceAuthentication(mechanism, exchange)
        case .data(let decoder): return advanceData(decoder)
        case .chunk(let chunk): return advanceChunk(chunk)
        case .awaitingTLS:
            guard input.readableBytes > 0 else { return false }
            // What comes in clear after STARTTLS is an injection; nothing of it may survive (RFC 3207 §4.2).
            close(reason: "octets in clear after STARTTLS")
            return true
        case .awaitingVerifier, .awaitingReversePath, .awaitingRecipient, .awaitingVerdict: return false
        case .closed:
            input = ByteBuffer()
            return false
        }
    }

    private mutating func earlyTalker() {
        refuse(.make(554, (5, 5, 0), "Protocol violation: you spoke before the greeting"), SMTPServerCommandRecord("", isInTransaction: false))
        close(reason: "spoke before the greeting")
    }

    private mutating func advanceCommand() -> Bool {
        if commandsSeen == 0, input.readableBytes > 0, input.getInteger(at: input.readerIndex, as: UInt8.self) == 0x16 {
            refuse(.make(554, (5, 5, 1), "TLS is not spoken here from the first octet"), SMTPServerCommandRecord("(TLS handshake)", isInTransaction: false))
            close(reason: "TLS where SMTP was expected")
            return true
        }
        switch readLine(limit: lineLimit) {
        case .needsMore: return false
        case .tooLong:
            state = .discardingLine(discarded: 0, endsInCarriageReturn: false, refusal: .make(500, (5, 5, 2), "The line is too long"))
        case .fault(let reply, let record):
            refuse(reply, record)
            close(reason: "ambiguous line ending")
        case .line(let line):
            commandsSeen += 1
            run(line)
        }
        return true
    }

    private mutating func advanceDiscarding(_ discarded: Int, _ endsInCarriageReturn: Bool, _ refusal: SMTPReply) -> Bool {
        let room = configuration.limits.discardedLineLength - discarded
        let window = min(room, input.readableBytes)
        let end = ByteScan.over(input) { octets in octets.first(UInt8(ascii: "\n"), from: 0, to: window) }
        let record = SMTPServerCommandRecord("(a line that is too long)", isInTransaction: false)
        if let end {
            let endsProperly = end > 0 ? input.getInteger(at: input.readerIndex + end - 1, as: UInt8.self) == UInt8(ascii: "\r") : endsInCarriageReturn
            input.moveReaderIndex(forwardBy: end + 1)
            state = .commands
            refuse(refusal, record)
            // As with any other line: where it ends must be beyond doubt before what follows is taken for a command.
            if !endsProperly, !allowsBareLineFeeds { close(reason: "ambiguous line ending") }
            return true
        }
        guard window < room else {
            refuse(refusal, record)
            close(reason: "line too long")
            return true
        }
        let last = input.getInteger(at: input.readerIndex + window - 1, as: UInt8.self)
        input.moveReaderIndex(forwardBy: window)
        state = .discardingLine(
            discarded: discarded + window, endsInCarriageReturn: window > 0 ? last == UInt8(ascii: "\r") : endsInCarriageReturn, refusal: refusal)
        return false
    }

    // MARK: - What the parts of the session use

    /// Writes a reply.
    mutating func emit(
        _ reply: SMTPReply, _ record: SMTPServerCommandRecord = SMTPServerCommandRecord("", isInTransaction: false), closing reason: String? = nil
    ) {
        if case .closed = state { return }
        pending.append(.reply(reply, to: record))
        // RFC 5321 §3.8: who says 421 closes.
        if reply.code == 421 { close(reason: reason ?? "421 \(reply.lines.first ?? "")") }
    }

    /// Writes a negative reply and counts it; too many end the session.
    mutating func refuse(_ reply: SMTPReply, _ record: SMTPServerCommandRecord) {
        commandsRefused += 1
        emit(reply, record)
        guard reply.isPermanentFailure else { return }
        errors += 1
        if errors >= configuration.limits.errors {
            emit(.make(421, (4, 7, 0), "\(configuration.hostname) Too many errors, closing the connection"))
        }
    }

    /// Asks for something else than a reply.
    mutating func ask(_ action: SMTPServerAction) { pending.append(action) }

    /// Goes back to reading commands, unless the session or the server ends.
    mutating func returnToCommands() {
        if case .closed = state { return }
        state = .commands
        if isShuttingDown { shutdown() }
    }

    /// A message was accepted.
    mutating func countMessage() {
        messagesAccepted += 1
        idleCommands = 0
    }

    /// Ends the transaction without a message.
    mutating func abandonTransaction(reason: String) {
        guard let transaction else { return }
        if transaction.contentBegan, transaction.refusal == nil { pending.append(.contentRefused) }
        pending.append(.transactionAbandoned(envelope: transaction.envelope, trace: transaction.trace, reason: reason))
        self.transaction = nil
    }

    /// Ends the session.
    mutating func close(reason: String) {
        if case .closed = state { return }
        // The service has heard of this transaction already, though its answer isn't there.
        if case .awaitingReversePath(let opened, _) = state { transaction = opened }
        abandonTransaction(reason: reason)
        pending.append(.close(reason: reason))
        state = .closed
        endedWithOctets = input.readableBytes > 0
        input = ByteBuffer()
    }
}
