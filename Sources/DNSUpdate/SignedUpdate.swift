import DNS
public import FoundationEssentials

/// An update as it is sent, and what is needed to recognise its answer.
public struct SignedUpdate: Sendable {
    /// By which transport it goes.
    public enum Transport: String, Hashable, Sendable {
        /// In one datagram over UDP.
        case datagram
        /// Over TCP, with its length before it (RFC 1035 §4.2.2).
        case stream
    }

    /// The message, signed where there is a key.
    public let octets: [UInt8]
    /// How it goes: what doesn't fit a datagram takes TCP (RFC 2136 §2.1). A server that answers with TC set is asked again over TCP.
    public let transport: Transport
    let identifier: UInt16
    let zone: DomainName
    let key: TransactionKey?
    /// The request's code; the answer's covers it (RFC 8945 §5.3.1).
    let code: [UInt8]
    let limits: DNSUpdateLimits

    /// How far two clocks may be apart, as the standard recommends (RFC 8945 §10).
    public static let fudgeSeconds: UInt16 = 300

    /// Writes a request, and signs it where there is a key.
    /// - Parameters:
    ///   - identifier: A number that nobody can guess.
    ///   - time: Now; it is part of the signature.
    public init(
        _ message: UpdateMessage, identifier: UInt16, key: TransactionKey?, at time: Date, limits: DNSUpdateLimits = DNSUpdateLimits()
    ) throws(DNSUpdateError) {
        var octets = try message.octets(identifier: identifier, limits: limits)
        var code: [UInt8] = []
        if let key {
            let variables = TransactionSignature(
                keyLabels: key.name.wireLabels, algorithmLabels: key.algorithm.labels, time: Self.seconds(time), fudge: Self.fudgeSeconds, code: [],
                originalIdentifier: identifier, error: .noError, other: [])
            code = key.code(for: octets + variables.signedOctets)
            var writer = MessageWriter()
            try writer.appendRecord(
                name: key.name, type: TransactionSignature.type, recordClass: RecordClass.any, timeToLive: 0, data: variables.data(code: code))
            octets += writer.octets
            // One record in the additional section, which was empty.
            octets[11] = 1
            guard octets.count <= limits.messageSizeLimit else {
                throw DNSUpdateError(.limitExceeded, "a signed update of \(octets.count) octets fits no message (RFC 1035 §4.2.2)")
            }
        }
        self.octets = octets
        self.code = code
        self.identifier = identifier
        self.key = key
        self.limits = limits
        zone = message.zone
        transport = octets.count <= limits.datagramSizeLimit ? .datagram : .stream
    }

    /// The message with its length before it, for TCP.
    public var streamOctets: [UInt8] { [UInt8(octets.count >> 8), UInt8(truncatingIfNeeded: octets.count)] + octets }

    /// Takes a whole message off what came over TCP; `nil` while more is needed.
    public static func takeStreamMessage(_ received: inout ArraySlice<UInt8>) -> [UInt8]? {
        guard received.count >= 2 else { return nil }
        let length = Int(received[received.startIndex]) << 8 | Int(received[received.startIndex + 1])
        guard received.count >= 2 + length else { return nil }
        defer { received = received.dropFirst(2 + length) }
        return Array(received.dropFirst(2).prefix(length))
    }

    /// Seconds since 1970 as the protocol writes them: 48 bits.
    static func seconds(_ time: Date) -> UInt64 {
        let seconds = time.timeIntervalSince1970
        return seconds.isFinite ? UInt64(min(max(seconds, 0), 281_474_976_710_655)) : 0
    }
}
