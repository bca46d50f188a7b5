/// What a server says of an update (RFC 2136 §2.2, RFC 8945 §3).
public struct UpdateResponseCode: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Everything was done.
    public static let noError = Self(rawValue: 0)
    /// The server couldn't read the request.
    public static let formatError = Self(rawValue: 1)
    /// Something went wrong in the server, or with its files.
    public static let serverFailure = Self(rawValue: 2)
    /// A name that should be there isn't.
    public static let nonexistentDomain = Self(rawValue: 3)
    /// The server doesn't know updates.
    public static let notImplemented = Self(rawValue: 4)
    /// The server's policy refuses.
    public static let refused = Self(rawValue: 5)
    /// A name is there that shouldn't be.
    public static let nameExists = Self(rawValue: 6)
    /// Records are there that shouldn't be.
    public static let recordsExist = Self(rawValue: 7)
    /// Records that should be there aren't.
    public static let noSuchRecords = Self(rawValue: 8)
    /// The server isn't responsible for the zone; with TSIG also: not authorised.
    public static let notAuthoritative = Self(rawValue: 9)
    /// A name lies outside the zone.
    public static let notZone = Self(rawValue: 10)
    /// The signature doesn't hold.
    public static let badSignature = Self(rawValue: 16)
    /// The server doesn't know the key.
    public static let badKey = Self(rawValue: 17)
    /// The clocks differ by more than the fudge.
    public static let badTime = Self(rawValue: 18)
    /// The signature is cut shorter than the server takes.
    public static let badTruncation = Self(rawValue: 22)

    public var description: String {
        switch self {
        case .noError: "NOERROR"
        case .formatError: "FORMERR"
        case .serverFailure: "SERVFAIL"
        case .nonexistentDomain: "NXDOMAIN"
        case .notImplemented: "NOTIMP"
        case .refused: "REFUSED"
        case .nameExists: "YXDOMAIN"
        case .recordsExist: "YXRRSET"
        case .noSuchRecords: "NXRRSET"
        case .notAuthoritative: "NOTAUTH"
        case .notZone: "NOTZONE"
        case .badSignature: "BADSIG"
        case .badKey: "BADKEY"
        case .badTime: "BADTIME"
        case .badTruncation: "BADTRUNC"
        default: "RCODE\(rawValue)"
        }
    }
}
