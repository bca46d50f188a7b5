import DNS

extension DMARCAggregateReport {
    /// Reads the XML of a report (RFC 9990 §3.1.1, RFC 7489 Appendix C), extensions left out.
    ///
    /// Without the parts that make a report one it is refused; other deviations are named in ``problems``.
    /// - Throws: ``ReportError``.
    public init(parsing xml: [UInt8], limits: ReportLimits = ReportLimits()) throws(ReportError) {
        var reader = DMARCReportReader(limits: limits)
        self = try reader.read(xml)
    }
}

/// Puts a report together from the events of its XML.
struct DMARCReportReader {
    /// An element in which others are looked for; what it has besides is an extension, or unknown.
    private struct Container {
        var containers: Set<String> = []
        var values: Set<String> = []
    }

    private static let containers: [String: Container] = [
        "feedback": Container(containers: ["report_metadata", "policy_published", "record"], values: ["version"]),
        "feedback/report_metadata": Container(
            containers: ["date_range"], values: ["org_name", "email", "extra_contact_info", "report_id", "error", "generator"]),
        "feedback/report_metadata/date_range": Container(values: ["begin", "end"]),
        "feedback/policy_published": Container(
            values: ["domain", "p", "sp", "np", "adkim", "aspf", "discovery_method", "fo", "testing", "pct", "version_published"]),
        "feedback/record": Container(containers: ["row", "identifiers", "auth_results"]),
        "feedback/record/row": Container(containers: ["policy_evaluated"], values: ["source_ip", "count"]),
        "feedback/record/row/policy_evaluated": Container(containers: ["reason"], values: ["disposition", "dkim", "spf"]),
        "feedback/record/row/policy_evaluated/reason": Container(values: ["type", "comment"]),
        "feedback/record/identifiers": Container(values: ["header_from", "envelope_from", "envelope_to"]),
        "feedback/record/auth_results": Container(containers: ["dkim", "spf"]),
        "feedback/record/auth_results/dkim": Container(values: ["domain", "selector", "result", "human_result"]),
        "feedback/record/auth_results/spf": Container(values: ["domain", "scope", "result", "human_result"]),
    ]

    private let limits: ReportLimits
    /// The elements that are open, as far as they are read, each with those around it.
    private var path: [String] = []
    private var text = ""
    private var line = 1
    /// How many elements are open that aren't read.
    private var skipped = 0
    private var namespace = ""

    private var version: String?
    /// The values of the metadata and policy, of the record that is open, and of the group in it that is open.
    private var fields: [[String: String]] = [[:], [:], [:]]
    private var level = 0
    private var errors: [String] = []
    private var seen: Set<String> = []
    private var seenInRecord: Set<String> = []
    private var metadata: DMARCAggregateReport.Metadata?
    private var policy: DMARCAggregateReport.Policy?
    private var records: [DMARCAggregateReport.Record] = []
    private var reasons: [DMARCAggregateReport.Reason] = []
    private var dkimResults: [DMARCAggregateReport.DKIMResult] = []
    private var spfResults: [DMARCAggregateReport.SPFResult] = []
    private var problems: [DMARCReportProblem] = []
    private var problemCount = 0

    init(limits: ReportLimits) { self.limits = limits }

    mutating func read(_ xml: [UInt8]) throws(ReportError) -> DMARCAggregateReport {
        let start = xml.firstIndex { $0 != 0x20 && $0 != 0x09 && $0 != 0x0A && $0 != 0x0D } ?? 0
        if start > 0 { note(.leadingOctets, "feedback", "") }
        var xmlLimits = XMLEventReader.Limits()
        xmlLimits.size = limits.outputOctets
        xmlLimits.elements = 16_000_000
        xmlLimits.depth = 32
        xmlLimits.attributes = 32
        xmlLimits.textLength = 65_536
        // Some reports name a style sheet; nothing is fetched.
        xmlLimits.allowsProcessingInstructions = true
        do {
            try XMLEventReader(limits: xmlLimits).read(start == 0 ? xml : Array(xml[start...])) { event in try take(event) }
        } catch let error as ReportError {
            throw error
        } catch let error as XMLEventReader.Failure {
            throw ReportError.xml(error)
        } catch {
            throw ReportError(.xml, "\(error)")
        }
        return try report()
    }

