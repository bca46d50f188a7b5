import FoundationEssentials

/// The members of a JSON object that a server sent, read with the words of what is missing.
struct ACMEMembers {
    let what: String
    let members: [String: JSONValue]
    let limits: ACMELimits

    init(_ value: JSONValue, _ what: String, limits: ACMELimits) throws(ACMEError) {
        guard let members = value.object else { throw ACMEError(.protocolViolation, "\(what) is no JSON object (RFC 8555 §7.1)") }
        self.what = what
        self.members = members
        self.limits = limits
    }

    func string(_ name: String) throws(ACMEError) -> String {
        guard let text = members[name]?.string else { throw ACMEError(.protocolViolation, "\(what) has no “\(name)” (RFC 8555 §7.1)") }
        return text
    }

    func url(_ name: String) throws(ACMEError) -> String { try Self.url(string(name), "“\(name)” of \(what)", limits: limits) }

    func optionalURL(_ name: String) throws(ACMEError) -> String? { members[name]?.string == nil ? nil : try url(name) }

    func array(_ name: String, limit: Int) throws(ACMEError) -> [JSONValue] {
        guard let values = members[name]?.array else { throw ACMEError(.protocolViolation, "\(what) has no list “\(name)” (RFC 8555 §7.1)") }
        guard values.count <= limit else { throw ACMEError(.limitExceeded, "“\(name)” of \(what) has \(values.count) members; \(limit) are taken") }
        return values
    }

    func status<Status: RawRepresentable<String>>(_ type: Status.Type) throws(ACMEError) -> Status {
        let text = try string("status")
        guard let status = Status(rawValue: text) else {
            throw ACMEError(.protocolViolation, "\(what) has the unknown status “\(text.prefix(40))” (RFC 8555 §7.1.6)")
        }
        return status
    }

    /// RFC 8555 §6.1: everything is HTTPS. The characters are those of RFC 3986, so that nothing else gets into a request.
    static func url(_ text: String, _ what: String, limits: ACMELimits) throws(ACMEError) -> String {
        let prefix = "https://"
        let host = text.dropFirst(prefix.utf8.count).prefix { !"/?#".contains($0) }
        guard text.utf8.count <= limits.urlSizeLimit, text.lowercased().hasPrefix(prefix), !host.isEmpty, !host.contains("@"),
            text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">") })
        else { throw ACMEError(.protocolViolation, "\(what) is no https URL: “\(text.prefix(100))” (RFC 8555 §6.1)") }
        return text
    }
}
