import FoundationEssentials
import Journeys
import MailMessage
import MailTransport
import SMTP

/// The journey of a message from the moment when a client connected to the end of the transaction.
struct ReceptionJourney: Sendable {
    private let trace: TraceID
    private let role: Configuration.Role
    private let host: String
    private(set) var events: [JourneyEvent] = []

    init(trace: TraceID, role: Configuration.Role, host: String) {
        self.trace = trace
        self.role = role
        self.host = host
        // As many as most messages have.
        events.reserveCapacity(12)
    }

    mutating func add(_ operation: JourneyEvent.Operation, at time: Date, seconds: Double? = nil) {
        events.append(JourneyEvent(trace: trace, time: time, host: host, role: role.rawValue, seconds: seconds, operation: operation))
    }

    /// How the client came here: the connection, its TLS session, its authentication.
    mutating func add(_ session: SMTPSessionInfo) {
        let client = "\(session.remoteAddress)"
        add(
            .connected(
                .init(
                    listener: session.listener, client: client, clientPort: session.remotePort, server: "\(session.localAddress)",
                    serverPort: session.localPort, proxy: session.proxyAddress.map { "\($0)" })), at: session.connectedAt)
        if let tls = session.tls { add(.secured(.init(tls, peer: client)), at: session.connectedAt) }
        if let user = session.authenticatedUser {
            add(.authenticated(.init(user: user, mechanism: session.authenticationMechanism ?? "AUTH", succeeded: true)), at: session.connectedAt)
        }
    }

    /// What was said in the transaction. Only durations are known of each exchange, so their times are counted from the start.
    mutating func add(_ exchanges: [SMTPExchange], peer: String, from start: Date) {
        var time = start
        for exchange in exchanges {
            add(
                .exchanged(.init(peer: peer, outbound: false, command: exchange.command, reply: exchange.reply)), at: time,
                seconds: exchange.duration.seconds)
            time = time.addingTimeInterval(exchange.duration.seconds)
        }
    }
}

extension JourneyEvent.Secured {
    /// The TLS session with a peer.
    init(_ tls: TLSSummary, peer: String) {
        self.init(
            peer: peer, version: tls.version, cipher: tls.cipher, group: tls.group, verification: tls.verification.rawValue,
            peerSubject: tls.peerSubject, peerRoles: tls.peerRoles.sorted())
    }
}