    private mutating func take(_ event: XMLEventReader.Event) throws(ReportError) {
        switch event {
        case .start(let name, _, let place):
            line = place.line
            try begin(name)
        case .text(let text): if skipped == 0 { self.text += text }
        case .end: try end()
        case .processingInstruction: break
        }
    }

    // MARK: - Elements

    private mutating func begin(_ element: XMLEventReader.Name) throws(ReportError) {
        if skipped > 0 {
            skipped += 1
            return
        }
        text = ""
        guard !path.isEmpty else {
            guard element.local == "feedback" else {
                throw ReportError(
                    .notAReport, "the outermost element is “\(element.local.prefix(64))”, not “feedback” (RFC 9990 §3.1.1.1)", line: line)
            }
            namespace = element.namespace
            path = ["feedback"]
            if !["", DMARCAggregateReport.namespace, "http://dmarc.org/dmarc-xml/0.1"].contains(namespace) {
                note(.unknownFormat, "feedback", namespace)
            }
            return
        }
        // Children are qualified in RFC 9990 and unqualified in RFC 7489; what is in another namespace is an extension (RFC 9990 §5).
        guard element.namespace == namespace || element.namespace.isEmpty, let parent = path.last, let known = Self.containers[parent] else {
            skipped = 1
            return
        }
        if known.containers.contains(element.local) {
            let name = "\(parent)/\(element.local)"
            path.append(name)
            beginContainer(name)
        } else if known.values.contains(element.local) {
            path.append("\(parent)/\(element.local)")
        } else {
            skipped = 1
        }
    }

    private mutating func beginContainer(_ name: String) {
        switch name {
        case "feedback/record":
            level = 1
            fields[1].removeAll(keepingCapacity: true)
            seenInRecord.removeAll(keepingCapacity: true)
            reasons = []
            dkimResults = []
            spfResults = []
        case "feedback/record/row/policy_evaluated/reason", "feedback/record/auth_results/dkim", "feedback/record/auth_results/spf":
            level = 2
            fields[2].removeAll(keepingCapacity: true)
        default:
            let isNew = level == 0 ? seen.insert(name).inserted : seenInRecord.insert(name).inserted
            if !isNew { note(.repeated, name, "") }
        }
    }

    private mutating func end() throws(ReportError) {
        if skipped > 0 {
            skipped -= 1
            return
        }
        let value = trimmed(text)
        text = ""
        if let finished = path.popLast() { try finish(finished, value) }
    }

