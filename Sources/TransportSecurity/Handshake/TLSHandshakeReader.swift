public import NIOCore

/// What a server chose in a TLS handshake, as both sides see it in the clear.
public struct TLSChoice: Hashable, Sendable {
    /// The number of the cipher suite.
    public var cipherSuite: UInt16
    /// The number of the key exchange's group; `nil` where none was named: RSA key transport, or a session that is resumed without a new exchange.
    public var group: UInt16?

    /// Makes a choice.
    public init(cipherSuite: UInt16, group: UInt16? = nil) {
        self.cipherSuite = cipherSuite
        self.group = group
    }

    /// The cipher suite's name in IANA's registry, or its number.
    public var cipherSuiteName: String { Self.cipherSuites[cipherSuite] ?? Self.number(cipherSuite) }

    /// The group's name in IANA's registry, or its number.
    public var groupName: String? { group.map { Self.groups[$0] ?? Self.number($0) } }

    private static func number(_ value: UInt16) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return "0x" + String(repeating: "0", count: 4 - digits.count) + digits
    }

    private static let cipherSuites: [UInt16: String] = [
        0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384", 0x1303: "TLS_CHACHA20_POLY1305_SHA256",
        0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xC02C: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xC030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        0xCCA8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xCCA9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        0xC009: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xC00A: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        0xC013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xC014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
        0xC023: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", 0xC027: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
        0x009C: "TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009D: "TLS_RSA_WITH_AES_256_GCM_SHA384",
        0x002F: "TLS_RSA_WITH_AES_128_CBC_SHA", 0x0035: "TLS_RSA_WITH_AES_256_CBC_SHA",
    ]

    private static let groups: [UInt16: String] = [
        0x0017: "secp256r1", 0x0018: "secp384r1", 0x0019: "secp521r1", 0x001D: "x25519", 0x001E: "x448", 0x11EC: "X25519MLKEM768",
    ]
}

/// Reads from the first messages of one side, while they pass, what is in the clear: the name that a client asks for, or what a server chose
/// (RFC 8446 §4.1 and §5.1, RFC 5246 §7.3, RFC 6066 §3, RFC 8422 §5.4).
///
/// It keeps a ClientHello, or a ServerHello and four octets of a ServerKeyExchange; whatever else there is, certificates too, is passed over. What
/// can't be read ends the reading without a result: it is the TLS library that judges the handshake.
public struct TLSHandshakeReader: Sendable {
    /// Whose messages are read.
    public enum Side: Hashable, Sendable { case client, server }

    /// A hello isn't longer: the largest share of a key that is in use has 1,665 octets.
    static let longestMessage = 16_384
    /// More octets than this are not looked at.
    static let longestFlight = 262_144

    private var recordHeader: [UInt8] = []
    private var recordRemaining = 0
    private var messageHeader: [UInt8] = []
    private var message: [UInt8] = []
    /// How many octets of the current message are kept yet, and passed over yet.
    private var kept = 0
    private var skipped = 0
    private var total = 0
    private let side: Side

    /// What the server chose; `nil` as long as it isn't known, and where it can't be read.
    public private(set) var choice: TLSChoice?
    /// The name that the client asks for; `nil` as long as it isn't known, and where there is none.
    public private(set) var serverName: String?
    /// Whether nothing more is to be read.
    public private(set) var isFinished = false

    /// Makes a reader for the beginning of what a side sends under TLS.
    public init(_ side: Side) { self.side = side }

    /// Takes the next octets that the side sent.
    public mutating func read(_ octets: ByteBufferView) {
        guard !isFinished else { return }
        var rest = octets.prefix(Self.longestFlight - total)
        total += rest.count
        while let octet = rest.first, !isFinished {
            if recordRemaining == 0 {
                rest = rest.dropFirst()
                recordHeader.append(octet)
                if recordHeader.count == 5 { beginRecord() }
            } else {
                let fragment = rest.prefix(recordRemaining)
                recordRemaining -= fragment.count
                rest = rest.dropFirst(fragment.count)
                // A record of ChangeCipherSpec in TLS 1.3 (RFC 8446 §D.4) means nothing.
                if recordHeader.first == ContentType.handshake { readFragment(fragment) }
                if recordRemaining == 0 { recordHeader.removeAll(keepingCapacity: true) }
            }
        }
        if total == Self.longestFlight { finish() }
    }

    private enum ContentType {
        static let changeCipherSpec: UInt8 = 20
        static let handshake: UInt8 = 22
    }

    private enum MessageType {
        static let clientHello: UInt8 = 1
        static let serverHello: UInt8 = 2
        static let serverKeyExchange: UInt8 = 12
        static let serverHelloDone: UInt8 = 14
    }

    private mutating func finish() {
        isFinished = true
        recordHeader = []
        messageHeader = []
        message = []
    }

    private mutating func beginRecord() {
        recordRemaining = Int(recordHeader[3]) << 8 | Int(recordHeader[4])
        switch recordHeader[0] {
        case ContentType.handshake:
            // RFC 8446 §5.1: fragments of handshakes aren't empty.
            if recordHeader[1] != 3 || recordRemaining == 0 { finish() }
        case ContentType.changeCipherSpec:
            // Before TLS 1.3 everything after it is encrypted: a session that is resumed.
            if choice != nil || recordRemaining != 1 { finish() }
        default: finish()
        }
    }

