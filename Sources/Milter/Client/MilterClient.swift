public import NIOCore

/// The MTA's side of one connection of the milter protocol, without any I/O: writes commands, reads responses, and knows which commands are
/// answered.
///
/// It keeps to what was negotiated and leaves the order of commands to its owner. The first command is ``begin()``.
public struct MilterClient: Sendable {
    private let offer: MilterNegotiation
    private let limits: MilterLimits
    private var decoder: MilterPacketDecoder
    /// What holds since the filter answered the offer; `nil` before.
    public private(set) var negotiation: MilterNegotiation?

    /// All that an MTA of the newest version can do.
    public static let fullOffer = MilterNegotiation(
        version: 6, actions: .known(inVersion: 6), steps: .known(inVersion: 6))

    /// Makes a client that will offer this.
    public init(offer: MilterNegotiation = MilterClient.fullOffer, limits: MilterLimits = MilterLimits()) {
        self.offer = offer
        self.limits = limits
        decoder = MilterPacketDecoder(limit: limits.packetLength)
    }

    /// The offer's octets.
    public func begin() -> ByteBuffer {
        var buffer = ByteBuffer()
        MilterCommand.negotiate(offer).packet.write(into: &buffer)
        return buffer
    }

    /// The octets of a command; `nil` where the filter doesn't want it. A value of a header field is given as it stands in the message: exact
    /// octets behind the colon.
    public func octets(of command: MilterCommand) -> ByteBuffer? {
        guard isWanted(command) else { return nil }
        var buffer = ByteBuffer()
        if case .header(let name, let value) = command {
            let isExact = negotiation?.steps.contains(.leadingSpace) ?? false
            guard let value = MilterHeaderOctets.protocolValue(value, isExact: isExact) else { return nil }
            MilterCommand.header(name: name, value: value).packet.write(into: &buffer)
        } else {
            command.packet.write(into: &buffer)
        }
        return buffer
    }

    /// Whether the filter answers a command.
    public func awaitsReply(to command: MilterCommand) -> Bool {
        isWanted(command) && (negotiation ?? offer).awaitsReply(to: command)
    }

    private func isWanted(_ command: MilterCommand) -> Bool {
        let steps = negotiation?.steps ?? []
        switch command {
        case .connect: return !steps.contains(.noConnect)
        case .helo: return !steps.contains(.noHelo)
        case .mail: return !steps.contains(.noMail)
        case .recipient: return !steps.contains(.noRecipients)
        case .data: return !steps.contains(.noData) && (negotiation?.version ?? 6) >= 4
        case .header: return !steps.contains(.noHeaders)
        case .endOfHeader: return !steps.contains(.noEndOfHeader)
        case .body: return !steps.contains(.noBody)
        case .unknown: return !steps.contains(.noUnknown) && (negotiation?.version ?? 6) >= 3
        case .negotiate, .macros, .endOfMessage, .abort, .quit, .quitNewConnection: return true
        }
    }

    /// Takes octets from the filter.
    public mutating func receive(_ buffer: ByteBuffer) { decoder.receive(buffer) }

    /// The filter's next response; `nil` where octets are missing.
    /// - Throws: ``MilterError``, also for a filter that asks for what wasn't offered.
    public mutating func next() throws(MilterError) -> MilterResponse? {
        guard let packet = try decoder.next() else { return nil }
        let response = try MilterResponse(packet, limits: limits)
        if case .negotiate(let answer) = response {
            guard negotiation == nil else { throw MilterError(.unexpectedNegotiation, command: response.letter) }
            guard answer.version <= offer.version, offer.actions.isSuperset(of: answer.actions), offer.steps.isSuperset(of: answer.steps) else {
                throw MilterError(.negotiationExpected, command: response.letter, state: "the filter asks for what wasn't offered")
            }
            negotiation = answer
        }
        return response
    }
}
