public import NIOCore
public import SASL

/// The protocol of one connection, without its I/O: octets go in, actions come out (RFC 9051 §3).
///
/// ```
///   greet ──▸ not authenticated ──LOGIN, AUTHENTICATE──▸ authenticated ◂──CLOSE, UNSELECT──┐
///                 │    ▴                                     └──SELECT, EXAMINE──▸ selected┘
///              STARTTLS┘                                 every state ──LOGOUT, a fault──▸ closed
/// ```
/// What needs a store is handed out as ``Action/perform(tag:_:)`` and comes back by ``complete(_:)``; meanwhile nothing is parsed, so that
/// commands are answered in their order and a client that sends many costs no more than one that sends one.
public struct IMAPSession: Sendable {
    /// How the listener is protected.
    public enum Security: Hashable, Sendable {
        /// TLS begins with the connection (RFC 8314 §3.2).
        case implicit
        /// TLS begins with STARTTLS; nobody logs in before (RFC 9051 §6.2.1).
        case startTLS
    }

    /// How IMAP is spoken.
    public struct Configuration: Hashable, Sendable {
        /// The host's own name.
        public var hostname: String
        public var security: Security
        public var limits = IMAPLimits()
        /// Failed logins of a connection.
        public var authenticationFailures = 3
        /// Senseless commands in a row, and before the login altogether.
        public var errors = 20

        /// Takes the defaults.
        public init(hostname: String, security: Security) {
            self.hostname = hostname
            self.security = security
        }
    }

    /// What is to be done.
    public enum Action: Sendable {
        case write(ByteBuffer)
        /// Write the reply, forget everything that was received, begin TLS, and call ``tlsEstablished(channelBinding:)``.
        case startTLS(reply: ByteBuffer)
        /// Look for the user and call ``provide(verifier:)`` or ``verifierUnavailable()``. With a plain password the former is costly.
        case findVerifier(username: String, isPlain: Bool)
        /// An attempt to log in ended. Its answer follows.
        case authenticationEnded(username: String, mechanism: String, succeeded: Bool)
        /// Do it and call ``complete(_:)``.
        case perform(tag: String, IMAPCommand)
        /// Call ``acceptAppend()``, or ``complete(_:)`` to refuse.
        case beginAppend(AppendRequest)
        case appendOctets(ByteBuffer)
        /// The message is complete: call ``complete(_:)``.
        case endAppend
        /// What came of the message is worth nothing.
        case abandonAppend
        /// Tell changes until ``idleEnded``.
        case idle
        /// Tell the last changes and call ``complete(_:)``.
        case idleEnded
        /// Close after everything was written.
        case close(reason: String)
    }

    private enum State: Sendable {
        case unopened
        case commands
        case startingTLS
        case authenticating(tag: String, mechanism: String, server: SASLServer)
        /// The mechanism has succeeded; the client's empty answer to its last word is missing (RFC 4422 §3.6).
        case confirming(tag: String, mechanism: String, username: String)
        case awaitingVerifier(tag: String, mechanism: String, server: SASLServer)
        case performing(tag: String)
        case decidingAppend(AppendRequest)
        case appending(tag: String)
        case idle(tag: String)
        case closed
    }

    /// How it is spoken.
    public let configuration: Configuration
    private let secret: [UInt8]
    private let makeNonce: @Sendable () -> String

    private var decoder: IMAPCommandDecoder
    private var state = State.unopened
    private var actions: [Action] = []
    private var errors = 0
    private var authenticationFailures = 0
    private var channelBinding: [UInt8]?
    /// Who tries to log in, as far as it is known.
    private var attemptedUsername = ""

    /// TLS protects the connection.
    public private(set) var isSecured = false
    /// Who logged in, as they wrote it.
    public private(set) var username: String?
    /// A mailbox is selected.
    public private(set) var isSelected = false
    /// The client has enabled IMAP4rev2 (RFC 9051 §6.3.1).
    public private(set) var isRev2 = false

    /// - Parameters:
    ///   - authenticationSecret: made-up answers for unknown users come from it (see `SASLServer`).
    ///   - makeNonce: gives printable ASCII without a comma, from a source of randomness.
    public init(configuration: Configuration, authenticationSecret: [UInt8], makeNonce: @escaping @Sendable () -> String) {
        self.configuration = configuration
        secret = authenticationSecret
        self.makeNonce = makeNonce
        decoder = IMAPCommandDecoder(limits: configuration.limits)
    }

    /// Where the connection stands (RFC 9051 §3).
    public var sessionState: SessionState { username == nil ? .notAuthenticated : isSelected ? .selected : .authenticated }