    /// Without the blanks around it. A line end or tab within is a blank, as when a report is written: lines are folded by who indents them.
    private func trimmed(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 }) || text.utf8.first == 0x20 || text.utf8.last == 0x20 else { return text }
        let octets = text.utf8.map { TagList.isSpace($0) ? 0x20 : $0 }
        guard let first = octets.firstIndex(where: { $0 != 0x20 }), let last = octets.lastIndex(where: { $0 != 0x20 }) else { return "" }
        return String(decoding: octets[first...last], as: UTF8.self)
    }

    private mutating func finish(_ element: String, _ value: String) throws(ReportError) {
        switch element {
        case "feedback", "feedback/record/row", "feedback/record/row/policy_evaluated", "feedback/record/identifiers",
            "feedback/report_metadata/date_range":
            break
        case "feedback/version": if version == nil { version = value }
        case "feedback/report_metadata/error": if errors.count < 100 { errors.append(value) }
        case "feedback/report_metadata": if metadata == nil { metadata = try finishedMetadata() }
        case "feedback/policy_published": if policy == nil { policy = try finishedPolicy() }
        case "feedback/record/auth_results": break
        case "feedback/record":
            try finishRecord()
            level = 0
        case "feedback/record/row/policy_evaluated/reason":
            try finishReason()
            level = 1
        case "feedback/record/auth_results/dkim":
            try finishDKIM()
            level = 1
        case "feedback/record/auth_results/spf":
            try finishSPF()
            level = 1
        default:
            if fields[level][element] == nil {
                fields[level][element] = value
            } else {
                note(.repeated, element, value)
            }
        }
    }

    // MARK: - Groups

    private mutating func finishedMetadata() throws(ReportError) -> DMARCAggregateReport.Metadata {
        let base = "feedback/report_metadata"
        let organization = try required("\(base)/org_name")
        let reportID = try required("\(base)/report_id")
        for (field, value) in [("org_name", organization), ("report_id", reportID)] where value.utf8.count > limits.nameOctets {
            throw ReportError(
                .invalidValue, "“\(field)” has more than \(limits.nameOctets) octets", field: "\(base)/\(field)", line: line)
        }
        guard seen.contains("\(base)/date_range") else { throw ReportError.missing("\(base)/date_range", line: line) }
        let begin = try moment("\(base)/date_range/begin")
        let end = try moment("\(base)/date_range/end")
        if end < begin || end - begin > 366 * 86_400 { note(.implausiblePeriod, "\(base)/date_range", "\(begin) to \(end)") }
        let email = value("\(base)/email")
        if email?.isEmpty ?? true { note(.missing, "\(base)/email", "") }
        return DMARCAggregateReport.Metadata(
            organizationName: organization, email: email, extraContactInfo: value("\(base)/extra_contact_info"), reportID: reportID,
            begin: begin, end: end, errors: errors, generator: value("\(base)/generator"))
    }

    private mutating func finishedPolicy() throws(ReportError) -> DMARCAggregateReport.Policy {
        let base = "feedback/policy_published"
        let domain = try required("\(base)/domain")
        checkDomain(domain, "\(base)/domain")
        _ = try required("\(base)/p")
        var policy = DMARCAggregateReport.Policy(domain: domain, domainPolicy: word("\(base)/p") ?? .none)
        // What passed is no policy (RFC 9990 Appendix A, DispositionType).
        if policy.domainPolicy == .pass { note(.unknownWord, "\(base)/p", "pass") }
        policy.subdomainPolicy = optionalWord("\(base)/sp")
        policy.nonexistentDomainPolicy = optionalWord("\(base)/np")
        policy.dkimAlignment = optionalWord("\(base)/adkim")
        policy.spfAlignment = optionalWord("\(base)/aspf")
        policy.discovery = optionalWord("\(base)/discovery_method")
        policy.failureOptions = value("\(base)/fo")
        policy.versionPublished = value("\(base)/version_published")
        if let text = value("\(base)/testing"), !text.isEmpty {
            switch text.lowercased() {
            case "y": policy.isTesting = true
            case "n": policy.isTesting = false
            default: note(.unknownWord, "\(base)/testing", text)
            }
        }
        if let text = value("\(base)/pct"), !text.isEmpty {
            policy.percentage = Int(text).flatMap { (0...100).contains($0) ? $0 : nil }
            if policy.percentage == nil { note(.invalidValue, "\(base)/pct", text) }
        }
        return policy
    }

    private mutating func finishRecord() throws(ReportError) {
        let base = "feedback/record"
        guard records.count < limits.records else {
            throw ReportError(.tooMany, "there are more than \(limits.records) records", field: base, line: line)
        }
        for group in ["row", "row/policy_evaluated", "identifiers", "auth_results"] where !seenInRecord.contains("\(base)/\(group)") {
            throw ReportError.missing("\(base)/\(group)", line: line)
        }
        let source = try required("\(base)/row/source_ip")
        if IPAddress(source) == nil { note(.invalidValue, "\(base)/row/source_ip", source) }
        let evaluated = "\(base)/row/policy_evaluated"
        let headerFrom = try required("\(base)/identifiers/header_from")
        checkDomain(headerFrom, "\(base)/identifiers/header_from")
        let count = try number("\(base)/row/count")
        records.append(
            DMARCAggregateReport.Record(
                sourceIP: source, count: count, disposition: word("\(evaluated)/disposition") ?? DMARCReportDisposition(rawValue: ""),
                // Deliberate: what isn't said to have passed has failed.
                dkim: word("\(evaluated)/dkim") ?? .fail, spf: word("\(evaluated)/spf") ?? .fail, reasons: reasons, headerFrom: headerFrom,
                envelopeFrom: value("\(base)/identifiers/envelope_from"), envelopeTo: value("\(base)/identifiers/envelope_to"),
                dkimResults: dkimResults, spfResults: spfResults))
    }

    private mutating func finishReason() throws(ReportError) {
        let base = "feedback/record/row/policy_evaluated/reason"
        guard reasons.count < limits.signatures else { throw tooMany(base) }
        let type: DMARCReportOverride? = word("\(base)/type")
        let comment = value("\(base)/comment").flatMap { $0.isEmpty ? nil : $0 }
        reasons.append(DMARCAggregateReport.Reason(type: type ?? DMARCReportOverride(rawValue: ""), comment: comment))
    }

    private mutating func finishDKIM() throws(ReportError) {
        let base = "feedback/record/auth_results/dkim"
        guard dkimResults.count < limits.signatures else { throw tooMany(base) }
        let domain = value("\(base)/domain") ?? ""
        // Where nothing was signed, some write a signature of no domain.
        if domain.isEmpty { note(.missing, "\(base)/domain", "") }
        dkimResults.append(
            DMARCAggregateReport.DKIMResult(
                domain: domain, selector: value("\(base)/selector"), result: word("\(base)/result") ?? DMARCReportResult(rawValue: ""),
                humanResult: value("\(base)/human_result")))
    }

    private mutating func finishSPF() throws(ReportError) {
        let base = "feedback/record/auth_results/spf"
        guard spfResults.count < limits.signatures else { throw tooMany(base) }
        let domain = value("\(base)/domain") ?? ""
        if domain.isEmpty { note(.missing, "\(base)/domain", "") }
        spfResults.append(
            DMARCAggregateReport.SPFResult(
                domain: domain, scope: optionalWord("\(base)/scope"), result: word("\(base)/result") ?? DMARCReportResult(rawValue: ""),
                humanResult: value("\(base)/human_result")))
    }

    private mutating func report() throws(ReportError) -> DMARCAggregateReport {
        guard let metadata else { throw ReportError.missing("feedback/report_metadata") }
        guard let policy else { throw ReportError.missing("feedback/policy_published") }
        guard !records.isEmpty else { throw ReportError.missing("feedback/record") }
        var report = DMARCAggregateReport(namespace: namespace, version: version, metadata: metadata, policy: policy, records: records)
        report.problems = problems
        report.problemCount = problemCount
        return report
    }

    // MARK: - Values

    private func value(_ field: String) -> String? { fields[2][field] ?? fields[1][field] ?? fields[0][field] }

    private func tooMany(_ field: String) -> ReportError {
        ReportError(.tooMany, "a record has more than \(limits.signatures) elements “\(field)”", field: field, line: line)
    }

    private func required(_ field: String) throws(ReportError) -> String {
        guard let value = value(field), !value.isEmpty else { throw ReportError.missing(field, line: line) }
        return value
    }

    private func invalid(_ field: String, _ value: String, _ what: String) -> ReportError {
        ReportError(.invalidValue, "“\(field)” is “\(value.prefix(64))”, which is no \(what)", field: field, line: line)
    }

    /// Seconds since 1970 UTC, within the years of four digits.
    private func moment(_ field: String) throws(ReportError) -> Int {
        let text = try required(field)
        guard let value = Int(text), (0...253_402_300_799).contains(value) else { throw invalid(field, text, "time in seconds since 1970") }
        return value
    }

    private func number(_ field: String) throws(ReportError) -> Int {
        let text = try required(field)
        // Sums of records stay numbers, also in JSON.
        guard let value = Int(text), (0...1 << 53).contains(value) else { throw invalid(field, text, "number of messages") }
        return value
    }

    /// A word that must be there.
    private mutating func word<Word: DMARCReportVocabulary>(_ field: String) -> Word? {
        guard let text = value(field), !text.isEmpty else {
            note(.missing, field, "")
            return nil
        }
        let word = Word(reading: text)
        if !word.isKnown { note(.unknownWord, field, text) }
        return word
    }

    private mutating func optionalWord<Word: DMARCReportVocabulary>(_ field: String) -> Word? {
        value(field).flatMap { $0.isEmpty ? nil : $0 } == nil ? nil : word(field)
    }

    private mutating func checkDomain(_ text: String, _ field: String) {
        if (try? DomainName(text)) == nil { note(.invalidValue, field, text) }
    }

    private mutating func note(_ code: DMARCReportProblem.Code, _ field: String, _ value: String) {
        problemCount += 1
        if problems.count < limits.problems { problems.append(DMARCReportProblem(code, field: field, line: line, value: value)) }
    }
}
