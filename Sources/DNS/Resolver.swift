/// Looks names up in the DNS. Every part of the house gets one passed in; none opens a DNS socket of its own.
public protocol Resolver: Sendable {
    /// Looks up the records of one type at one name, following CNAMEs.
    ///
    /// A name that doesn't exist and a name without such records are answers, not errors: see ``DNSAnswer/outcome``.
    /// - Throws: ``DNSError`` when there is no answer: a time-out, a server failure, or data that DNSSEC proved to be bogus.
    func lookup(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer
}

/// What the DNS said to one question.
public struct DNSAnswer: Hashable, Sendable {
    /// Whether there are records.
    public enum Outcome: String, Hashable, Sendable, Codable {
        /// There are records of the type.
        case records
        /// The name exists without records of the type.
        case noData
        /// The name doesn't exist (RFC 8020).
        case nonexistentDomain
    }

    /// The name that was asked for.
    public var name: DomainName
    /// The type that was asked for.
    public var type: DNSRecordType
    /// Whether there are records.
    public var outcome: Outcome
    /// The name at the end of the chain of CNAMEs, where it is another than `name`.
    public var canonicalName: DomainName?
    /// The records' data, in the order of the answer.
    public var records: [DNSRecordData]
    /// What DNSSEC says of the answer (RFC 4033 §5).
    public var security: DNSSECStatus
    /// For how many seconds the answer may be kept.
    public var timeToLive: UInt32

    /// Makes an answer.
    public init(
        name: DomainName, type: DNSRecordType, outcome: Outcome, canonicalName: DomainName? = nil, records: [DNSRecordData] = [],
        security: DNSSECStatus = .insecure, timeToLive: UInt32 = 300
    ) {
        self.name = name
        self.type = type
        self.outcome = outcome
        self.canonicalName = canonicalName
        self.records = records
        self.security = security
        self.timeToLive = timeToLive
    }
}

/// What DNSSEC says of an answer (RFC 4033 §5); bogus data is a ``DNSError`` and never an answer.
public enum DNSSECStatus: String, Hashable, Sendable, Codable {
    /// A chain of signatures from a trust anchor vouches for the answer, also for the absence of records.
    case secure
    /// The zone is provably unsigned, or no trust anchor covers it.
    case insecure
}

/// A record type by its number (RFC 1035 §3.2.2).
public struct DNSRecordType: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let a = DNSRecordType(rawValue: 1)
    public static let ns = DNSRecordType(rawValue: 2)
    public static let cname = DNSRecordType(rawValue: 5)
    public static let soa = DNSRecordType(rawValue: 6)
    public static let ptr = DNSRecordType(rawValue: 12)
    public static let mx = DNSRecordType(rawValue: 15)
    public static let txt = DNSRecordType(rawValue: 16)
    public static let aaaa = DNSRecordType(rawValue: 28)
    public static let srv = DNSRecordType(rawValue: 33)
    public static let tlsa = DNSRecordType(rawValue: 52)
    public static let openPGPKey = DNSRecordType(rawValue: 61)
    public static let caa = DNSRecordType(rawValue: 257)

    public var description: String {
        switch self {
        case .a: "A"
        case .ns: "NS"
        case .cname: "CNAME"
        case .soa: "SOA"
        case .ptr: "PTR"
        case .mx: "MX"
        case .txt: "TXT"
        case .aaaa: "AAAA"
        case .srv: "SRV"
        case .tlsa: "TLSA"
        case .openPGPKey: "OPENPGPKEY"
        case .caa: "CAA"
        default: "TYPE\(rawValue)"
        }
    }
}

/// The data of one record.
public enum DNSRecordData: Hashable, Sendable {
    case address(IPAddress)
    case mx(preference: UInt16, exchange: DomainName)
    /// The character-strings of a TXT record joined without a space, as SPF, DKIM and their like define it.
    case txt([UInt8])
    case name(DomainName)
    case tlsa(usage: UInt8, selector: UInt8, matching: UInt8, data: [UInt8])
    case srv(priority: UInt16, weight: UInt16, port: UInt16, target: DomainName)
    case other([UInt8])
}

/// Why a lookup has no answer.
public struct DNSError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Hashable, Sendable, Codable {
        /// No server answered in time.
        case timeout
        /// The servers answered with a failure.
        case serverFailure
        /// DNSSEC proves the data false (RFC 4033 §5).
        case bogus
        /// The question itself can't be asked.
        case invalidQuestion
    }
    public var code: Code
    public var name: String
    public var type: DNSRecordType
    /// What the resolver said, for an operator.
    public var reason: String

    public init(_ code: Code, name: String, type: DNSRecordType, reason: String) {
        self.code = code
        self.name = name
        self.type = type
        self.reason = reason
    }

    public var description: String { "\(name) \(type): \(code.rawValue): \(reason)" }
}

extension DNSRecordData: CustomStringConvertible {
    /// The data as a zone file writes it, control characters and quotes escaped.
    public var description: String {
        switch self {
        case .address(let address): "\(address)"
        case .mx(let preference, let exchange): "\(preference) \(Self.text(exchange))"
        case .txt(let octets): Self.quoted(octets)
        case .name(let name): Self.text(name)
        case .tlsa(let usage, let selector, let matching, let data): "\(usage) \(selector) \(matching) \(Self.hex(data))"
        case .srv(let priority, let weight, let port, let target): "\(priority) \(weight) \(port) \(Self.text(target))"
        case .other(let octets): "\\# \(octets.count) \(Self.hex(octets))"
        }
    }

    /// A name may have octets that mean something else in a zone file (RFC 1035 §5.1); nothing at all is the root, and `@` alone the origin.
    private static func text(_ name: DomainName) -> String {
        guard name != .root, name.ascii != "@" else { return "\(name.ascii)." }
        guard name.ascii.utf8.contains(where: { special.contains($0) }) else { return name.ascii }
        return String(decoding: name.ascii.utf8.flatMap { special.contains($0) ? [UInt8(ascii: "\\"), $0] : [$0] }, as: UTF8.self)
    }

    private static let special = Array(" \";()".utf8)

    /// A character string of RFC 1035 §5.1.
    private static func quoted(_ octets: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(octets.count + 2)
        text.append(UInt8(ascii: "\""))
        for octet in octets {
            switch octet {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                text.append(UInt8(ascii: "\\"))
                text.append(octet)
            case 0x20...0x7E: text.append(octet)
            default:
                text.append(UInt8(ascii: "\\"))
                for digit in [octet / 100, octet / 10 % 10, octet % 10] { text.append(UInt8(ascii: "0") + digit) }
            }
        }
        text.append(UInt8(ascii: "\""))
        return String(decoding: text, as: UTF8.self)
    }

    private static func hex(_ octets: [UInt8]) -> String {
        octets.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