    /// A message is on its way.
    public var isAppending: Bool { if case .appending = state { true } else { false } }

    /// The client waits for news.
    public var isIdle: Bool { if case .idle = state { true } else { false } }

    /// The memory that is held for what was received and not used yet.
    var octetsHeld: Int { decoder.octetsHeld }

    // MARK: - What comes in

    /// Says the greeting (RFC 9051 §7.1). On a listener with implicit TLS after ``tlsEstablished(channelBinding:)``.
    public mutating func greet() {
        guard case .unopened = state else { return }
        state = .commands
        write("* OK [CAPABILITY \(capabilities.joined(separator: " "))] \(configuration.hostname) Postern is ready")
    }

    /// Takes octets of the client.
    public mutating func receive(_ octets: ByteBuffer) { decoder.append(octets) }

    /// TLS protects everything from here on.
    public mutating func tlsEstablished(channelBinding: [UInt8]?) {
        isSecured = true
        self.channelBinding = channelBinding
        guard case .startingTLS = state else { return }
        // RFC 9051 §6.2.1: nothing that was said before counts.
        decoder = IMAPCommandDecoder(limits: configuration.limits)
        state = .commands
    }

    /// The command that was handed out has ended.
    public mutating func complete(_ completion: IMAPCompletion) {
        let tag: String
        switch state {
        case .performing(let performed), .idle(let performed): tag = performed
        case .decidingAppend(let request):
            decoder.refuseAppend()
            tag = request.tag
        case .unopened, .commands, .startingTLS, .authenticating, .confirming, .awaitingVerifier, .appending, .closed: return
        }
        state = .commands
        switch completion.effect {
        case .none: break
        case .selected: isSelected = true
        case .unselected: isSelected = false
        case .ended: return bye(completion.text)
        }
        if completion.status == .bad { return refuse(tag, completion) }
        errors = 0
        write(completion.line(tag: tag))
    }

    /// The message that was announced is wanted.
    public mutating func acceptAppend() {
        guard case .decidingAppend(let request) = state else { return }
        decoder.acceptAppend()
        state = .appending(tag: request.tag)
        if request.isSynchronising { write("+ Send the message") }
    }

    /// The client said nothing for too long (RFC 9051 §5.4).
    public mutating func timedOut() { bye("Too long without a command") }

    /// The server stops.
    public mutating func shutDown() { bye("The server is shutting down") }

    // MARK: - What goes out

    /// What to do next; `nil` when octets or an answer are needed.
    public mutating func next() -> Action? {
        while true {
            if !actions.isEmpty {
                let action = actions.removeFirst()
                // A session that waits keeps no room for them.
                if actions.isEmpty { actions = [] }
                return action
            }
            switch state {
            case .unopened, .startingTLS, .awaitingVerifier, .performing, .decidingAppend, .closed: return nil
            case .commands, .appending:
                guard let event = decoder.next() else { return nil }
                take(event)
            case .authenticating, .confirming:
                guard let line = decoder.nextLine() else { return nil }
                advanceAuthentication(line)
            case .idle:
                advanceIdle()
                if isIdle { return nil }
            }
        }
    }

    /// Looks whether the client has said the line that ends IDLE (RFC 9051 §6.3.13).
    public mutating func advanceIdle() {
        guard case .idle(let tag) = state, let line = decoder.nextLine() else { return }
        state = .performing(tag: tag)
        if String(decoding: line, as: UTF8.self).uppercased() == "DONE" {
            actions.append(.idleEnded)
        } else {
            complete(.bad("DONE expected"))
        }
    }

    private mutating func write(_ line: String) {
        actions.append(.write(ByteBuffer(string: line + "\r\n")))
    }

    private mutating func respond(_ response: IMAPResponse) {
        var buffer = ByteBuffer()
        response.write(into: &buffer, isRev2: isRev2)
        actions.append(.write(buffer))
    }

    private mutating func bye(_ text: String, code: String? = nil) {
        if case .closed = state { return }
        if case .appending = state { actions.append(.abandonAppend) }
        respond(.bye(code: code, text))
        actions.append(.close(reason: text))
        state = .closed
    }

    private mutating func refuse(_ tag: String, _ completion: IMAPCompletion) {
        write(completion.line(tag: tag))
        errors += 1
        if errors >= configuration.errors { bye("Too many errors") }
    }

    // MARK: - Commands

