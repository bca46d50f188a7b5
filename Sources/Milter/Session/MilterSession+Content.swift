import NIOCore

extension MilterSession {
    mutating func content(_ command: MilterCommand) throws(MilterError) {
        switch command {
        case .header(let name, let value):
            var message = try openHeader(command)
            headerField(name, value, &message)
            state = .header(message)
            proceed(after: command)
        case .endOfHeader:
            var message = try openHeader(command)
            collect(ByteBuffer(bytes: [0x0D, 0x0A]), &message)
            state = .body(message)
            proceed(after: command)
        case .body(let octets):
            guard case .body(var message) = state else { throw outOfOrder(command) }
            if octets.readableBytes > 0 { collect(octets, &message) }
            state = .body(message)
            let isUnwanted = message.isSkipping || message.overrun != nil
            if isUnwanted, negotiation?.steps.contains(.skip) ?? false, negotiation?.awaitsReply(to: command) ?? true {
                respond(.skip)
            } else {
                proceed(after: command)
            }
        case .endOfMessage(let octets): try endOfMessage(octets, command)
        case .negotiate, .macros, .connect, .helo, .mail, .recipient, .data, .abort, .quit, .quitNewConnection, .unknown:
            throw outOfOrder(command)
        }
    }

    /// The message whose header comes; begins it where it hasn't begun.
    private mutating func openHeader(_ command: MilterCommand) throws(MilterError) -> Message {
        switch state {
        case .header(let message): return message
        case .envelope(let message):
            if message.overrun == nil { emit(.messageBegan) }
            return message
        case .negotiating, .idle, .client, .body, .awaitingDecision, .awaitingVerdict, .closed: throw outOfOrder(command)
        }
    }

    private mutating func headerField(_ name: ByteBuffer, _ value: ByteBuffer, _ message: inout Message) {
        guard message.overrun == nil else { return }
        message.headerFields += 1
        guard message.headerFields <= configuration.limits.headerFields else { return overrun(.headerFields, &message) }
        var octets = ByteBuffer()
        MilterHeaderOctets.write(name: name, value: value, isExact: negotiation?.steps.contains(.leadingSpace) ?? false, into: &octets)
        message.headerOctets += octets.readableBytes
        guard message.headerOctets <= configuration.limits.headerLength else { return overrun(.headerLength, &message) }
        guard count(octets, &message) else { return }
        emit(.header(octets))
    }

    private mutating func collect(_ octets: ByteBuffer, _ message: inout Message) {
        guard !message.isSkipping, count(octets, &message) else { return }
        emit(.content(octets))
    }

    /// Whether the octets are within what a message may have.
    private mutating func count(_ octets: ByteBuffer, _ message: inout Message) -> Bool {
        guard message.overrun == nil else { return false }
        guard message.octets + octets.readableBytes <= configuration.limits.messageLength else {
            overrun(.messageLength, &message)
            return false
        }
        message.octets += octets.readableBytes
        return true
    }

    private mutating func endOfMessage(_ octets: ByteBuffer, _ command: MilterCommand) throws(MilterError) {
        var message: Message
        switch state {
        case .body(let open): message = open
        case .envelope, .header:
            // An MTA that shows no end of the header shows no body either.
            guard octets.readableBytes == 0 else { throw outOfOrder(command) }
            message = try openHeader(command)
        case .negotiating, .idle, .client, .awaitingDecision, .awaitingVerdict, .closed: throw outOfOrder(command)
        }
        if octets.readableBytes > 0 { collect(octets, &message) }
        state = .awaitingVerdict
        guard let overrun = message.overrun else { return emit(.requestVerdict(macros, octets: message.octets)) }
        let decision = overrun == .storage ? .tempFail : configuration.oversizeDecision
        conclude(MilterVerdict(decision), ending: .messageAbandoned(reason: "over the limit: \(overrun.rawValue)"))
    }

    /// The rest of the body isn't wanted: no more of it is handed out, and an MTA that can is told so.
    public mutating func skipBody() {
        switch state {
        case .header(var message):
            message.isSkipping = true
            state = .header(message)
        case .body(var message):
            message.isSkipping = true
            state = .body(message)
        case .negotiating, .idle, .client, .envelope, .awaitingDecision, .awaitingVerdict, .closed: break
        }
    }

    /// The filter can't keep the message: what follows of it isn't handed out, and at its end it is refused for now.
    public mutating func contentFailed() {
        switch state {
        case .header(var message):
            message.overrun = message.overrun ?? .storage
            state = .header(message)
        case .body(var message):
            message.overrun = message.overrun ?? .storage
            state = .body(message)
        case .negotiating, .idle, .client, .envelope, .awaitingDecision, .awaitingVerdict, .closed: break
        }
    }
}
