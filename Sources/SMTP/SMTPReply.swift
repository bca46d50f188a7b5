public import MailMessage

/// A reply to an SMTP command (RFC 5321 §4.2) with its enhanced status code (RFC 2034).
public struct SMTPReply: Hashable, Sendable, Codable {
    /// The three digits of the reply.
    public var code: UInt16
    /// The enhanced status code; `nil` where the reply carries none (greeting, EHLO, 354, 334).
    public var enhancedStatus: EnhancedStatusCode?
    /// The text of each line, without code, enhanced code and CRLF. Never empty.
    public var lines: [String]

    /// Makes a reply.
    public init(_ code: UInt16, _ enhancedStatus: EnhancedStatusCode?, lines: [String]) {
        self.code = code
        self.enhancedStatus = enhancedStatus
        self.lines = lines.isEmpty ? [""] : lines
    }

    /// Makes a reply of one line.
    public init(_ code: UInt16, _ enhancedStatus: EnhancedStatusCode?, _ text: String) {
        self.init(code, enhancedStatus, lines: [text])
    }

    /// A 2yz reply.
    public var isPositive: Bool { code / 100 == 2 }
    /// A 4yz reply: the client may try again later.
    public var isTransientFailure: Bool { code / 100 == 4 }
    /// A 5yz reply: the client must not try again unchanged.
    public var isPermanentFailure: Bool { code / 100 == 5 }
}

extension SMTPReply: CustomStringConvertible {
    /// `550 5.1.1 No such user`, the lines joined by a slash.
    public var description: String {
        let status = enhancedStatus.map { "\($0) " } ?? ""
        return "\(code) \(status)\(lines.joined(separator: " / "))"
    }
}