    private mutating func take(_ event: IMAPCommandDecoder.Event) {
        switch event {
        case .command(let tag, let command): run(tag, command)
        case .bad(let tag, let error):
            if isAppending { actions.append(.abandonAppend) }
            state = .commands
            guard error.code != .badCharset else {
                return refuse(tag, .no("\(error)", code: "BADCHARSET (UTF-8 US-ASCII)"))
            }
            refuse(tag, .bad("\(error)"))
        case .continuationWanted: write("+ Send the literal")
        case .append(let request):
            guard username != nil else {
                decoder.refuseAppend()
                return refuse(request.tag, .bad("Log in first"))
            }
            state = .decidingAppend(request)
            actions.append(.beginAppend(request))
        case .appendOctets(let octets): actions.append(.appendOctets(octets))
        case .appendEnded:
            guard case .appending(let tag) = state else { return }
            state = .performing(tag: tag)
            actions.append(.endAppend)
        case .fatal(let error): bye("\(error)")
        }
    }

    private mutating func run(_ tag: String, _ command: IMAPCommand) {
        guard command.states.contains(sessionState) else {
            return refuse(tag, .bad(username == nil ? "Log in first" : "This command cannot be given in this state (RFC 9051 section 3)"))
        }
        switch command {
        case .capability:
            respond(.capability(capabilities))
            finish(tag, "Capabilities told")
        case .id:
            respond(.identity(name: "Postern"))
            finish(tag, "Identity told")
        case .namespace:
            respond(.namespace)
            finish(tag, "Namespaces told")
        case .logout:
            respond(.bye("Until next time"))
            write("\(tag) OK Logged out")
            actions.append(.close(reason: "logged out"))
            state = .closed
        case .startTLS: startTLS(tag)
        case .login(let user, let password): login(tag, user, password)
        case .authenticate(let mechanism, let response): authenticate(tag, mechanism, response)
        case .enable(let names): enable(tag, names)
        case .idle:
            write("+ Idling")
            state = .idle(tag: tag)
            actions.append(.idle)
        case .noop where username == nil: finish(tag, "Nothing done")
        case .noop, .check, .close, .unselect, .expunge, .select, .examine, .create, .delete, .rename, .subscribe, .unsubscribe, .list, .lsub,
            .status, .search, .fetch, .store, .copy, .move, .uidExpunge:
            state = .performing(tag: tag)
            actions.append(.perform(tag: tag, command))
        }
    }

    private mutating func finish(_ tag: String, _ text: String) {
        if username != nil { errors = 0 }
        write("\(tag) OK \(text)")
    }

    private mutating func startTLS(_ tag: String) {
        guard !isSecured else { return refuse(tag, .bad("TLS is on already")) }
        // What follows STARTTLS in clear may come from somebody between (RFC 9051 §11.1): such a connection is not worth going on with.
        guard decoder.pendingOctets == 0 else {
            write("\(tag) BAD Nothing may follow STARTTLS before TLS has begun")
            return bye("Commands before TLS")
        }
        state = .startingTLS
        actions.append(.startTLS(reply: ByteBuffer(string: "\(tag) OK Begin TLS\r\n")))
    }

    /// RFC 9051 §6.3.1: unknown names are passed over.
    private mutating func enable(_ tag: String, _ names: [String]) {
        if names.contains("IMAP4REV2") {
            isRev2 = true
            decoder.usesUTF8 = true
            respond(.enabled(["IMAP4rev2"]))
        } else {
            respond(.enabled([]))
        }
        finish(tag, "Enabled")
    }

    /// What the server can do in this state (RFC 9051 §7.2.2).
    public var capabilities: [String] {
        let always = ["IMAP4rev2", "IMAP4rev1", "LITERAL-", "SASL-IR", "ID", "ENABLE"]
        guard username == nil else {
            return always + [
                "NAMESPACE", "CHILDREN", "LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE", "CREATE-SPECIAL-USE", "STATUS=SIZE", "ESEARCH",
                "SEARCHRES", "UIDPLUS", "MOVE", "UNSELECT", "IDLE", "BINARY",
            ]
        }
        // RFC 9051 §6.2.3: no password in clear where somebody may listen.
        return always + (isSecured ? mechanisms.map { "AUTH=\($0.rawValue)" } : ["STARTTLS", "LOGINDISABLED"])
    }

    // MARK: - Logging in

    private var mechanisms: [SASLMechanism] {
        guard isSecured else { return [] }
        return (channelBinding == nil ? [] : [.scramSHA256Plus]) + [.scramSHA256, .plain]
    }

    private mutating func requireTLS(_ tag: String) -> Bool {
        guard !isSecured else { return true }
        refuse(tag, .no("Say STARTTLS first: passwords are taken under TLS only", code: "PRIVACYREQUIRED"))
        return false
    }

