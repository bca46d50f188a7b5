import NIOCore

extension MilterSession {
    mutating func run(_ command: MilterCommand) throws(MilterError) {
        switch command {
        case .negotiate(let offer): try negotiate(offer)
        case .quit:
            close(reason: "quit")
        case .macros, .connect, .helo, .mail, .recipient, .data, .header, .endOfHeader, .body, .endOfMessage, .abort, .quitNewConnection,
            .unknown:
            guard negotiation != nil else { throw MilterError(.negotiationExpected, command: command.letter, state: state.text) }
            try runNegotiated(command)
        }
    }

    private mutating func negotiate(_ offer: MilterNegotiation) throws(MilterError) {
        guard case .negotiating = state else { throw MilterError(.unexpectedNegotiation, command: UInt8(ascii: "O"), state: state.text) }
        let answer = try offer.answer(for: configuration)
        negotiation = answer
        state = .idle
        respond(.negotiate(answer))
        emit(.negotiated(answer))
    }

    private mutating func runNegotiated(_ command: MilterCommand) throws(MilterError) {
        switch command {
        case .macros(let letter, let values):
            if let stage = MilterStage(command: letter) { macros.set(values, at: stage) }
        case .connect(let connection):
            guard case .idle = state else { throw outOfOrder(command) }
            hasClient = true
            state = .client
            emit(.connected(connection, macros))
            ask(.connect, nil, command)
        case .helo(let name):
            // RFC 5321 §4.1.4: EHLO within a transaction ends it as RSET does.
            guard try endEnvelope(command, reason: "HELO", nextBegan: false) else { return }
            emit(.helo(name, macros))
            ask(.helo, nil, command)
        case .mail(let path):
            guard try endEnvelope(command, reason: "another MAIL", nextBegan: true) else { return }
            state = .envelope(Message())
            emit(.mailFrom(path, macros))
            ask(.mail, Message(), command)
        case .recipient(let path): try recipient(path, command)
        case .data:
            guard case .envelope(let message) = state else { throw outOfOrder(command) }
            guard configuration.decisions.contains(.data) else { return proceed(after: command) }
            emit(.dataCommand(macros))
            ask(.data, message, command)
        case .header, .endOfHeader, .body, .endOfMessage: try content(command)
        case .abort:
            // Where no message is open, there is nothing to end: MTAs send it then too.
            if case .idle = state { return }
            abandonMessage(reason: "aborted")
        case .quitNewConnection:
            abandonMessage(reason: "the client is gone")
            if case .closed = state { return }
            clientGone()
            state = .idle
        case .unknown:
            switch state {
            case .idle, .client, .envelope: proceed(after: command)
            case .negotiating, .header, .body, .awaitingDecision, .awaitingVerdict, .closed: throw outOfOrder(command)
            }
        case .negotiate, .quit: break
        }
    }

    /// HELO and MAIL need a client, and end an envelope.
    /// - Returns: `false` where the session is closed by it, because the filter stops.
    private mutating func endEnvelope(_ command: MilterCommand, reason: String, nextBegan: Bool) throws(MilterError) -> Bool {
        switch state {
        case .client: return true
        case .envelope:
            abandonMessage(reason: reason, nextBegan: nextBegan)
            if case .closed = state { return false }
            return true
        case .negotiating, .idle, .header, .body, .awaitingDecision, .awaitingVerdict, .closed: throw outOfOrder(command)
        }
    }

    private mutating func recipient(_ path: MilterPath, _ command: MilterCommand) throws(MilterError) {
        guard case .envelope(var message) = state else { throw outOfOrder(command) }
        guard message.recipients < configuration.limits.recipients else {
            if negotiation?.awaitsReply(to: command) ?? true { return respond(.tempFail) }
            overrun(.recipients, &message)
            state = .envelope(message)
            return
        }
        message.recipients += 1
        state = .envelope(message)
        emit(.rcptTo(path, macros))
        ask(.recipient, message, command)
    }

    /// Waits for a decision where the filter wants to make one, or goes on.
    private mutating func ask(_ stage: MilterStage, _ message: Message?, _ command: MilterCommand) {
        guard configuration.decisions.contains(stage) else { return proceed(after: command) }
        state = .awaitingDecision(stage, message)
    }

    mutating func overrun(_ overrun: MilterOverrun, _ message: inout Message) {
        guard message.overrun == nil else { return }
        message.overrun = overrun
        emit(.contentRefused(overrun))
    }
}
