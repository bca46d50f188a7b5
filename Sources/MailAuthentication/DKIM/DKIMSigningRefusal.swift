public import DNS

/// Why a message isn't signed: a signature on mail that RFC 5322 doesn't allow vouches for something that every reader takes
/// differently (RFC 6376 §5.3, §8.15).
public enum DKIMSigningRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    /// A field that must be there is absent (RFC 5322 §3.6).
    case missingField(String)
    /// A field that may be there once is there again.
    case repeatedField(String, count: Int)
    /// From has no address that could be checked.
    case unreadableFrom
    /// Date is no date.
    case unreadableDate
    /// From is of a domain that the signer doesn't speak for.
    case foreignAuthor(String, signer: DomainName)
    /// The header section is larger than what is read of it.
    case headerOverLimits
    /// A line in the header section is no field: what follows would be body to one reader and header to another.
    case malformedHeader
    /// LF without CR, at an octet of the message (RFC 5322 §2.3).
    case bareLineFeed(offset: Int)
    /// CR without LF (RFC 5322 §2.3).
    case bareCarriageReturn(offset: Int)
    /// A NUL (RFC 5322 §2.3).
    case nulOctet(offset: Int)
    /// A line of more than 998 octets (RFC 5322 §2.1.1): whoever breaks it on the way breaks the signature.
    case lineTooLong(offset: Int)
    /// Octets over 127 in the header section of mail that isn't internationalised (RFC 6532).
    case eightBitHeader(offset: Int)
    /// Octets over 127 in the body of a message without MIME (RFC 5322 §2.3, RFC 2045 §4).
    case eightBitBody(offset: Int)
    /// A field that others change or remove on the way was to be signed (RFC 6376 §5.4.1).
    case traceField(String)
    /// From isn't among the fields to be signed (RFC 6376 §5.4).
    case fromNotSigned
    /// More fields were to be signed than a verifier would read.
    case tooManyFields(limit: Int)
    /// There is no key to sign with.
    case noKey
    /// A key can't sign.
    case key(DKIMPrivateKeyError)
    /// The field to be completed isn't one.
    case template(DKIMSyntaxError)

    public var description: String {
        switch self {
        case .missingField(let name): "the message has no \(name) field (RFC 5322 §3.6)"
        case .repeatedField(let name, let count): "the message has \(count) \(name) fields, and one is the most (RFC 5322 §3.6)"
        case .unreadableFrom: "From has no address that can be read (RFC 5322 §3.6.2)"
        case .unreadableDate: "Date is no date (RFC 5322 §3.3)"
        case .foreignAuthor(let domain, let signer): "From is of “\(domain)”, for which \(signer) can't sign"
        case .headerOverLimits: "the header section is larger than what is read of it"
        case .malformedHeader: "a line in the header section is no field (RFC 5322 §2.2)"
        case .bareLineFeed(let offset): "LF without CR at octet \(offset) (RFC 5322 §2.3)"
        case .bareCarriageReturn(let offset): "CR without LF at octet \(offset) (RFC 5322 §2.3)"
        case .nulOctet(let offset): "a NUL at octet \(offset) (RFC 5322 §2.3)"
        case .lineTooLong(let offset): "a line of more than 998 octets at octet \(offset) (RFC 5322 §2.1.1)"
        case .eightBitHeader(let offset): "an octet over 127 in the header, at octet \(offset) (RFC 5322 §2.2)"
        case .eightBitBody(let offset): "an octet over 127 in a body without MIME, at octet \(offset) (RFC 2045 §4)"
        case .traceField(let name): "\(name) must not be signed: it changes on the way (RFC 6376 §5.4.1)"
        case .fromNotSigned: "From must be signed (RFC 6376 §5.4)"
        case .tooManyFields(let limit): "more than \(limit) fields would be signed"
        case .noKey: "there is no key to sign with"
        case .key(let error): "\(error)"
        case .template(let error): "\(error)"
        }
    }
}