    /// LOGIN (RFC 9051 §6.2.3) is PLAIN in other words.
    private mutating func login(_ tag: String, _ user: String, _ password: String) {
        guard requireTLS(tag) else { return }
        attemptedUsername = ""
        var server = makeServer(.plain)
        let step = server.receive([0] + Array(user.utf8) + [0] + Array(password.utf8))
        follow(tag, "LOGIN", server, step)
    }

    /// AUTHENTICATE (RFC 9051 §6.2.2).
    private mutating func authenticate(_ tag: String, _ name: String, _ response: [UInt8]?) {
        guard requireTLS(tag) else { return }
        guard let mechanism = SASLMechanism(rawValue: name), mechanisms.contains(mechanism) else {
            return refuse(tag, .no("This mechanism is not offered", code: "CANNOT"))
        }
        attemptedUsername = ""
        var server = makeServer(mechanism)
        let step = if let response { server.receive(response) } else { server.start() }
        follow(tag, name, server, step)
    }

    private func makeServer(_ mechanism: SASLMechanism) -> SASLServer {
        SASLServer(
            mechanism: mechanism, channelBinding: channelBinding.map { .tlsServerEndPoint($0) }, offersPlus: channelBinding != nil,
            nonce: makeNonce(), secret: secret)
    }

    private mutating func advanceAuthentication(_ line: [UInt8]) {
        let (tag, mechanism, name): (String, String, String)
        switch state {
        case .authenticating(let currentTag, let current, _): (tag, mechanism, name) = (currentTag, current, "")
        case .confirming(let currentTag, let current, let username): (tag, mechanism, name) = (currentTag, current, username)
        case .unopened, .commands, .startingTLS, .awaitingVerifier, .performing, .decidingAppend, .appending, .idle, .closed: return
        }
        guard line != [UInt8(ascii: "*")] else {
            state = .commands
            return refuse(tag, .bad("Authentication cancelled"))
        }
        guard let response = Base64.decode(String(decoding: line, as: UTF8.self)) else {
            state = .commands
            return refuse(tag, .bad("Base64 expected"))
        }
        if case .authenticating(_, _, var server) = state {
            let step = server.receive(response)
            follow(tag, mechanism, server, step)
        } else if response.isEmpty {
            succeed(tag, mechanism, name)
        } else {
            fail(tag, mechanism, name)
        }
    }

    /// The user was looked for; `nil` for an unknown one. For a plain password this takes the time of all the verifier's rounds.
    public mutating func provide(verifier: SCRAMVerifier?) {
        guard case .awaitingVerifier(let tag, let mechanism, var server) = state else { return }
        let step = server.provide(verifier: verifier)
        follow(tag, mechanism, server, step)
    }

    /// Nobody can tell now whether the user is who it says.
    public mutating func verifierUnavailable() {
        guard case .awaitingVerifier(let tag, _, _) = state else { return }
        state = .commands
        write(IMAPCompletion.no("Nobody can be authenticated now, try again later", code: "UNAVAILABLE").line(tag: tag))
    }

    private mutating func follow(_ tag: String, _ mechanism: String, _ server: SASLServer, _ step: SASLServer.Step) {
        switch step {
        case .challenge(let octets):
            write("+ \(Base64.encode(octets))")
            state = .authenticating(tag: tag, mechanism: mechanism, server: server)
        case .needsVerifier(let username):
            attemptedUsername = username
            state = .awaitingVerifier(tag: tag, mechanism: mechanism, server: server)
            actions.append(.findVerifier(username: username, isPlain: !mechanism.hasPrefix("SCRAM")))
        case .succeeded(let username, let finalMessage):
            guard let finalMessage else { return succeed(tag, mechanism, username) }
            write("+ \(Base64.encode(finalMessage))")
            state = .confirming(tag: tag, mechanism: mechanism, username: username)
        case .failed: fail(tag, mechanism, attemptedUsername)
        }
    }

    private mutating func succeed(_ tag: String, _ mechanism: String, _ username: String) {
        state = .commands
        errors = 0
        self.username = username
        actions.append(.authenticationEnded(username: username, mechanism: mechanism, succeeded: true))
        write("\(tag) OK [CAPABILITY \(capabilities.joined(separator: " "))] Logged in")
    }

    private mutating func fail(_ tag: String, _ mechanism: String, _ username: String) {
        state = .commands
        authenticationFailures += 1
        actions.append(.authenticationEnded(username: username, mechanism: mechanism, succeeded: false))
        // RFC 5530 §3: nobody is told whether it was the name or the password.
        write(IMAPCompletion.no("Wrong name or password", code: "AUTHENTICATIONFAILED").line(tag: tag))
        if authenticationFailures >= configuration.authenticationFailures { bye("Too many failed logins") }
    }
}