    private mutating func readFragment(_ fragment: ByteBufferView) {
        var rest = fragment
        while !rest.isEmpty, !isFinished {
            if messageHeader.count < 4 {
                guard let octet = rest.popFirst() else { return }
                messageHeader.append(octet)
                if messageHeader.count == 4 { beginMessage() }
            } else if kept > 0 {
                let part = rest.prefix(kept)
                message.append(contentsOf: part)
                kept -= part.count
                rest = rest.dropFirst(part.count)
            } else {
                let part = rest.prefix(skipped)
                skipped -= part.count
                rest = rest.dropFirst(part.count)
            }
            if messageHeader.count == 4, kept == 0, !message.isEmpty || skipped == 0 { understand() }
            if messageHeader.count == 4, kept == 0, skipped == 0 { messageHeader.removeAll(keepingCapacity: true) }
        }
    }

    private mutating func beginMessage() {
        let length = Int(messageHeader[1]) << 16 | Int(messageHeader[2]) << 8 | Int(messageHeader[3])
        message = []
        switch messageHeader[0] {
        case MessageType.clientHello, MessageType.serverHello:
            guard length <= Self.longestMessage, (messageHeader[0] == MessageType.clientHello) == (side == .client) else { return finish() }
            kept = length
        case MessageType.serverKeyExchange: kept = min(length, 4)
        default: kept = 0
        }
        skipped = length - kept
    }

    /// A message is here, as far as it is kept.
    private mutating func understand() {
        let octets = message
        message = []
        switch messageHeader.first {
        case MessageType.clientHello:
            serverName = ClientHello(octets)?.serverName
            finish()
        case MessageType.serverHello:
            guard let hello = ServerHello(octets) else { return finish() }
            if hello.isRetryRequest { return }
            choice = TLSChoice(cipherSuite: hello.cipherSuite, group: hello.group)
            // What follows in TLS 1.3 is encrypted.
            if hello.isVersion13 { finish() }
        case MessageType.serverKeyExchange:
            // `named_curve`, and the curve (RFC 8422 §5.4).
            if octets.count == 4, octets[0] == 3 { choice?.group = UInt16(octets[1]) << 8 | UInt16(octets[2]) }
            finish()
        case MessageType.serverHelloDone: finish()
        default: break
        }
    }
}

/// A ClientHello, as far as it matters here (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2).
private struct ClientHello {
    /// What it asks for by SNI (RFC 6066 §3).
    var serverName: String?

    /// `nil` where the octets are no ClientHello.
    init?(_ octets: [UInt8]) {
        var buffer = ByteBuffer(bytes: octets)
        guard buffer.readSlice(length: 34) != nil, let sessionLength = buffer.readInteger(as: UInt8.self),
            buffer.readSlice(length: Int(sessionLength)) != nil, let suitesLength = buffer.readInteger(as: UInt16.self),
            buffer.readSlice(length: Int(suitesLength)) != nil, let methodsLength = buffer.readInteger(as: UInt8.self),
            buffer.readSlice(length: Int(methodsLength)) != nil
        else { return nil }
        guard let length = buffer.readInteger(as: UInt16.self) else { return }
        guard var extensions = buffer.readSlice(length: Int(length)) else { return nil }
        while extensions.readableBytes > 0 {
            guard let kind = extensions.readInteger(as: UInt16.self), let length = extensions.readInteger(as: UInt16.self),
                var body = extensions.readSlice(length: Int(length))
            else { return nil }
            // A list with one entry of the type `host_name`.
            guard kind == 0 else { continue }
            guard body.readInteger(as: UInt16.self) != nil, body.readInteger(as: UInt8.self) == 0, let length = body.readInteger(as: UInt16.self),
                length <= 255, let name = body.readString(length: Int(length)), name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
            else { return nil }
            serverName = name
        }
    }
}

/// A ServerHello, as far as it matters here (RFC 8446 §4.1.3, RFC 5246 §7.4.1.3).
private struct ServerHello {
    var cipherSuite: UInt16
    var group: UInt16?
    var isVersion13 = false
    var isRetryRequest: Bool

    /// RFC 8446 §4.1.3: the random of a HelloRetryRequest.
    private static let retryRandom: [UInt8] = [
        0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E,
        0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
    ]

    /// `nil` where the octets are no ServerHello.
    init?(_ octets: [UInt8]) {
        var buffer = ByteBuffer(bytes: octets)
        guard buffer.readInteger(as: UInt16.self) != nil, let random = buffer.readBytes(length: 32),
            let sessionLength = buffer.readInteger(as: UInt8.self), sessionLength <= 32, buffer.readSlice(length: Int(sessionLength)) != nil,
            let cipherSuite = buffer.readInteger(as: UInt16.self), buffer.readInteger(as: UInt8.self) != nil
        else { return nil }
        self.cipherSuite = cipherSuite
        isRetryRequest = random == Self.retryRandom
        // Extensions may be missing before TLS 1.3.
        guard let length = buffer.readInteger(as: UInt16.self) else { return }
        guard var extensions = buffer.readSlice(length: Int(length)) else { return nil }
        while extensions.readableBytes > 0 {
            guard let kind = extensions.readInteger(as: UInt16.self), let length = extensions.readInteger(as: UInt16.self),
                var body = extensions.readSlice(length: Int(length))
            else { return nil }
            switch kind {
            case 43: isVersion13 = body.readInteger(as: UInt16.self) == 0x0304
            case 51: group = body.readInteger(as: UInt16.self)
            default: break
            }
        }
    }
}
