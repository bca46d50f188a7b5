public import NIOCore

/// How a part's octets are encoded for transport (RFC 2045 §6).
public enum ContentTransferEncoding: Hashable, Sendable {
    /// Lines of US-ASCII; what holds where the field is absent.
    case sevenBit
    /// Lines with octets over 127.
    case eightBit
    /// Any octets.
    case binary
    /// RFC 2045 §6.8.
    case base64
    /// RFC 2045 §6.7.
    case quotedPrintable
    /// A name that nobody defined, in lower case.
    case other(String)

    /// Reads the field's value.
    public init(name: some StringProtocol) {
        switch name.lowercased() {
        case "7bit": self = .sevenBit
        case "8bit": self = .eightBit
        case "binary": self = .binary
        case "base64": self = .base64
        case "quoted-printable": self = .quotedPrintable
        case let other: self = .other(other)
        }
    }

    /// The name as the field has it.
    public var name: String {
        switch self {
        case .sevenBit: "7bit"
        case .eightBit: "8bit"
        case .binary: "binary"
        case .base64: "base64"
        case .quotedPrintable: "quoted-printable"
        case .other(let name): name
        }
    }

    /// Whether the octets stand for themselves.
    public var isIdentity: Bool {
        switch self {
        case .sevenBit, .eightBit, .binary: true
        case .base64, .quotedPrintable, .other: false
        }
    }

    /// Decodes as mail programs do: what deviates is skipped or kept, and named. Identity encodings give a slice, no
    /// copy.
    public func decode(_ encoded: ByteBuffer) -> (octets: ByteBuffer, deviations: [MessageDeviation]) {
        var log = DeviationLog()
        switch self {
        case .sevenBit, .eightBit, .binary:
            return (encoded.slice(), [])
        case .base64:
            let decoded = Base64.decode(encoded.octets(in: 0..<encoded.readableBytes)[...], log: &log)
            return (ByteBuffer(bytes: decoded), log.deviations)
        case .quotedPrintable:
            let decoded = QuotedPrintable.decode(encoded.octets(in: 0..<encoded.readableBytes), log: &log)
            return (ByteBuffer(bytes: decoded), log.deviations)
        case .other:
            return (encoded.slice(), [MessageDeviation(.unknownTransferEncoding, at: 0)])
        }
    }
}

/// Base64 as mail has it (RFC 2045 §6.8).
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let values: [UInt8] = {
        var table = [UInt8](repeating: 0xFF, count: 256)
        for (value, octet) in alphabet.enumerated() { table[Int(octet)] = UInt8(value) }
        return table
    }()

    /// Octets outside of the alphabet are skipped; padding ends a run, and more may follow it (joined base64 texts).
    static func decode(_ text: ArraySlice<UInt8>, log: inout DeviationLog) -> [UInt8] {
        var result = [UInt8]()
        result.reserveCapacity(text.count / 4 * 3)
        var bits: UInt32 = 0
        var count = 0
        func endRun(_ result: inout [UInt8]) {
            if count >= 2 { result.append(UInt8(truncatingIfNeeded: bits >> (count == 2 ? 4 : 10))) }
            if count == 3 { result.append(UInt8(truncatingIfNeeded: bits >> 2)) }
        }
        for (offset, octet) in text.enumerated() {
            let value = values[Int(octet)]
            if value != 0xFF {
                bits = bits << 6 | UInt32(value)
                count += 1
                if count == 4 {
                    result.append(UInt8(truncatingIfNeeded: bits >> 16))
                    result.append(UInt8(truncatingIfNeeded: bits >> 8))
                    result.append(UInt8(truncatingIfNeeded: bits))
                    bits = 0
                    count = 0
                }
            } else if octet == UInt8(ascii: "=") {
                if count == 1 { log.note(.malformedBase64, at: offset) }
                endRun(&result)
                bits = 0
                count = 0
            } else if octet != 0x0D, octet != 0x0A, !octet.isBlank {
                log.note(.malformedBase64, at: offset)
            }
        }
        if count > 0 {
            log.note(.malformedBase64, at: text.count)
            endRun(&result)
        }
        return result
    }

    /// One line without line ends.
    static func encode(_ octets: some Collection<UInt8>) -> [UInt8] {
        var result = [UInt8]()
        result.reserveCapacity((octets.count + 2) / 3 * 4)
        var bits: UInt32 = 0
        var count = 0
        for octet in octets {
            bits = bits << 8 | UInt32(octet)
            count += 1
            if count == 3 {
                for shift in [18, 12, 6, 0] as [UInt32] { result.append(alphabet[Int(bits >> shift & 63)]) }
                bits = 0
                count = 0
            }
        }
        if count == 1 {
            result.append(alphabet[Int(bits >> 2 & 63)])
            result.append(alphabet[Int(bits << 4 & 63)])
            result.append(contentsOf: [UInt8(ascii: "="), UInt8(ascii: "=")])
        } else if count == 2 {
            result.append(alphabet[Int(bits >> 10 & 63)])
            result.append(alphabet[Int(bits >> 4 & 63)])
            result.append(alphabet[Int(bits << 2 & 63)])
            result.append(UInt8(ascii: "="))
        }
        return result
    }
}

/// Quoted-printable (RFC 2045 §6.7).
enum QuotedPrintable {
    static func decode(_ text: [UInt8], log: inout DeviationLog) -> [UInt8] {
        var result = [UInt8]()
        result.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            let octet = text[index]
            if octet == UInt8(ascii: "=") {
                if index + 2 < text.count, let high = text[index + 1].hexadecimalValue,
                    let low = text[index + 2].hexadecimalValue
                {
                    result.append(high << 4 | low)
                    index += 3
                } else if let next = softLineBreak(text, at: index) {
                    index = next
                } else {
                    log.note(.malformedQuotedPrintable, at: index)
                    result.append(octet)
                    index += 1
                }
            } else if octet == 0x0A || octet == 0x0D && index + 1 < text.count && text[index + 1] == 0x0A {
                // Rule 3: blanks at the end of a line were added on the way.
                while let last = result.last, last.isBlank, index > 0, text[index - 1].isBlank {
                    result.removeLast()
                    index -= 1
                }
                index = skipBlanks(text, index)
                if text[index] == 0x0D {
                    result.append(0x0D)
                    index += 1
                }
                result.append(0x0A)
                index += 1
            } else {
                result.append(octet)
                index += 1
            }
        }
        return result
    }

    private static func skipBlanks(_ text: [UInt8], _ start: Int) -> Int {
        var index = start
        while index + 1 < text.count, text[index].isBlank { index += 1 }
        return index
    }

    /// `"=" *blank [CR] LF`, or an `=` at the very end.
    private static func softLineBreak(_ text: [UInt8], at start: Int) -> Int? {
        var index = start + 1
        while index < text.count, text[index].isBlank { index += 1 }
        if index == text.count { return index }
        if text[index] == 0x0D { index += 1 }
        guard index < text.count, text[index] == 0x0A else { return nil }
        return index + 1
    }
}
