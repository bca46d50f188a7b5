/// An enhanced mail system status code such as `5.1.1` (RFC 3463 §2).
public struct EnhancedStatusCode: Hashable, Sendable, Codable, CustomStringConvertible {
    /// 2 (success), 4 (persistent transient failure) or 5 (permanent failure).
    public let statusClass: UInt8
    /// What the status is about: 1 addressing, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 security.
    public let subject: UInt16
    /// The precise condition within the subject.
    public let detail: UInt16

    /// Makes a code of its three numbers.
    public init(_ statusClass: UInt8, _ subject: UInt16, _ detail: UInt16) {
        self.statusClass = statusClass
        self.subject = subject
        self.detail = detail
    }

    /// `5.1.1`.
    public var description: String { "\(statusClass).\(subject).\(detail)" }
}
