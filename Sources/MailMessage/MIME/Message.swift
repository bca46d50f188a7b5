public import NIOCore

/// A message, parsed once from one buffer and shared by everyone who reads it. It is never written again from what was
/// parsed: signatures over its octets stay valid.
///
/// Reading never fails, whatever the octets are; what the grammar does not allow is named in ``deviations``.
public struct Message: Sendable {
    private let tree: PartTree
    /// The octets of the message; offsets of all parts count from its first readable one.
    public var octets: ByteBuffer { tree.message }

    /// Reads the readable octets of `buffer` (RFC 5322, RFC 2045, RFC 2046).
    public init(parsing buffer: ByteBuffer, limits: MessageLimits = MessageLimits()) {
        tree = PartTree(parsing: buffer.slice(), limits: limits)
    }

    /// The message as the outermost part.
    public var root: MIMEPart { MIMEPart(tree: tree, index: 0) }

    /// The header section of the message.
    public var header: HeaderSection { root.header }

    /// Where the body lies.
    public var bodyRange: Range<Int> { root.bodyRange }

    /// All parts in the order of the message, the message itself first.
    public var allParts: [MIMEPart] { tree.records.indices.map { MIMEPart(tree: tree, index: $0) } }

    /// What deviates from the grammar in the header sections and in the structure.
    public var deviations: [MessageDeviation] { tree.deviations }

    /// Whether a limit kept fields or parts from being seen: then the message is not fully inspected.
    public var isIncomplete: Bool {
        deviations.contains {
            switch $0.code {
            case .tooManyHeaderFields, .headerSectionTooLarge, .nestingTooDeep, .tooManyParts: true
            default: false
            }
        }
    }

    /// The part with an IMAP part number such as `1.2` (RFC 9051 §6.4.5.1); the empty path is the message. The part `1`
    /// of a message that is no multipart is its body, and numbers go through `message/rfc822` parts into the message
    /// inside.
    public func part(at path: [Int]) -> MIMEPart? {
        var current = root
        var isMessageBody = true
        for number in path {
            guard number >= 1 else { return nil }
            if !isMessageBody, let nested = current.nestedMessage {
                current = nested
                isMessageBody = true
            }
            if current.structure == .multipart {
                let children = current.children
                guard number <= children.count else { return nil }
                current = children[number - 1]
                isMessageBody = false
            } else {
                guard isMessageBody, number == 1 else { return nil }
                isMessageBody = false
            }
        }
        return current
    }

    /// The Subject with its encoded-words decoded.
    public var subject: String? { header.first(named: "Subject")?.decodedText }

    /// The Date (RFC 5322 §3.6.1); `nil` where it is absent or cannot be read.
    public var date: MessageDate? { header.first(named: "Date").flatMap { MessageDate(parsing: $0.unfoldedOctets) } }

    /// The Message-ID with its angle brackets (RFC 5322 §3.6.4).
    public var messageID: String? {
        header.first(named: "Message-ID").flatMap { MessageIDList(parsing: $0.unfoldedOctets).first }
    }

    /// The Message-IDs of In-Reply-To.
    public var inReplyTo: [String] {
        header.first(named: "In-Reply-To").map { MessageIDList(parsing: $0.unfoldedOctets).identifiers } ?? []
    }

    /// The Message-IDs of References.
    public var references: [String] {
        header.first(named: "References").map { MessageIDList(parsing: $0.unfoldedOctets).identifiers } ?? []
    }

    /// The authors of From (RFC 5322 §3.6.2).
    public var from: AddressList { addresses("From") }
    /// The Sender.
    public var sender: AddressList { addresses("Sender") }
    /// Reply-To.
    public var replyTo: AddressList { addresses("Reply-To") }
    /// To (RFC 5322 §3.6.3).
    public var to: AddressList { addresses("To") }
    /// Cc.
    public var cc: AddressList { addresses("Cc") }
    /// Bcc.
    public var bcc: AddressList { addresses("Bcc") }

    /// The addresses of the first field of this name; empty where it is absent.
    public func addresses(_ name: String) -> AddressList {
        header.first(named: name).map { AddressList(parsing: $0.unfoldedOctets) } ?? AddressList(entries: [])
    }
}
