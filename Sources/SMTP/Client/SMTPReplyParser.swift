import MailMessage
public import NIOCore

/// Reads replies (RFC 5321 §4.2) from the octets that a server sends, whatever pieces they arrive in.
///
/// Strict where a mistake would let replies be taken for one another (the code's digits, its agreement across the lines of one
/// reply), lenient where the world is sloppy and nothing can come of it: a line may end in LF alone, the text may hold any octets.
/// A server cannot make it hold more than ``Limits/replyOctets``.
public struct SMTPReplyParser: Sendable {
    /// How much a server may say.
    public struct Limits: Sendable, Hashable {
        /// Octets of one line with its end; RFC 5321 §4.5.3.1.5 asks for 512.
        public var lineOctets = 4096
        /// Lines of one reply.
        public var lines = 200
        /// Octets of one reply.
        public var replyOctets = 65536

        /// The defaults.
        public init() {}
    }

    private let limits: Limits
    private var buffer = ByteBuffer()
    /// How many readable octets are known to hold no line end, so that no octet is looked at twice.
    private var searched = 0
    private var code: UInt16 = 0
    private var lines: [String] = []
    private var enhancedStatus: EnhancedStatusCode?
    private var replyOctets = 0

    /// Makes a parser without any octets.
    public init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Octets arrived that no reply has been made of yet.
    public var holdsOctets: Bool { buffer.readableBytes > 0 || !lines.isEmpty }

    /// The memory that is held for octets. Bounded by the longest line and the largest piece.
    var octetsHeld: Int { buffer.capacity }

    /// Adds octets as they arrive.
    public mutating func append(_ bytes: ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = bytes
            searched = 0
        } else {
            // A buffer keeps what was read already: a server whose pieces never end where a line ends would make it grow for ever.
            buffer.discardReadBytes()
            buffer.writeImmutableBuffer(bytes)
        }
    }

    /// Takes the next whole reply.
    /// - Parameter enhanced: whether the text may begin with an enhanced status code (RFC 2034 §4): not in a greeting, nor in the
    ///   reply to EHLO.
    /// - Returns: `nil` when more octets are needed.
    /// - Throws: when the octets are no reply; nothing sensible can follow.
    public mutating func next(enhanced: Bool = true) throws(SMTPReplyError) -> SMTPReply? {
        while true {
            guard let length = lineLength() else {
                guard buffer.readableBytes < limits.lineOctets else { throw SMTPReplyError(.lineTooLong) }
                return nil
            }
            guard length <= limits.lineOctets else { throw SMTPReplyError(.lineTooLong) }
            guard var line = buffer.readSlice(length: length) else { return nil }
            searched = 0
            replyOctets += length
            guard replyOctets <= limits.replyOctets, lines.count < limits.lines else { throw SMTPReplyError(.replyTooLong) }
            let isLast = try take(&line, enhanced: enhanced)
            if isLast {
                let reply = SMTPReply(code, enhancedStatus, lines: lines)
                lines = []
                enhancedStatus = nil
                replyOctets = 0
                return reply
            }
        }
    }

    /// The length of the first line with its LF, or `nil` if it isn't there yet.
    private mutating func lineLength() -> Int? {
        let view = buffer.readableBytesView
        if let index = view.dropFirst(searched).firstIndex(of: UInt8(ascii: "\n")) { return index - view.startIndex + 1 }
        searched = view.count
        return nil
    }

    /// Adds one line to the reply. RFC 5321 §4.2: three digits, then a space or, where lines follow, a hyphen.
    private mutating func take(_ line: inout ByteBuffer, enhanced: Bool) throws(SMTPReplyError) -> Bool {
        var bytes = line.readBytes(length: line.readableBytes - 1) ?? []
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        guard bytes.count >= 3 else { throw SMTPReplyError(.noCode) }
        var value: UInt16 = 0
        for digit in bytes[..<3] {
            guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { throw SMTPReplyError(.noCode) }
            value = value * 10 + UInt16(digit - UInt8(ascii: "0"))
        }
        guard (200..<600).contains(value) else { throw SMTPReplyError(.noCode) }
        let isLast: Bool
        switch bytes.count > 3 ? bytes[3] : UInt8(ascii: " ") {
        case UInt8(ascii: " "): isLast = true
        case UInt8(ascii: "-"): isLast = false
        default: throw SMTPReplyError(.noCode)
        }
        // RFC 5321 §4.2.1: the same code stands on every line.
        guard lines.isEmpty || value == code else { throw SMTPReplyError(.codesDiffer) }
        var text = bytes.dropFirst(4)
        if enhanced, let (status, length) = Self.enhancedStatus(text, code: value) {
            if lines.isEmpty { enhancedStatus = status }
            text = text.dropFirst(length)
        }
        code = value
        lines.append(Self.text(text))
        return isLast
    }

    /// Reads `5.1.1 ` at the beginning of a line; its class must agree with the reply's first digit (RFC 2034 §4).
    private static func enhancedStatus(_ text: ArraySlice<UInt8>, code: UInt16) -> (EnhancedStatusCode, Int)? {
        guard [2, 4, 5].contains(code / 100), text.first == UInt8(ascii: "0") + UInt8(code / 100) else { return nil }
        var numbers: [UInt16] = []
        var length = 1
        var rest = text.dropFirst()
        while numbers.count < 2 {
            guard rest.first == UInt8(ascii: ".") else { return nil }
            rest = rest.dropFirst()
            let digits = rest.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
            // RFC 3463 §2: one to three digits.
            guard (1...3).contains(digits.count) else { return nil }
            numbers.append(digits.reduce(0) { $0 * 10 + UInt16($1 - UInt8(ascii: "0")) })
            rest = rest.dropFirst(digits.count)
            length += 1 + digits.count
        }
        guard rest.isEmpty || rest.first == UInt8(ascii: " ") else { return nil }
        return (EnhancedStatusCode(UInt8(code / 100), numbers[0], numbers[1]), length + (rest.isEmpty ? 0 : 1))
    }

    /// The text for people and logs: control characters cannot leave it, so a reply can forge no line of a log or notice.
    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        var clean = Array(bytes)
        for index in clean.indices where clean[index] < 0x20 || clean[index] == 0x7F {
            clean[index] = clean[index] == UInt8(ascii: "\t") ? UInt8(ascii: " ") : UInt8(ascii: "?")
        }
        return String(decoding: clean, as: UTF8.self)
    }
}

/// What a server sent is no reply.
public struct SMTPReplyError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The rule that was broken.
    public enum Code: String, Hashable, Sendable {
        /// A line doesn't begin with three digits from 200 to 599 and a space, a hyphen or its end.
        case noCode = "a line without a reply code"
        /// The lines of a reply have different codes.
        case codesDiffer = "different codes in one reply"
        /// A line is longer than the limit.
        case lineTooLong = "a line too long"
        /// A reply has too many lines or octets.
        case replyTooLong = "a reply too long"
    }
    /// The rule that was broken.
    public let code: Code

    init(_ code: Code) { self.code = code }

    /// `different codes in one reply (RFC 5321 §4.2)`.
    public var description: String { "\(code.rawValue) (RFC 5321 §4.2)" }
}
