extension DMARCAggregateReport {
    /// So many signatures of a record are written (RFC 9990 §3.1.3).
    public static let writtenSignatureLimit = 100

    /// The report as XML that is valid against the schema of RFC 9990 Appendix A, the same for the same report.
    ///
    /// What the schema has no word for is written as its nearest one: other reasons as `other` with their word in the comment, other results as
    /// `neutral`; an SPF result of another scope than MAIL FROM is left out.
    /// - Throws: ``ReportError`` without a record, without a name, Report-ID or domain, and for a negative count or time.
    public func xml() throws(ReportError) -> [UInt8] {
        guard !records.isEmpty else { throw ReportError.missing("feedback/record") }
        for (field, value) in [
            ("report_metadata/org_name", metadata.organizationName), ("report_metadata/email", metadata.email ?? ""),
            ("report_metadata/report_id", metadata.reportID), ("policy_published/domain", policy.domain),
        ] where value.isEmpty {
            throw ReportError.missing("feedback/\(field)")
        }
        guard metadata.begin >= 0, metadata.end >= metadata.begin else {
            throw ReportError(.invalidValue, "the period ends before it begins", field: "feedback/report_metadata/date_range")
        }
        var writer = XMLWriter()
        writer.element("feedback", attributes: " xmlns=\"\(Self.namespace)\"") { writer in
            writer.value("version", "1.0")
            metadata.write(&writer)
            policy.write(&writer)
            for record in records { record.write(&writer, policyDomain: policy.domain) }
        }
        for record in records where record.count < 0 || record.sourceIP.isEmpty || record.headerFrom.isEmpty {
            throw ReportError(.invalidValue, "a record has no address, no domain of From or a negative count", field: "feedback/record")
        }
        return writer.octets
    }

    /// ``xml()`` compressed as gzip, the same octets for the same report.
    public func gzip() throws(ReportError) -> [UInt8] { try ReportDeflater.gzip(xml()) }
}

extension DMARCAggregateReport.Metadata {
    fileprivate func write(_ writer: inout XMLWriter) {
        writer.element("report_metadata") { writer in
            writer.value("org_name", organizationName)
            writer.value("email", email ?? "")
            writer.optional("extra_contact_info", extraContactInfo)
            writer.value("report_id", reportID)
            writer.element("date_range") { writer in
                writer.value("begin", String(begin))
                writer.value("end", String(end))
            }
            // RFC 9990 has one text where RFC 7489 had many.
            writer.optional("error", errors.isEmpty ? nil : String(errors.joined(separator: "; ").prefix(4096)))
            writer.optional("generator", generator)
        }
    }
}

extension DMARCAggregateReport.Policy {
    fileprivate func write(_ writer: inout XMLWriter) {
        func policy(_ word: DMARCReportDisposition) -> String { word.isKnown && word != .pass ? word.rawValue : "none" }
        writer.element("policy_published") { writer in
            writer.value("domain", domain)
            if let discovery, discovery.isKnown { writer.value("discovery_method", discovery.rawValue) }
            writer.value("p", policy(domainPolicy))
            writer.optional("sp", subdomainPolicy.map(policy))
            writer.optional("np", nonexistentDomainPolicy.map(policy))
            writer.optional("fo", failureOptions)
            if let dkimAlignment, dkimAlignment.isKnown { writer.value("adkim", dkimAlignment.rawValue) }
            if let spfAlignment, spfAlignment.isKnown { writer.value("aspf", spfAlignment.rawValue) }
            writer.optional("testing", isTesting.map { $0 ? "y" : "n" })
        }
    }
}

