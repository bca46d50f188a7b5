import DNS
import MailAuthentication
import MailMessage

/// A report that the tests share.
enum ReportSample {
    static let record = DMARCAggregateReport.Record(
        sourceIP: "203.0.113.7", count: 12, disposition: .reject, dkim: .fail, spf: .fail,
        reasons: [.init(type: .mailingList, comment: "<a & b> \"c\"")], headerFrom: "kartapuce.test", envelopeFrom: "list.test",
        envelopeTo: "receiver.test",
        dkimResults: [
            .init(domain: "list.test", selector: "s1", result: .pass),
            .init(domain: "kartapuce.test", selector: "s2", result: .fail, humanResult: "the body has changed"),
        ],
        spfResults: [.init(domain: "list.test", result: .pass)])

    static let report = DMARCAggregateReport(
        metadata: .init(
            organizationName: "Receiver & Söhne", email: "dmarc@receiver.test", extraContactInfo: "https://receiver.test/", reportID: "42.x@receiver.test",
            begin: 1_795_824_000, end: 1_795_910_399, errors: ["two records"], generator: "Postern"),
        policy: .init(
            domain: "kartapuce.test", domainPolicy: .reject, subdomainPolicy: .quarantine, nonexistentDomainPolicy: .reject, dkimAlignment: .strict,
            spfAlignment: .relaxed, discovery: .treeWalk, failureOptions: "1:d", isTesting: false),
        records: [
            record,
            .init(
                sourceIP: "2001:db8::7", count: 1, disposition: .pass, dkim: .pass, spf: .fail, headerFrom: "kartapuce.test", envelopeFrom: "",
                dkimResults: [.init(domain: "kartapuce.test", selector: "s2", result: .pass)]),
        ])

    /// The same octets again and again, about so many of them.
    static func repeated(_ unit: [UInt8], octets: Int) -> [UInt8] {
        var result = unit
        while result.count < octets { result += result.prefix(octets / unit.count * unit.count - result.count + unit.count) }
        return result
    }

    /// A report of RFC 7489 in parts, each of which a test may change.
    static func xml(
        metadata: String = "<org_name>R</org_name><email>a@r.test</email><report_id>1</report_id>",
        range: String = "<date_range><begin>1</begin><end>2</end></date_range>",
        policy: String = "<domain>kartapuce.test</domain><p>none</p><sp>none</sp><pct>100</pct>",
        row: String = "<source_ip>203.0.113.7</source_ip><count>2</count>",
        evaluated: String = "<policy_evaluated><disposition>none</disposition><dkim>fail</dkim><spf>pass</spf></policy_evaluated>",
        identifiers: String = "<identifiers><header_from>kartapuce.test</header_from></identifiers>",
        results: String = "<auth_results><spf><domain>kartapuce.test</domain><scope>mfrom</scope><result>pass</result></spf></auth_results>",
        root: String = "<feedback>", end: String = "</feedback>"
    ) -> [UInt8] {
        let record = "<record><row>\(row)\(evaluated)</row>\(identifiers)\(results)</record>"
        let head = "<report_metadata>\(metadata)\(range)</report_metadata><policy_published>\(policy)</policy_published>"
        return Array("<?xml version=\"1.0\"?>\(root)\(head)\(record)\(end)".utf8)
    }
}
