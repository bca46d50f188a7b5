import DNS
import MailMessage
import SMTP
import TransportSecurity

/// What is known of one delivery while it goes on.
struct SMTPDeliveryAttempt: Sendable {
    let message: OutboundMessage
    let target: SMTPTarget
    private var outcomes: [DeliveryReport.Outcome?]
    /// The recipients without an outcome, in order.
    private(set) var remaining: [Int]
    var remoteAddress: IPAddress?
    var failures: [String] = []
    private(set) var judgements: [SMTPPeerJudgement] = []
    /// Why the judge kept the message back, where the last session was judged so.
    private var keptBack: SMTPReply?
    var isKeptBack: Bool { keptBack != nil }
    /// Whether the message goes with REQUIRETLS over the session that was judged last.
    private var withRequireTLS: Bool?
    private var isReused = false
    private var tls: TLSSummary?
    private var exchanges: [SMTPExchange] = []

    init(message: OutboundMessage, target: SMTPTarget) {
        self.message = message
        self.target = target
        outcomes = Array(repeating: nil, count: message.envelope.recipients.count)
        remaining = Array(message.envelope.recipients.indices)
    }

    /// The envelope with the recipients that have no outcome yet.
    var remainingEnvelope: Envelope {
        var envelope = message.envelope
        envelope.recipients = remaining.map { message.envelope.recipients[$0] }
        if let withRequireTLS { envelope.requiresTLS = withRequireTLS }
        return envelope
    }

    /// Asks the judge about a session.
    /// - Returns: the reply for the recipients where the message may not go; `nil` where it may.
    mutating func judge(
        _ observation: TLSObservation, at address: IPAddress, from localAddress: IPAddress?, isReused: Bool = false, exchanges: [SMTPClientExchange] = []
    ) -> SMTPReply? {
        guard let judge = message.judge else { return nil }
        let verdict = judge.judge(observation, at: address)
        judgements.append(
            SMTPPeerJudgement(address: address, verdict: verdict, isReused: isReused, localAddress: localAddress, helo: Self.helo(in: exchanges)))
        withRequireTLS = if case .proceed(true) = verdict.outcome { true } else { false }
        keptBack = verdict.outcome.reply(about: target.hostname)
        return keptBack
    }

    /// RFC 5321 §4.1.1.1: the first line of a positive answer begins with the host's name.
    private static func helo(in exchanges: [SMTPClientExchange]) -> String? {
        let answer = exchanges.last { ($0.command.hasPrefix("EHLO ") || $0.command.hasPrefix("HELO ")) && $0.reply.isPositive }
        return answer?.reply.lines.first?.split(separator: " ", maxSplits: 1).first.map { String($0.prefix(255)) }
    }

    mutating func use(_ connection: SMTPClientConnection, isReused: Bool) {
        remoteAddress = connection.address
        tls = connection.opening.tls
        self.isReused = isReused
    }

    /// Keeps the first 200 exchanges, and refusals up to 1000.
    mutating func record(_ new: [SMTPClientExchange]) {
        for exchange in new {
            guard exchanges.count < 200 || (!exchange.reply.isPositive && exchanges.count < 1000) else { continue }
            exchanges.append(
                SMTPExchange(command: exchange.command, reply: exchange.reply, duration: exchange.duration))
        }
    }

    /// Takes the answers of a transaction with ``remainingEnvelope``.
    mutating func take(_ result: SMTPClientResult) {
        var untried: [Int] = []
        for (index, answer) in zip(remaining, result.answers) {
            switch answer {
            case .peer(let reply): settle(index, reply, isLocal: false, peerHandlesDSN: result.peerHandlesDSN)
            case .local(let reply): settle(index, reply, isLocal: true, peerHandlesDSN: false)
            case .notTried: untried.append(index)
            }
        }
        remaining = untried
    }

    /// Gives every recipient without an outcome the same one.
    mutating func answerRest(_ reply: SMTPReply, isLocal: Bool = true) {
        for index in remaining { settle(index, reply, isLocal: isLocal, peerHandlesDSN: false) }
        remaining = []
    }

    private mutating func settle(_ index: Int, _ reply: SMTPReply, isLocal: Bool, peerHandlesDSN: Bool) {
        let result: DeliveryReport.Outcome.Result =
            reply.isPositive ? .delivered : reply.isPermanentFailure ? .failed : .deferred
        outcomes[index] = DeliveryReport.Outcome(
            recipient: message.envelope.recipients[index], result: result, reply: reply, isLocal: isLocal,
            peerHandlesDSN: peerHandlesDSN && result == .delivered)
    }

    func report() -> DeliveryReport {
        DeliveryReport(
            outcomes: outcomes.compactMap { $0 }, remoteAddress: remoteAddress, hostname: target.hostname,
            reusedConnection: isReused, tls: tls, failures: failures, judgements: judgements, isKeptBack: isKeptBack, exchanges: exchanges)
    }
}