extension DMARCAggregateReport.Record {
    fileprivate func write(_ writer: inout XMLWriter, policyDomain: String) {
        writer.element("record") { writer in
            writer.element("row") { writer in
                writer.value("source_ip", sourceIP)
                writer.value("count", String(count))
                writer.element("policy_evaluated") { writer in
                    writer.value("disposition", disposition.isKnown ? disposition.rawValue : "none")
                    writer.value("dkim", dkim == .pass ? "pass" : "fail")
                    writer.value("spf", spf == .pass ? "pass" : "fail")
                    for reason in reasons { reason.write(&writer) }
                }
            }
            writer.element("identifiers") { writer in
                writer.value("header_from", headerFrom)
                writer.optional("envelope_from", envelopeFrom)
                writer.optional("envelope_to", envelopeTo)
            }
            writer.element("auth_results") { writer in
                for result in preferredSignatures(policyDomain) { result.write(&writer) }
                // Only MAIL FROM counts (RFC 9990 §3.1.1.13), and one result stands at most.
                if let result = spfResults.first(where: { ($0.scope ?? .mailFrom) == .mailFrom }) { result.write(&writer) }
            }
        }
    }

    /// At most 100, first those that pass and are aligned (RFC 9990 §3.1.3); below the policy's domain counts as aligned here.
    private func preferredSignatures(_ policyDomain: String) -> [DMARCAggregateReport.DKIMResult] {
        func rank(_ result: DMARCAggregateReport.DKIMResult) -> Int {
            guard result.result == .pass else { return 3 }
            let domain = result.domain.lowercased()
            if domain == headerFrom.lowercased() { return 0 }
            return domain == policyDomain.lowercased() || domain.hasSuffix("." + policyDomain.lowercased()) ? 1 : 2
        }
        let sorted = dkimResults.enumerated().sorted { (rank($0.element), $0.offset) < (rank($1.element), $1.offset) }
        return sorted.prefix(DMARCAggregateReport.writtenSignatureLimit).map(\.element)
    }
}

extension DMARCAggregateReport.Reason {
    fileprivate func write(_ writer: inout XMLWriter) {
        let isCurrent = type.isKnown && type != .forwarded && type != .sampledOut
        writer.element("reason") { writer in
            writer.value("type", isCurrent ? type.rawValue : "other")
            let whole = isCurrent ? comment : [type.rawValue, comment].compactMap { $0 }.joined(separator: ": ")
            writer.optional("comment", whole)
        }
    }
}

extension DMARCAggregateReport.DKIMResult {
    fileprivate func write(_ writer: inout XMLWriter) {
        writer.element("dkim") { writer in
            writer.value("domain", domain)
            writer.value("selector", selector ?? "")
            writer.value("result", result.isKnown && result != .softfail ? result.rawValue : "neutral")
            writer.optional("human_result", humanResult)
        }
    }
}

extension DMARCAggregateReport.SPFResult {
    fileprivate func write(_ writer: inout XMLWriter) {
        writer.element("spf") { writer in
            writer.value("domain", domain)
            writer.optional("scope", scope == .mailFrom ? "mfrom" : nil)
            writer.value("result", result.isKnown ? result.rawValue : "neutral")
            writer.optional("human_result", humanResult)
        }
    }
}

/// Writes indented XML in UTF-8; no value can become markup.
struct XMLWriter {
    private(set) var octets = Array("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".utf8)
    private var depth = 0

    /// An element with others in it. Names and attributes are ours and need no escape.
    mutating func element(_ name: StaticString, attributes: String = "", _ body: (inout XMLWriter) -> Void) {
        indent()
        octets += "<\(name)\(attributes)>\n".utf8
        depth += 1
        body(&self)
        depth -= 1
        indent()
        octets += "</\(name)>\n".utf8
    }

    /// An element with a text in it.
    mutating func value(_ name: StaticString, _ text: String) {
        indent()
        octets += "<\(name)>".utf8
        octets += XMLText.escaped(text).utf8
        octets += "</\(name)>\n".utf8
    }

    /// An element with a text in it, where there is a text.
    mutating func optional(_ name: StaticString, _ text: String?) {
        if let text { value(name, text) }
    }

    private mutating func indent() { octets += repeatElement(UInt8(ascii: " "), count: 2 * depth) }
}
