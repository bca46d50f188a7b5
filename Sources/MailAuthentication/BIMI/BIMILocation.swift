public import DNS

/// The address of an indicator or of evidence: HTTPS, a name in the DNS, the port 443, and nothing that could lead elsewhere
/// (draft-brand-indicators-for-message-identification-12 §4.3, RFC 3986 §3).
///
/// Whoever fetches it resolves the name, refuses every address that `IPAddress.isSpecial` knows, and follows no redirection to
/// anything that this type refuses.
public struct BIMILocation: Sendable, Hashable, CustomStringConvertible {
    /// The octets of the longest URI that is taken; RFC 9110 §4.1 wants 8000 from those who serve them, and logos need less.
    public static let octetLimit = 2048

    /// The URI as it was written.
    public let text: String
    /// The name to connect to.
    public let host: DomainName
    /// What to ask for: the path and the query. Never empty, and without the fragment.
    public let target: String

    /// Reads a URI.
    /// - Throws: ``BIMILocationError``, which names the rule.
    public init(_ text: some StringProtocol) throws(BIMILocationError) {
        let octets = Array(text.utf8)
        guard octets.count <= Self.octetLimit else { throw .tooLong }
        for (index, octet) in octets.enumerated() {
            guard Self.isURIOctet(octet) else { throw .invalidCharacter(offset: index) }
            if octet == UInt8(ascii: "%") {
                guard index + 2 < octets.count, Self.isHexDigit(octets[index + 1]), Self.isHexDigit(octets[index + 2]) else {
                    throw .invalidCharacter(offset: index)
                }
            }
        }
        let scheme = "https://"
        guard octets.count > scheme.utf8.count, String(decoding: octets[..<scheme.utf8.count], as: UTF8.self).lowercased() == scheme else {
            throw .notHTTPS
        }
        let rest = octets[scheme.utf8.count...]
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") } ?? octets.count
        host = try Self.host(rest[..<end])
        let fragment = octets[end...].firstIndex(of: UInt8(ascii: "#")) ?? octets.count
        let target = String(decoding: octets[end..<fragment], as: UTF8.self)
        self.target = target.hasPrefix("/") ? target : "/" + target
        self.text = String(text)
    }

    private static func host(_ authority: ArraySlice<UInt8>) throws(BIMILocationError) -> DomainName {
        guard !authority.contains(UInt8(ascii: "@")) else { throw .userInformation }
        guard !authority.contains(UInt8(ascii: "[")), !authority.contains(UInt8(ascii: "]")) else { throw .addressLiteral }
        let parts = authority.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard let name = parts.first, parts.count <= 2 else { throw .addressLiteral }
        if parts.count == 2 {
            let port = String(decoding: parts[1], as: UTF8.self)
            guard port.isEmpty || port == "443" else { throw .otherPort(String(port.prefix(16))) }
        }
        let text = String(decoding: name, as: UTF8.self)
        guard let host = try? DomainName(text) else { throw .invalidHost(text) }
        // The resolvers of many systems read 127.1, 0x7f.0.0.1 and 2130706433 as addresses: no name ends so (RFC 3696 §2).
        guard let last = host.labels.last, let first = last.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            throw .addressLiteral
        }
        guard host.labels.count >= 2, last != "localhost" else { throw .notFullyQualified(host.ascii) }
        return host
    }

    /// RFC 3986 §2: unreserved and reserved characters, and the percent sign.
    private static func isURIOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: "-._~:/?#[]@!$&'()*+,;=%".utf8.contains(octet)
        }
    }

    private static func isHexDigit(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }

    public var description: String { text }
}

/// Why a URI is none that may be fetched.
public enum BIMILocationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// It is longer than ``BIMILocation/octetLimit``.
    case tooLong
    /// An octet can't stand in a URI.
    case invalidCharacter(offset: Int)
    /// The scheme isn't `https`.
    case notHTTPS
    /// There is a user's name.
    case userInformation
    /// The host is an address, or a number that some read as one.
    case addressLiteral
    /// The host is no domain name.
    case invalidHost(String)
    /// The host has one label only, or is the machine itself.
    case notFullyQualified(String)
    /// The port isn't 443.
    case otherPort(String)

    public var description: String {
        let draft = "draft-brand-indicators-for-message-identification-12 §4.3"
        return switch self {
        case .tooLong: "the URI has more than \(BIMILocation.octetLimit) octets (RFC 9110 §4.1)"
        case .invalidCharacter(let offset): "a character can't stand in a URI (at octet \(offset); RFC 3986 §2)"
        case .notHTTPS: "the URI isn't one of HTTPS (\(draft))"
        case .userInformation: "the URI has a user's name (RFC 9110 §4.2.4)"
        case .addressLiteral: "the URI's host is an address and no domain name (\(draft))"
        case .invalidHost(let host): "“\(host)” is no domain name (RFC 1035 §2.3.1)"
        case .notFullyQualified(let host): "“\(host)” is no fully qualified domain name (\(draft))"
        case .otherPort(let port): "the URI's port is “\(port)”, and only 443 is fetched from (RFC 9110 §4.2.2)"
        }
    }
}
