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
    /// The largest message that it wants, in octets (RFC 7489 §6.2, `!10m`); RFC 9989 §4.8 has it ignored.
    public var sizeLimit: UInt64?
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

    /// One URI with blanks around it.
    init(parsing text: String) {
        let trimmed = String(decoding: text.utf8.drop(while: TagList.isSpace), as: UTF8.self)
        let octets = Array(trimmed.utf8)
        let end = (octets.lastIndex { !TagList.isSpace($0) } ?? -1) + 1
        let written = String(decoding: octets[..<end], as: UTF8.self)
        uri = String(written.prefix(1024))
        verdict = .malformed
        guard let parsed = DMARCReportingURI(parsing: written) else { return }
        address = parsed.mailbox
        sizeLimit = parsed.obsoleteSizeLimit
        if address == nil { verdict = .unsupportedScheme }
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
