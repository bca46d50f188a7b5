import NIOCore

/// A value in a response (RFC 9051 §4).
enum IMAPValue: Hashable, Sendable {
    case atom(String)
    case string(ByteBuffer)
    case list([IMAPValue])
    case none

    /// An atom's or a string's text; what is no UTF-8 in it is replaced.
    var text: String? {
        switch self {
        case .atom(let text): text
        case .string(let octets): String(buffer: octets)
        case .list, .none: nil
        }
    }

    var number: UInt64? {
        guard case .atom(let text) = self, text.utf8.count <= 19, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return UInt64(text)
    }

    var elements: [IMAPValue]? {
        guard case .list(let elements) = self else { return nil }
        return elements
    }
}

/// Reads the values of a response from left to right.
struct IMAPResponseCursor {
    private let pieces: [IMAPResponseText.Piece]
    private let limits: IMAPClientLimits
    private var text: [UInt8] = []
    private var position = 0
    /// The piece behind the one that is read.
    private var following = 0
    private var values = 0

    init(_ response: IMAPResponseText, limits: IMAPClientLimits) {
        pieces = response.pieces
        self.limits = limits
        advance()
    }

    private mutating func advance() {
        guard following < pieces.count, case .text(let octets) = pieces[following] else { return }
        text = octets
        position = 0
        following += 1
    }

    private var peek: UInt8? { position < text.count ? text[position] : nil }

    /// The literal that stands at the position.
    private var literal: ByteBuffer? {
        guard position >= text.count, following < pieces.count, case .literal(let octets) = pieces[following] else { return nil }
        return octets
    }

    var isAtEnd: Bool { peek == nil && literal == nil }

    func fail(_ expected: String) -> IMAPResponseError { IMAPResponseError(.unexpected, "\(expected) expected") }

    mutating func take(_ octet: UInt8) -> Bool {
        guard peek == octet else { return false }
        position += 1
        return true
    }

    mutating func space() throws(IMAPResponseError) {
        guard take(0x20) else { throw fail("a space") }
        // Deliberate: some servers write two.
        while take(0x20) {}
    }

    /// Octets up to a space or the end.
    mutating func word() throws(IMAPResponseError) -> String {
        let start = position
        while let octet = peek, octet != 0x20 { position += 1 }
        guard position > start else { throw fail("a word") }
        return String(decoding: text[start..<position], as: UTF8.self)
    }

    /// The rest of the response as text.
    mutating func rest() -> String {
        defer { position = text.count }
        return String(decoding: text[min(position, text.count)...], as: UTF8.self)
    }

    /// `[code] text` (RFC 9051 §7.1).
    mutating func statusText() -> (code: String?, text: String) {
        _ = take(0x20)
        guard peek == UInt8(ascii: "["), let end = text[position...].firstIndex(of: UInt8(ascii: "]")) else { return (nil, rest()) }
        let code = String(decoding: text[(position + 1)..<end], as: UTF8.self)
        position = end + 1
        _ = take(0x20)
        return (code, rest())
    }

    /// The next value.
    mutating func value(depth: Int = 0) throws(IMAPResponseError) -> IMAPValue {
        values += 1
        guard values <= limits.valueCount else { throw IMAPResponseError(.tooLarge, "at most \(limits.valueCount) values expected") }
        if let literal {
            following += 1
            advance()
            return .string(literal)
        }
        switch peek {
        case UInt8(ascii: "(")?: return .list(try list(depth: depth))
        case UInt8(ascii: "\"")?: return .string(try quoted())
        default: return try atom()
        }
    }

    private mutating func list(depth: Int) throws(IMAPResponseError) -> [IMAPValue] {
        guard depth < limits.nestingDepth else { throw IMAPResponseError(.tooLarge, "at most \(limits.nestingDepth) nested lists expected") }
        position += 1
        var elements: [IMAPValue] = []
        while true {
            while take(0x20) {}
            if take(UInt8(ascii: ")")) { return elements }
            guard !isAtEnd else { throw fail("the end of a list") }
            elements.append(try value(depth: depth + 1))
        }
    }

    private mutating func quoted() throws(IMAPResponseError) -> ByteBuffer {
        position += 1
        var result: [UInt8] = []
        while let octet = peek {
            position += 1
            switch octet {
            case UInt8(ascii: "\""): return ByteBuffer(bytes: result)
            case UInt8(ascii: "\\"):
                guard let escaped = peek else { throw fail("an escaped character") }
                position += 1
                result.append(escaped)
            default: result.append(octet)
            }
        }
        throw fail("the end of a quoted string")
    }

    private mutating func atom() throws(IMAPResponseError) -> IMAPValue {
        let start = position
        while let octet = peek, octet != 0x20, octet != UInt8(ascii: "("), octet != UInt8(ascii: ")"), octet != UInt8(ascii: "\"") {
            position += 1
            if octet == UInt8(ascii: "["), Self.hasSection(text[start..<(position - 1)]) { try section() }
        }
        guard position > start else { throw fail("a value") }
        let text = String(decoding: text[start..<position], as: UTF8.self)
        return text.utf8.count == 3 && text.uppercased() == "NIL" ? .none : .atom(text)
    }

    /// `BODY[…]` and `BINARY[…]`: what stands in the brackets has spaces and parentheses.
    private static func hasSection(_ name: ArraySlice<UInt8>) -> Bool {
        name.count <= 11 && ["BODY", "BINARY", "BINARY.SIZE"].contains(String(decoding: name, as: UTF8.self).uppercased())
    }

    private mutating func section() throws(IMAPResponseError) {
        while let octet = peek {
            position += 1
            if octet == UInt8(ascii: "]") { return }
            if octet == UInt8(ascii: "\"") {
                position -= 1
                _ = try quoted()
            }
        }
        throw fail("the end of a section")
    }
}
