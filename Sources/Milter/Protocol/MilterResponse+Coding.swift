import NIOCore

extension MilterResponse {
    /// Reads a response.
    /// - Throws: ``MilterError`` with the offset in octets behind the packet's length.
    public init(_ packet: MilterPacket, limits: MilterLimits = MilterLimits()) throws(MilterError) {
        var reader = MilterPacketReader(packet)
        let limit = limits.packetLength
        switch packet.command {
        case UInt8(ascii: "O"): self = .negotiate(try MilterNegotiation(&reader, limits: limits))
        case UInt8(ascii: "c"): self = .continue
        case UInt8(ascii: "a"): self = .accept
        case UInt8(ascii: "r"): self = .reject
        case UInt8(ascii: "d"): self = .discard
        case UInt8(ascii: "t"): self = .tempFail
        case UInt8(ascii: "y"): self = .replyCode(try Self.replyText(&reader, limit: limits.textLength))
        case UInt8(ascii: "s"): self = .skip
        case UInt8(ascii: "p"): self = .progress
        case UInt8(ascii: "h"): self = .addHeader(name: try reader.octets(limit: limit), value: try reader.octets(limit: limit))
        case UInt8(ascii: "i"):
            self = .insertHeader(
                index: try reader.number32(), name: try reader.octets(limit: limit), value: try reader.octets(limit: limit))
        case UInt8(ascii: "m"):
            self = .changeHeader(
                index: try reader.number32(), name: try reader.octets(limit: limit), value: try reader.octets(limit: limit))
        case UInt8(ascii: "q"): self = .quarantine(try reader.text(limit: limits.textLength))
        case UInt8(ascii: "+"): self = .addRecipient(try reader.text(limit: limits.textLength))
        case UInt8(ascii: "2"):
            let address = try reader.text(limit: limits.textLength)
            self = .addRecipientWithParameters(address, reader.isAtEnd ? "" : try reader.text(limit: limits.textLength))
        case UInt8(ascii: "-"): self = .deleteRecipient(try reader.text(limit: limits.textLength))
        case UInt8(ascii: "e"):
            let address = try reader.text(limit: limits.textLength)
            self = .changeSender(address, parameters: reader.isAtEnd ? nil : try reader.text(limit: limits.textLength))
        case UInt8(ascii: "b"): self = .replaceBody(reader.remainder())
        case UInt8(ascii: "4"): self = .shutdown
        case UInt8(ascii: "f"): self = .connectionFailed
        default: throw MilterError(.unknownResponse, command: packet.command)
        }
        try reader.end()
    }

    /// MTAs read the reply as a format: two percent signs are one, and a single one is nothing.
    private static func replyText(_ reader: inout MilterPacketReader, limit: Int) throws(MilterError) -> String {
        let text = try reader.text(limit: limit)
        let octets = Array(text.utf8.prefix(4))
        guard octets.count == 4, octets[0] == UInt8(ascii: "4") || octets[0] == UInt8(ascii: "5"),
            octets[1...2].allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            octets[3] == UInt8(ascii: " ") || octets[3] == UInt8(ascii: "-")
        else { throw MilterError(.invalidReply, command: UInt8(ascii: "y"), at: 1) }
        var result: [UInt8] = []
        var isAfterPercent = false
        for octet in text.utf8 {
            if octet == UInt8(ascii: "%"), !isAfterPercent {
                isAfterPercent = true
                continue
            }
            isAfterPercent = false
            result.append(octet)
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// The response as a packet.
    public var packet: MilterPacket {
        var payload = ByteBuffer()
        switch self {
        case .negotiate(let negotiation): negotiation.write(into: &payload)
        case .replyCode(let text): payload.writeTerminated(text.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%"))
        case .addHeader(let name, let value):
            payload.writeTerminated(name)
            payload.writeTerminated(value)
        case .insertHeader(let index, let name, let value), .changeHeader(let index, let name, let value):
            payload.writeInteger(index)
            payload.writeTerminated(name)
            payload.writeTerminated(value)
        case .quarantine(let text), .addRecipient(let text), .deleteRecipient(let text): payload.writeTerminated(text)
        case .addRecipientWithParameters(let address, let parameters):
            payload.writeTerminated(address)
            payload.writeTerminated(parameters)
        case .changeSender(let address, let parameters):
            payload.writeTerminated(address)
            if let parameters { payload.writeTerminated(parameters) }
        case .replaceBody(let octets): payload.writeImmutableBuffer(octets)
        case .continue, .accept, .reject, .discard, .tempFail, .skip, .progress, .shutdown, .connectionFailed: break
        }
        return MilterPacket(command: letter, payload: payload)
    }
}
