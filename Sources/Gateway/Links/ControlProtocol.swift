import DNS
import FoundationEssentials
import Journeys
import MailMessage
import MailStore

/// What hosts of one organisation ask each other over mutual TLS, as HTTP requests. Each is dialled from the inside outwards, or
/// within the inside; each is allowed to certain roles only.
enum ControlRequest: Sendable, Equatable {
    /// `PUT /v1/recipients`: the digests of valid recipients, from the store to the edge.
    case setRecipients([UInt8])
    /// `GET /v1/recipients/version`: which digests the edge has.
    case recipientsVersion
    /// `GET /v1/journeys?after=N`: journey records of this host, for the store.
    case journeys(after: Int64)
    /// `GET /v1/verifier?user=A`: a user's password verifier, for a submission host.
    case verifier(EmailAddress)
    /// `GET /v1/knows?address=A`: whether an own address can be delivered, for a submission host.
    case knows(EmailAddress)
    /// `GET /v1/may?user=A&address=B`: whether a user may send as an address, for a submission host.
    case mayUser(EmailAddress, sendAs: EmailAddress)
    /// `GET /v1/texts?name=N`: the TXT records of a name, from the store, which has no way to the DNS, to a host that has one.
    case texts(DomainName)
    /// `POST /v1/tls-report?to=U`: a report on TLS for a URI of HTTPS, from the store to the relay, which sends it.
    case postReport([UInt8], uri: String)

    /// The roles whose certificates may ask this.
    var permittedRoles: Set<String> {
        switch self {
        case .setRecipients, .recipientsVersion, .journeys, .texts, .postReport: ["store"]
        case .verifier, .knows, .mayUser: ["submission", "internal"]
        }
    }

    /// How many octets may come with it.
    var bodyLimit: Int {
        // A million digests of 16 octets, with room.
        switch self {
        case .setRecipients: 64 * 1024 * 1024
        case .postReport: 16 * 1024 * 1024
        case .recipientsVersion, .journeys, .verifier, .knows, .mayUser, .texts: 0
        }
    }

    /// The request's method and target.
    var line: (method: String, target: String) {
        switch self {
        case .setRecipients: ("PUT", "/v1/recipients")
        case .recipientsVersion: ("GET", "/v1/recipients/version")
        case .journeys(let sequence): ("GET", "/v1/journeys?after=\(sequence)")
        case .verifier(let user): ("GET", "/v1/verifier?user=\(Self.escape(user))")
        case .knows(let address): ("GET", "/v1/knows?address=\(Self.escape(address))")
        case .mayUser(let user, let address): ("GET", "/v1/may?user=\(Self.escape(user))&address=\(Self.escape(address))")
        case .texts(let name): ("GET", "/v1/texts?name=\(Self.escape(name.ascii))")
        case .postReport(_, let uri): ("POST", "/v1/tls-report?to=\(Self.escape(uri))")
        }
    }

    /// What the request carries.
    var body: [UInt8] {
        switch self {
        case .setRecipients(let octets), .postReport(let octets, _): octets
        case .recipientsVersion, .journeys, .verifier, .knows, .mayUser, .texts: []
        }
    }

    /// Reads a request; `nil` for one that isn't known.
    init?(method: String, target: String, body: [UInt8]) {
        let parts = target.split(separator: "?", maxSplits: 1).map(String.init)
        var arguments: [String: String] = [:]
        for pair in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1).map(String.init)
            if sides.count == 2, let value = Self.unescape(sides[1]) { arguments[sides[0]] = value }
        }
        func address(_ name: String) -> EmailAddress? { arguments[name].flatMap { try? EmailAddress(parsing: $0) } }
        switch (method, parts.first) {
        case ("PUT", "/v1/recipients"): self = .setRecipients(body)
        case ("GET", "/v1/recipients/version"): self = .recipientsVersion
        case ("GET", "/v1/journeys"):
            guard let after = arguments["after"].flatMap({ Int64($0) }) else { return nil }
            self = .journeys(after: after)
        case ("GET", "/v1/verifier"):
            guard let user = address("user") else { return nil }
            self = .verifier(user)
        case ("GET", "/v1/knows"):
            guard let address = address("address") else { return nil }
            self = .knows(address)
        case ("GET", "/v1/may"):
            guard let user = address("user"), let address = address("address") else { return nil }
            self = .mayUser(user, sendAs: address)
        case ("GET", "/v1/texts"):
            guard let name = arguments["name"].flatMap({ try? DomainName($0) }) else { return nil }
            self = .texts(name)
        case ("POST", "/v1/tls-report"):
            guard let uri = arguments["to"] else { return nil }
            self = .postReport(body, uri: uri)
        default: return nil
        }
    }

    /// Percent-encodes everything but letters, digits and a few harmless signs (RFC 3986 §2.1).
    private static func escape(_ value: some CustomStringConvertible) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var text: [UInt8] = []
        for octet in "\(value)".utf8 {
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
                text.append(octet)
            default:
                text += [UInt8(ascii: "%"), digits[Int(octet >> 4)], digits[Int(octet & 15)]]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func unescape(_ text: String) -> String? {
        var octets: [UInt8] = []
        var iterator = text.utf8.makeIterator()
        while let octet = iterator.next() {
            guard octet == UInt8(ascii: "%") else {
                octets.append(octet)
                continue
            }
            // A number's own sign is none of the hexadecimal digits.
            guard let high = iterator.next(), let low = iterator.next(), high != UInt8(ascii: "+"), high != UInt8(ascii: "-"),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
            else { return nil }
            octets.append(value)
        }
        return String(validating: octets, as: UTF8.self)
    }
}

/// The answer to a control request.
struct ControlResponse: Sendable, Equatable {
    /// 200, 204, 400, 403, 404, 413 or 500.
    var status: Int
    var body: [UInt8] = []

    static let done = ControlResponse(status: 204)
    static let forbidden = ControlResponse(status: 403)
    static let unknown = ControlResponse(status: 404)
    static let malformed = ControlResponse(status: 400)
    static let tooLarge = ControlResponse(status: 413)

    /// A yes or a no.
    static func answer(_ value: Bool) -> ControlResponse { ControlResponse(status: 200, body: Array((value ? "yes" : "no").utf8)) }
}

/// A journey record as it travels between hosts.
struct TravellingRecord: Codable, Sendable {
    var trace: TraceID
    var time: Date
    var host: String
    var hostSequence: Int64
    var payload: String

    init(_ record: JourneyRecord) {
        trace = record.trace
        time = record.time
        host = record.host
        hostSequence = record.hostSequence
        payload = String(decoding: record.payload, as: UTF8.self)
    }

    /// The record, as a peer's. The words to find it by are made here: a host doesn't choose where its journeys are found.
    var record: JourneyRecord {
        let octets = Array(payload.utf8)
        let events = (try? JourneyCoding.decode(octets)) ?? []
        return JourneyRecord(
            trace: trace, time: time, host: host, hostSequence: hostSequence, payload: octets, keys: JourneySearchKeys.keys(of: events))
    }
}
