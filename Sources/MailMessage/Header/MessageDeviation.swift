/// Something in a message that the grammar does not allow and that was read nevertheless: evidence, not failure.
public struct MessageDeviation: Hashable, Sendable, Codable, CustomStringConvertible {
    /// The named deviations.
    public enum Code: String, Hashable, Sendable, Codable, CaseIterable {
        /// A line that ends in LF without CR (RFC 5322 §2.3).
        case bareLineFeed
        /// A CR that no LF follows, in a header section (RFC 5322 §2.2).
        case bareCarriageReturn
        /// A NUL in a header section (RFC 5322 §4).
        case nulOctet
        /// Octets over 127 in a header section (RFC 5322 §2.2; legal only by RFC 6532).
        case eightBitHeader
        /// A header line of more than 998 octets (RFC 5322 §2.1.1).
        case lineTooLong
        /// More header fields than the limit; those behind it are not seen.
        case tooManyHeaderFields
        /// A header section over the limit; fields behind it are not seen.
        case headerSectionTooLarge
        /// A line in a header section that is no field; the section is taken to end before it.
        case malformedHeaderLine
        /// A `From ` line of a mailbox file in front of the header section.
        case mailboxFromLine
        /// A header section that no empty line ends (RFC 5322 §2.1).
        case missingHeaderBodySeparator
        /// A field that may occur once occurs again (RFC 5322 §3.6); the first one counts.
        case duplicateField
        /// A Content-Type that is no `type/subtype` (RFC 2045 §5.1); `text/plain` is assumed.
        case malformedContentType
        /// A multipart type without a usable boundary (RFC 2046 §5.1.1).
        case missingBoundary
        /// A multipart body without a delimiter line (RFC 2046 §5.1.1).
        case multipartWithoutParts
        /// A multipart body that no closing delimiter ends (RFC 2046 §5.1.1).
        case missingClosingDelimiter
        /// A multipart or message type with a transfer encoding that it must not have (RFC 2045 §6.4).
        case encodedComposite
        /// Parts nested deeper than the limit; what lies deeper is not seen.
        case nestingTooDeep
        /// More parts than the limit; those behind it are not seen.
        case tooManyParts
        /// A base64 text with octets outside of its alphabet, or that ends early (RFC 2045 §6.8).
        case malformedBase64
        /// A quoted-printable text with an `=` that means nothing (RFC 2045 §6.7).
        case malformedQuotedPrintable
        /// A Content-Transfer-Encoding that nobody defined (RFC 2045 §6.1).
        case unknownTransferEncoding
    }

    /// What deviates.
    public let code: Code
    /// Where, in octets from the beginning of what was parsed.
    public let offset: Int

    /// Names a deviation.
    public init(_ code: Code, at offset: Int) {
        self.code = code
        self.offset = offset
    }

    public var description: String { "\(code.rawValue) at octet \(offset)" }
}

/// Collects deviations with a limit for each kind, so that a flood of one kind hides no other.
struct DeviationLog {
    static let limitOfEachCode = 8
    private(set) var deviations: [MessageDeviation] = []
    private var counts: [MessageDeviation.Code: Int] = [:]

    mutating func note(_ code: MessageDeviation.Code, at offset: Int) {
        let count = counts[code, default: 0]
        guard count < DeviationLog.limitOfEachCode else { return }
        counts[code] = count + 1
        deviations.append(MessageDeviation(code, at: offset))
    }
}

/// What reading one message may cost.
public struct MessageLimits: Hashable, Sendable {
    /// The most header fields of one section that are seen.
    public var headerFieldCount: Int
    /// The most octets of one header section in which fields are seen.
    public var headerSectionOctets: Int
    /// The most octets of a line without its end before it is noted (RFC 5322 §2.1.1: 998).
    public var headerLineOctets: Int
    /// How deep parts may lie within parts; the message itself is at depth 0.
    public var partDepth: Int
    /// The most parts of one message.
    public var partCount: Int

    /// Makes limits; the defaults are far above what real mail has.
    public init(
        headerFieldCount: Int = 2000,
        headerSectionOctets: Int = 1 << 20,
        headerLineOctets: Int = 998,
        partDepth: Int = 50,
        partCount: Int = 1000
    ) {
        self.headerFieldCount = headerFieldCount
        self.headerSectionOctets = headerSectionOctets
        self.headerLineOctets = headerLineOctets
        self.partDepth = partDepth
        self.partCount = partCount
    }
}
