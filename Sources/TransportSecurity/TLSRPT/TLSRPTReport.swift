public import DNS
public import FoundationEssentials

/// A report on TLS for one domain and one day (RFC 8460 §4.4). How such reports are read stands in MailAuthentication.
public struct TLSRPTReport: Hashable, Sendable {
    /// Who reports.
    public var organization: String
    /// An address of theirs; its domain is the submitter (RFC 8460 §5.3).
    public var contact: String
    /// Unique: `id-left@id-right` for a report that goes by mail (RFC 8460 §5.3).
    public var identifier: String
    /// What came of the sessions.
    public var results: TLSRPTResults

    /// Makes a report.
    public init(organization: String, contact: String, identifier: String, results: TLSRPTResults) {
        self.organization = organization
        self.contact = contact
        self.identifier = identifier
        self.results = results
    }

    /// The last second of the day.
    public var end: Date { results.day.addingTimeInterval(86_399) }

    /// The domain of the contact.
    public var submitter: DomainName? { contact.lastIndex(of: "@").flatMap { try? DomainName(contact[contact.index(after: $0)...]) } }

    /// The report as JSON (RFC 8460 §4.4): the same octets for the same report, members in the order of the RFC, policies and failures sorted.
    public func json() -> [UInt8] {
        var writer = TLSRPTJSONWriter()
        writer.object { writer in
            writer.member("organization-name", organization)
            writer.key("date-range")
            writer.object { writer in
                writer.member("start-datetime", results.day.formatted(.iso8601))
                writer.member("end-datetime", end.formatted(.iso8601))
            }
            writer.member("contact-info", contact)
            writer.member("report-id", identifier)
            writer.key("policies")
            writer.array(results.policies.sorted { Self.order($0.key) < Self.order($1.key) }) { writer, item in
                writer.object { writer in Self.write(item.key, item.value, &writer) }
            }
        }
        return writer.octets
    }

    private static func order(_ policy: TLSRPTPolicy) -> String {
        ([policy.kind.rawValue, policy.domain.ascii] + policy.exchangers + policy.lines).joined(separator: "\u{0}")
    }

    private static func order(_ failure: TLSRPTFailure) -> String {
        [
            failure.result.rawValue, failure.receivingHost?.ascii ?? "", failure.receivingAddress.map { "\($0)" } ?? "",
            failure.sendingAddress.map { "\($0)" } ?? "", failure.receivingHELO ?? "", failure.reason ?? "", failure.information ?? "",
        ].joined(separator: "\u{0}")
    }

    private static func write(_ policy: TLSRPTPolicy, _ counts: TLSRPTResults.Counts, _ writer: inout TLSRPTJSONWriter) {
        writer.key("policy")
        writer.object { writer in
            writer.member("policy-type", policy.kind.rawValue)
            if !policy.lines.isEmpty { writer.member("policy-string", policy.lines) }
            writer.member("policy-domain", policy.domain.ascii)
            if !policy.exchangers.isEmpty { writer.member("mx-host", policy.exchangers) }
        }
        writer.key("summary")
        writer.object { writer in
            writer.member("total-successful-session-count", counts.successes)
            writer.member("total-failure-session-count", counts.failures)
        }
        guard !counts.details.isEmpty else { return }
        writer.key("failure-details")
        writer.array(counts.details.sorted { order($0.key) < order($1.key) }) { writer, item in
            writer.object { writer in
                let failure = item.key
                writer.member("result-type", failure.result.rawValue)
                if let address = failure.sendingAddress { writer.member("sending-mta-ip", "\(address)") }
                if let host = failure.receivingHost { writer.member("receiving-mx-hostname", host.ascii) }
                if let name = failure.receivingHELO { writer.member("receiving-mx-helo", name) }
                if let address = failure.receivingAddress { writer.member("receiving-ip", "\(address)") }
                writer.member("failed-session-count", item.value)
                if let uri = failure.information { writer.member("additional-information", uri) }
                if let reason = failure.reason { writer.member("failure-reason-code", reason) }
            }
        }
    }
}

/// Writes JSON (RFC 8259) without blanks.
struct TLSRPTJSONWriter {
    private(set) var octets: [UInt8] = []
    private var needsComma = false

    mutating func object(_ body: (inout TLSRPTJSONWriter) -> Void) {
        begin("{")
        body(&self)
        end("}")
    }

    mutating func array<Item>(_ items: [Item], _ body: (inout TLSRPTJSONWriter, Item) -> Void) {
        begin("[")
        for item in items { body(&self, item) }
        end("]")
    }

    mutating func key(_ name: String) {
        string(name)
        octets.append(UInt8(ascii: ":"))
        needsComma = false
    }

    mutating func member(_ name: String, _ value: String) {
        key(name)
        string(value)
    }

    mutating func member(_ name: String, _ values: [String]) {
        key(name)
        array(values) { $0.string($1) }
    }

    mutating func member(_ name: String, _ value: UInt64) {
        key(name)
        octets += Array(String(value).utf8)
        needsComma = true
    }

    private mutating func begin(_ bracket: Unicode.Scalar) {
        if needsComma { octets.append(UInt8(ascii: ",")) }
        octets.append(UInt8(ascii: bracket))
        needsComma = false
    }

    private mutating func end(_ bracket: Unicode.Scalar) {
        octets.append(UInt8(ascii: bracket))
        needsComma = true
    }

    /// RFC 8259 §7.
    private mutating func string(_ text: String) {
        if needsComma { octets.append(UInt8(ascii: ",")) }
        octets.append(UInt8(ascii: "\""))
        for octet in text.utf8 {
            switch octet {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): octets += [UInt8(ascii: "\\"), octet]
            case 0..<0x20, 0x7F: octets += Array("\\u00\(Hexadecimal.text([octet]))".utf8)
            default: octets.append(octet)
            }
        }
        octets.append(UInt8(ascii: "\""))
        needsComma = true
    }
}
