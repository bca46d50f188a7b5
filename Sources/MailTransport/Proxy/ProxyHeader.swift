public import DNS
public import NIOCore

/// What a proxy says about the connection that it hands on: the PROXY protocol of HAProxy, versions 1 (a line) and 2 (binary).
public struct ProxyHeader: Hashable, Sendable {
    /// One end of the client's connection.
    public struct End: Hashable, Sendable {
        public var address: IPAddress
        public var port: Int
        public init(_ address: IPAddress, _ port: Int) {
            self.address = address
            self.port = port
        }
    }

    /// Where the client is; `nil` where the proxy speaks for itself (LOCAL), or doesn't know (UNKNOWN).
    public var source: End?
    /// Where the client connected to; `nil` as above.
    public var destination: End?

    /// Makes a header.
    public init(source: End?, destination: End?) {
        self.source = source
        self.destination = destination
    }

    /// The longest line of version 1 with its end, in octets.
    static let longestLine = 107
    /// The most that version 2 may bring, in octets. Addresses take 36 at most; the rest is for extensions, such as a certificate's names.
    static let mostExtensions = 4096
    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    /// Reads a header from the front of what arrived, and takes it out.
    /// - Returns: `nil` where more octets are needed.
    /// - Throws: ``ProxyHeaderError``; then nothing that came on the connection can be trusted.
    public static func read(from buffer: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader? {
        let view = buffer.readableBytesView
        let front = view.prefix(signature.count)
        if front.elementsEqual(signature.prefix(front.count)) {
            guard front.count == signature.count else { return nil }
            return try readBinary(&buffer)
        }
        let word = Array("PROXY ".utf8)
        guard view.prefix(word.count).elementsEqual(word.prefix(view.count)) else { throw ProxyHeaderError(.missing) }
        return try readLine(&buffer)
    }

    // MARK: - Version 1

    private static func readLine(_ buffer: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader? {
        let view = buffer.readableBytesView.prefix(longestLine)
        guard let end = view.firstIndex(of: 0x0A) else {
            guard view.count < longestLine else { throw ProxyHeaderError(.tooLong) }
            return nil
        }
        let line = Array(view[..<end])
        guard line.last == 0x0D else { throw ProxyHeaderError(.malformed, "the line doesn't end in CRLF") }
        buffer.moveReaderIndex(forwardBy: line.count + 1)
        let words = line.dropLast().split(separator: 0x20, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        guard words.count >= 2 else { throw ProxyHeaderError(.malformed, "the family is missing") }
        switch words[1] {
        // What follows is to be ignored.
        case "UNKNOWN": return ProxyHeader(source: nil, destination: nil)
        case "TCP4", "TCP6":
            guard words.count == 6 else { throw ProxyHeaderError(.malformed, "\(words.count) words instead of 6") }
            let isFour = words[1] == "TCP4"
            let source = try place(words[2], words[4], isFour)
            let destination = try place(words[3], words[5], isFour)
            return ProxyHeader(source: source, destination: destination)
        default: throw ProxyHeaderError(.malformed, "an unknown family")
        }
    }

    private static func place(_ address: String, _ port: String, _ isFour: Bool) throws(ProxyHeaderError) -> End {
        guard let address = IPAddress(address), address.isFour == isFour else { throw ProxyHeaderError(.malformed, "no address of the family") }
        guard let number = Int(port), (0...65535).contains(number), "\(number)" == port else { throw ProxyHeaderError(.malformed, "no port") }
        return End(address, number)
    }

    // MARK: - Version 2

    private static func readBinary(_ buffer: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader? {
        let start = buffer.readerIndex
        guard let kind = buffer.getInteger(at: start + 12, as: UInt8.self), let family = buffer.getInteger(at: start + 13, as: UInt8.self),
            let length = buffer.getInteger(at: start + 14, as: UInt16.self)
        else { return nil }
        guard kind >> 4 == 2 else { throw ProxyHeaderError(.malformed, "version \(kind >> 4)") }
        guard length <= mostExtensions else { throw ProxyHeaderError(.tooLong) }
        guard let whole = buffer.getSlice(at: start, length: 16 + Int(length)) else { return nil }
        guard var body = whole.getSlice(at: whole.readerIndex + 16, length: Int(length)) else { return nil }
        buffer.moveReaderIndex(forwardBy: 16 + Int(length))
        switch kind & 0x0F {
        case 0:
            // A health check, or the proxy's own errand: what is said of addresses must be ignored.
            return ProxyHeader(source: nil, destination: nil)
        case 1: break
        default: throw ProxyHeaderError(.malformed, "command \(kind & 0x0F)")
        }
        let header: ProxyHeader
        switch family {
        case 0x11:
            guard let (source, destination) = body.readMultipleIntegers(as: (UInt32, UInt32).self),
                let (sourcePort, destinationPort) = body.readMultipleIntegers(as: (UInt16, UInt16).self)
            else { throw ProxyHeaderError(.malformed, "the addresses are cut off") }
            header = ProxyHeader(source: End(.v4(source), Int(sourcePort)), destination: End(.v4(destination), Int(destinationPort)))
        case 0x21:
            guard let (high, low, otherHigh, otherLow) = body.readMultipleIntegers(as: (UInt64, UInt64, UInt64, UInt64).self),
                let (sourcePort, destinationPort) = body.readMultipleIntegers(as: (UInt16, UInt16).self)
            else { throw ProxyHeaderError(.malformed, "the addresses are cut off") }
            header = ProxyHeader(source: End(.six(high, low), Int(sourcePort)), destination: End(.six(otherHigh, otherLow), Int(destinationPort)))
        case 0x00: return ProxyHeader(source: nil, destination: nil)
        default: throw ProxyHeaderError(.malformed, "a family or protocol that isn't TCP over IP")
        }
        try checkExtensions(body, whole: whole)
        return header
    }

    /// The extensions are passed over but for the checksum, which must be right where it is given.
    private static func checkExtensions(_ extensions: ByteBuffer, whole: ByteBuffer) throws(ProxyHeaderError) {
        var rest = extensions
        while rest.readableBytes > 0 {
            let place = rest.readerIndex - extensions.readerIndex + (whole.readableBytes - extensions.readableBytes)
            guard let type = rest.readInteger(as: UInt8.self), let length = rest.readInteger(as: UInt16.self),
                let value = rest.readSlice(length: Int(length))
            else { throw ProxyHeaderError(.malformed, "an extension is cut off") }
            guard type == 0x03 else { continue }
            guard let sum = value.getInteger(at: value.readerIndex, as: UInt32.self), length == 4 else {
                throw ProxyHeaderError(.malformed, "a checksum of \(length) octets")
            }
            // It is computed with zeros in its own place.
            let field = (place + 3)..<(place + 7)
            let octets = whole.readableBytesView.enumerated().map { field.contains($0.offset) ? 0 : $0.element }
            guard CRC32C.checksum(octets) == sum else { throw ProxyHeaderError(.malformed, "the checksum is wrong") }
        }
    }
}

/// Why the beginning of a connection is no header of a proxy.
public struct ProxyHeaderError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: String, Hashable, Sendable {
        /// The connection begins with something else.
        case missing
        /// It begins like a header, but isn't one.
        case malformed
        /// It is longer than a header may be.
        case tooLong
    }
    public let code: Code
    /// What is wrong.
    public let detail: String

    init(_ code: Code, _ detail: String = "") {
        self.code = code
        self.detail = detail
    }

    public var description: String {
        switch code {
        case .missing: "the connection doesn't begin with a PROXY header"
        case .malformed: "the PROXY header is malformed: \(detail)"
        case .tooLong: "the PROXY header is too long"
        }
    }
}

/// The checksum of RFC 3720 Appendix B.4 (Castagnoli).
enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
    }

    static func checksum(_ octets: some Sequence<UInt8>) -> UInt32 {
        ~octets.reduce(~0) { sum, octet in sum >> 8 ^ table[Int((sum ^ UInt32(octet)) & 0xFF)] }
    }
}

extension IPAddress {
    fileprivate var isFour: Bool { if case .v4 = self { true } else { false } }

    /// An IPv4 address that is written as IPv6 is IPv4.
    fileprivate static func six(_ high: UInt64, _ low: UInt64) -> IPAddress {
        high == 0 && low >> 32 == 0xFFFF ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high, low)
    }
}
