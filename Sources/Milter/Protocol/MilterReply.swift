public import MailMessage

/// A reply that the MTA shall give to its client instead of its own: 4yz or 5yz, an enhanced code and lines of text.
public struct MilterReply: Hashable, Sendable, CustomStringConvertible {
    /// 400 to 599.
    public let code: UInt16
    /// The enhanced code; its class is the code's first digit (RFC 2034 §4).
    public let enhanced: EnhancedStatusCode
    /// The lines of text: printable ASCII, at least one.
    public let lines: [String]

    /// The most lines of a reply.
    public static let maximumLines = 32
    /// The most octets of a line: RFC 5321 §4.5.3.1.5 has 512 with the code and CRLF; the rest is for the enhanced code.
    public static let maximumLineLength = 480

    /// Makes a reply.
    /// - Parameter text: lines are separated by LF; what isn't printable ASCII becomes `?`, what is too long is cut.
    /// - Returns: `nil` for a code that is neither 4yz nor 5yz, or an enhanced code of another class.
    public init?(_ code: UInt16, _ enhanced: EnhancedStatusCode, _ text: String) {
        guard (400...599).contains(code), enhanced.statusClass == code / 100 else { return nil }
        self.init(checked: code, enhanced, text)
    }

    private init(checked code: UInt16, _ enhanced: EnhancedStatusCode, _ text: String) {
        self.code = code
        self.enhanced = enhanced
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true).prefix(Self.maximumLines).map { line in
            String(
                decoding: line.filter { $0 != UInt8(ascii: "\r") }.prefix(Self.maximumLineLength).map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") },
                as: UTF8.self)
        }
        self.lines = lines.isEmpty ? [code < 500 ? "Try again later" : "Refused"] : lines
    }

    /// 552 5.3.4: the message is larger than the filter may look at (RFC 3463 §3.4).
    public static let messageTooLarge = MilterReply(checked: 552, EnhancedStatusCode(5, 3, 4), "The message is too large for the filter")

    /// The reply as the MTA is told: the lines of SMTP without the last CRLF.
    public var description: String {
        lines.enumerated().map { index, line in "\(code)\(index + 1 < lines.count ? "-" : " ")\(enhanced) \(line)" }.joined(separator: "\r\n")
    }
}
