import DNS
import NIOCore

extension MilterCommand {
    /// Reads a command.
    /// - Throws: ``MilterError`` with the offset in octets behind the packet's length.
    public init(_ packet: MilterPacket, limits: MilterLimits = MilterLimits()) throws(MilterError) {
        var reader = MilterPacketReader(packet)
        switch packet.command {
        case UInt8(ascii: "O"): self = .negotiate(try MilterNegotiation(&reader, limits: limits))
        case UInt8(ascii: "D"): self = try Self.macros(&reader, limits: limits)
        case UInt8(ascii: "C"): self = .connect(try MilterConnection(&reader, limits: limits))
        case UInt8(ascii: "H"):
            self = .helo(try reader.text(limit: limits.textLength))
            try reader.end()
        case UInt8(ascii: "M"): self = .mail(try MilterPath(&reader, limits: limits))
        case UInt8(ascii: "R"): self = .recipient(try MilterPath(&reader, limits: limits))
        case UInt8(ascii: "T"):
            self = .data
            try reader.end()
        case UInt8(ascii: "L"): self = try Self.header(&reader, limits: limits)
        case UInt8(ascii: "N"):
            self = .endOfHeader
            try reader.end()
        case UInt8(ascii: "B"): self = .body(packet.payload)
        case UInt8(ascii: "E"): self = .endOfMessage(packet.payload)
        case UInt8(ascii: "A"):
            self = .abort
            try reader.end()
        case UInt8(ascii: "Q"):
            self = .quit
            try reader.end()
        case UInt8(ascii: "K"):
            self = .quitNewConnection
            try reader.end()
        case UInt8(ascii: "U"):
            // Sendmail sends the command as it came; it may have any octets, and needn't end.
            let octets = reader.remainder()
            self = .unknown(String(decoding: octets.readableBytesView.prefix(while: { $0 != 0 }).prefix(limits.textLength), as: UTF8.self))
        default: throw MilterError(.unknownCommand, command: packet.command)
        }
    }

    private static func macros(_ reader: inout MilterPacketReader, limits: MilterLimits) throws(MilterError) -> MilterCommand {
        let letter = try reader.octet()
        let texts = try reader.texts(count: 2 * limits.macros, limit: limits.macroLength)
        guard texts.count.isMultiple(of: 2) else { throw reader.fault(.macroWithoutValue) }
        var values: [String: String] = [:]
        for index in stride(from: 0, to: texts.count, by: 2) { values[texts[index]] = texts[index + 1] }
        return .macros(for: letter, values)
    }

    private static func header(_ reader: inout MilterPacketReader, limits: MilterLimits) throws(MilterError) -> MilterCommand {
        let name = try reader.octets(limit: limits.textLength)
        guard MilterHeaderOctets.isName(name) else { throw MilterError(.invalidHeaderName, command: UInt8(ascii: "L"), at: 1) }
        let start = reader.offset
        let value = try reader.octets(limit: limits.packetLength)
        try reader.end()
        if let place = MilterHeaderOctets.brokenLine(in: value) {
            throw MilterError(.headerLineBreak, command: UInt8(ascii: "L"), at: start + place)
        }
        return .header(name: name, value: value)
    }

    /// The command as a packet.
    public var packet: MilterPacket {
        var payload = ByteBuffer()
        switch self {
        case .negotiate(let negotiation): negotiation.write(into: &payload)
        case .macros(let letter, let values):
            payload.writeInteger(letter)
            // In a fixed order, so that the same macros are the same octets.
            for (name, value) in values.sorted(by: { $0.key < $1.key }) {
                payload.writeTerminated(name)
                payload.writeTerminated(value)
            }
        case .connect(let connection): connection.write(into: &payload)
        case .helo(let name), .unknown(let name): payload.writeTerminated(name)
        case .mail(let path), .recipient(let path):
            payload.writeTerminated(path.text)
            for parameter in path.parameters { payload.writeTerminated(parameter) }
        case .header(let name, let value):
            payload.writeTerminated(name)
            payload.writeTerminated(value)
        case .body(let octets), .endOfMessage(let octets): payload.writeImmutableBuffer(octets)
        case .data, .endOfHeader, .abort, .quit, .quitNewConnection: break
        }
        return MilterPacket(command: letter, payload: payload)
    }
}

extension MilterNegotiation {
    init(_ reader: inout MilterPacketReader, limits: MilterLimits) throws(MilterError) {
        self.init(
            version: try reader.number32(), actions: MilterActionFlags(rawValue: try reader.number32()),
            steps: MilterStepFlags(rawValue: try reader.number32()))
        while !reader.isAtEnd {
            guard macroRequests.count < MilterStage.allCases.count else { throw reader.fault(.tooMany) }
            let number = try reader.number32()
            let names = try reader.text(limit: limits.textLength)
            guard let stage = MilterStage(rawValue: number) else { continue }
            macroRequests[stage] = names.split(separator: " ").map(String.init)
        }
    }

    func write(into payload: inout ByteBuffer) {
        payload.writeMultipleIntegers(version, actions.rawValue, steps.rawValue)
        for (stage, names) in macroRequests.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            payload.writeInteger(stage.rawValue)
            payload.writeTerminated(names.joined(separator: " "))
        }
    }
}

extension MilterConnection {
    init(_ reader: inout MilterPacketReader, limits: MilterLimits) throws(MilterError) {
        hostName = try reader.text(limit: limits.textLength)
        let family = try reader.octet()
        switch family {
        case UInt8(ascii: "4"), UInt8(ascii: "6"):
            let port = try reader.number16()
            let offset = reader.offset
            var text = try reader.text(limit: limits.textLength)
            // Sendmail tags IPv6 addresses as SMTP does (RFC 5321 §4.1.3), Postfix doesn't.
            if text.lowercased().hasPrefix("ipv6:") { text = String(text.dropFirst(5)) }
            // The zone of a link-local address (RFC 4007 §11) says something to the MTA's host only.
            if let zone = text.firstIndex(of: "%") { text = String(text[..<zone]) }
            guard let address = IPAddress(text) else { throw MilterError(.invalidAddress, command: UInt8(ascii: "C"), at: offset) }
            peer = .internet(address.unmapped, port: port)
        case UInt8(ascii: "L"):
            _ = try reader.number16()
            peer = .local(path: try reader.text(limit: limits.textLength))
        case UInt8(ascii: "U"):
            // Some MTAs send a port and an address all the same.
            _ = reader.remainder()
            peer = .unknown
        default: throw reader.fault(.unknownFamily)
        }
        try reader.end()
    }

    func write(into payload: inout ByteBuffer) {
        payload.writeTerminated(hostName)
        switch peer {
        case .internet(let address, let port):
            switch address {
            case .v4: payload.writeInteger(UInt8(ascii: "4"))
            case .v6: payload.writeInteger(UInt8(ascii: "6"))
            }
            payload.writeInteger(port)
            payload.writeTerminated(address.description)
        case .local(let path):
            payload.writeInteger(UInt8(ascii: "L"))
            payload.writeInteger(UInt16(0))
            payload.writeTerminated(path)
        case .unknown: payload.writeInteger(UInt8(ascii: "U"))
        }
    }
}

extension MilterPath {
    init(_ reader: inout MilterPacketReader, limits: MilterLimits) throws(MilterError) {
        guard !reader.isAtEnd else { throw reader.fault(.truncatedPacket) }
        let texts = try reader.texts(count: limits.parameters + 1, limit: limits.textLength)
        self.init(texts.first ?? "", parameters: Array(texts.dropFirst()))
    }
}
