public import DNS
public import MailMessage

/// One place that a record asks reports to be sent to, whether they may go there, and why (RFC 9990 §4; for `ruf` RFC 9991 §5).
public struct DMARCReportDestination: Sendable {
    /// Whether reports may go there.
    public enum Verdict: String, Hashable, Sendable, Codable {
        /// It belongs to the organisation whose record asks for it.
        case sameOrganization
        /// It belongs to somebody who has agreed by a record.
        case authorized
        /// It belongs to somebody who has not agreed.
        case notAuthorized
        /// Whether somebody agrees could not be learnt now: it may be asked again later.
        case temporaryError
        /// Its own record sends reports to another host, which is never allowed.
        case redirectedElsewhere
        /// No URI, or no address in it.
        case malformed
        /// A URI of another scheme than `mailto`.
        case unsupportedScheme
        /// Over the limit of destinations; it was not looked at.
        case overLimit
        /// The same address stands before it.
        case repeated
    }

    /// The URI as it is written.
    public var uri: String
    /// The address in it.
    public var address: EmailAddress?
    /// The largest message that it wants, in octets (RFC 7489 §6.2, `!10m`); RFC 9989 has no such limit any more.
    public var sizeLimit: Int?
    /// Whether reports may go there.
    public var verdict: Verdict
    /// The question whether somebody agrees, where it was asked.
    public var lookup: DNSLookup?
    /// Addresses at the same host that its own record names instead (RFC 9990 §4 step 9).
    public var overrides: [EmailAddress] = []

    /// Where reports go: nowhere, to the address, or to those that stand for it.
    public var recipients: [EmailAddress] {
        switch verdict {
        case .sameOrganization, .authorized: overrides.isEmpty ? [address].compactMap { $0 } : overrides
        case .notAuthorized, .temporaryError, .redirectedElsewhere, .malformed, .unsupportedScheme, .overLimit, .repeated: []
        }
    }

    /// Looks at the destinations of a record in their order (RFC 9990 §3.5).
    /// - Parameters:
    ///   - list: the value of `rua` or `ruf`: URIs with commas between them.
    ///   - tag: `rua` or `ruf`: which tag of somebody's agreement names another address.
    ///   - policyDomain: where the record was found.
    ///   - limit: so many destinations of `mailto` are looked at; RFC 9990 wants a limit, and RFC 7489 §6.2 at least two.
    ///   - isSameOrganization: whether two domains have the same Organizational Domain (RFC 9989 §4.10.2).
    public static func evaluate(
        _ list: String, tag: String = "rua", policyDomain: DomainName, resolver: any Resolver, limit: Int = 5,
        isSameOrganization: (DomainName, DomainName) async -> Bool
    ) async -> [DMARCReportDestination] {
        var destinations: [DMARCReportDestination] = []
        var looked = 0
        for uri in list.split(separator: ",").prefix(100) {
            var destination = DMARCReportDestination(parsing: String(uri))
            if let address = destination.address {
                if destinations.contains(where: { $0.address == address }) {
                    destination.verdict = .repeated
                } else if looked == limit {
                    destination.verdict = .overLimit
                } else {
                    looked += 1
                    await destination.verify(tag, policyDomain, resolver, isSameOrganization)
                }
            }
            destinations.append(destination)
        }
        return destinations
    }

    /// `mailto:` with an address; what follows a question mark is ignored, and a size after an exclamation mark kept.
    init(parsing text: String) {
        uri = String(text.split(whereSeparator: { $0.isWhitespace }).joined().prefix(1024))
        verdict = .malformed
        guard let colon = uri.utf8.firstIndex(of: UInt8(ascii: ":")) else { return }
        guard uri[..<colon].lowercased() == "mailto" else {
            verdict = .unsupportedScheme
            return
        }
        var rest = uri[uri.index(after: colon)...]
        if let question = rest.firstIndex(of: "?") { rest = rest[..<question] }
        if let mark = rest.lastIndex(of: "!") {
            sizeLimit = Self.size(rest[rest.index(after: mark)...])
            rest = rest[..<mark]
        }
        guard let decoded = Self.percentDecoded(rest) else { return }
        address = try? EmailAddress(parsing: decoded)
    }

    private static func size(_ text: Substring) -> Int? {
        let units: [Character: Int] = ["k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40]
        let unit = text.last.flatMap { units[Character($0.lowercased())] }
        guard let number = Int(unit == nil ? text : text.dropLast()), number >= 0 else { return nil }
        let (size, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
        return overflow ? nil : size
    }

    private static func percentDecoded(_ text: Substring) -> String? {
        var result: [UInt8] = []
        var octets = Array(text.utf8)[...]
        while let octet = octets.popFirst() {
            guard octet == UInt8(ascii: "%") else {
                result.append(octet)
                continue
            }
            guard let high = octets.popFirst().flatMap(digit), let low = octets.popFirst().flatMap(digit) else { return nil }
            result.append(high << 4 | low)
        }
        return String(validating: result, as: UTF8.self)
    }

    private static func digit(_ octet: UInt8) -> UInt8? {
        switch octet {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): octet - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): octet - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): octet - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// RFC 9990 §4, steps 1 to 9.
    private mutating func verify(
        _ tag: String, _ policyDomain: DomainName, _ resolver: any Resolver, _ isSameOrganization: (DomainName, DomainName) async -> Bool
    ) async {
        guard let address, let host = try? DomainName(address.domain) else { return }
        if host == policyDomain {
            verdict = .sameOrganization
            return
        }
        if await isSameOrganization(policyDomain, host) {
            verdict = .sameOrganization
            return
        }
        verdict = .notAuthorized
        // Step 4: a name that is too long is no agreement.
        guard let question = try? DomainName("\(policyDomain.ascii)._report._dmarc.\(host.ascii)") else { return }
        let lookup = await DNSLookup(question, .txt, using: resolver)
        self.lookup = lookup
        switch lookup.result {
        case .failure(let error):
            // Bogus data stays bogus: nobody has agreed.
            verdict = error.code == .timeout || error.code == .serverFailure ? .temporaryError : .notAuthorized
        case .success(let answer):
            let agreements = answer.records.compactMap(Self.agreement)
            guard !agreements.isEmpty else { return }
            verdict = .authorized
            takeOverrides(agreements.compactMap { $0[tag] }, host: host)
        }
    }

    /// `v=DMARC1` first, as in a policy record (step 6).
    private static func agreement(_ data: DNSRecordData) -> TagList? {
        guard case .txt(let octets) = data, let list = try? TagList(parsing: octets), let first = list.tags.first, first.name == "v",
            first.value == "DMARC1"
        else { return nil }
        return list
    }

    /// Step 9; whoever points to another host gets nothing at all.
    private mutating func takeOverrides(_ lists: [String], host: DomainName) {
        var found: [EmailAddress] = []
        for uri in lists.flatMap({ $0.split(separator: ",").prefix(10) }) {
            guard let address = DMARCReportDestination(parsing: String(uri)).address else { continue }
            guard let other = try? DomainName(address.domain), other == host else {
                verdict = .redirectedElsewhere
                return
            }
            if !found.contains(address), found.count < 10 { found.append(address) }
        }
        overrides = found
    }
}
