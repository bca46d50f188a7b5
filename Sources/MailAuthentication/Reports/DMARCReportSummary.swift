/// Who sends as a domain: the records of one or more aggregate reports, added up by address and domain of From.
public struct DMARCReportSummary: Hashable, Sendable, Codable {
    /// What one address sent as one domain.
    public struct Row: Hashable, Sendable, Codable {
        /// The address that the messages came from.
        public var sourceIP: String
        /// The domain of From.
        public var headerFrom: String
        /// The messages.
        public var messages = 0
        /// Those that passed DMARC.
        public var passed = 0
        /// Those that passed none of the mechanisms in alignment.
        public var failed = 0
        /// Those for which DKIM passed in alignment.
        public var dkimAligned = 0
        /// Those for which SPF passed in alignment.
        public var spfAligned = 0
        /// Those that were put aside.
        public var quarantined = 0
        /// Those that were refused.
        public var rejected = 0
        /// Those for which something else was done than the policy asks for.
        public var overridden = 0

        mutating func add(_ record: DMARCAggregateReport.Record) {
            func add(_ counter: inout Int, _ counts: Bool) { if counts { counter = DMARCAggregateReport.sum(counter, record.count) } }
            add(&messages, true)
            add(&passed, record.passes)
            add(&failed, !record.passes)
            add(&dkimAligned, record.dkim == .pass)
            add(&spfAligned, record.spf == .pass)
            add(&quarantined, record.disposition == .quarantine)
            add(&rejected, record.disposition == .reject)
            add(&overridden, !record.reasons.isEmpty)
        }
    }

    /// The domains whose records were found, with their policies.
    public var domains: [String: DMARCReportDisposition] = [:]
    /// Who reported.
    public var reporters: [String] = []
    /// How many reports were added.
    public var reports = 0
    /// The same report came again and was left out (RFC 9990 §3.5.4).
    public var duplicates = 0
    /// The earliest begin, in seconds since 1970 UTC.
    public var begin: Int?
    /// The latest end, in seconds since 1970 UTC.
    public var end: Int?
    /// All messages.
    public var messages = 0
    /// Those that passed DMARC.
    public var passed = 0
    /// Those that did not.
    public var failed = 0
    /// The rows, most messages first.
    public var rows: [Row] = []

    /// Adds reports up.
    public init(_ reports: [DMARCAggregateReport]) {
        struct Place: Hashable { var sourceIP: String, headerFrom: String }
        struct Identity: Hashable { var organization: String, reportID: String, domain: String }
        var table: [Place: Row] = [:]
        var seen: Set<Identity> = []
        for report in reports {
            let metadata = report.metadata
            guard
                seen.insert(Identity(organization: metadata.organizationName, reportID: metadata.reportID, domain: report.policy.domain.lowercased()))
                    .inserted
            else {
                duplicates += 1
                continue
            }
            self.reports += 1
            domains[report.policy.domain.lowercased()] = report.policy.domainPolicy
            if !reporters.contains(metadata.organizationName), reporters.count < 1000 { reporters.append(metadata.organizationName) }
            begin = min(begin ?? metadata.begin, metadata.begin)
            end = max(end ?? metadata.end, metadata.end)
            for record in report.records {
                let place = Place(sourceIP: record.sourceIP, headerFrom: record.headerFrom.lowercased())
                table[place, default: Row(sourceIP: place.sourceIP, headerFrom: place.headerFrom)].add(record)
            }
        }
        reporters.sort()
        rows = table.values.sorted {
            ($1.messages, $0.headerFrom, $0.sourceIP) < ($0.messages, $1.headerFrom, $1.sourceIP)
        }
        for row in rows {
            messages = DMARCAggregateReport.sum(messages, row.messages)
            passed = DMARCAggregateReport.sum(passed, row.passed)
            failed = DMARCAggregateReport.sum(failed, row.failed)
        }
    }

    /// A table for a terminal: nothing that a report says can steer one.
    /// - Parameter rowLimit: so many rows are shown; the others are counted.
    public func table(rowLimit: Int = 50) -> String {
        var lines: [[String]] = [["SOURCE", "FROM", "MESSAGES", "PASS", "FAIL", "DKIM", "SPF", "QUARANTINE", "REJECT", "OVERRIDE"]]
        for row in rows.prefix(max(0, rowLimit)) {
            lines.append(
                [Self.printable(row.sourceIP, 45), Self.printable(row.headerFrom, 64)]
                    + [
                        row.messages, row.passed, row.failed, row.dkimAligned, row.spfAligned, row.quarantined, row.rejected, row.overridden,
                    ].map(String.init))
        }
        let widths = lines[0].indices.map { column in lines.map { $0[column].unicodeScalars.count }.max() ?? 0 }
        let domainList = domains.sorted { $0.key < $1.key }.prefix(20).map { "\(Self.printable($0.key, 64)) (p=\(Self.printable($0.value.rawValue, 16)))" }
        let reporterList = reporters.prefix(20).map { Self.printable($0, 40) } + (reporters.count > 20 ? ["…"] : [])
        var text = "\(domainList.joined(separator: ", ")): \(messages) messages, \(passed) passed, \(failed) failed"
        text += "\n\(reports) reports from \(reporterList.joined(separator: ", "))"
        if duplicates > 0 { text += ", \(duplicates) duplicates left out" }
        text += "\n\n"
        for line in lines {
            let cells = line.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.unicodeScalars.count)
                return column < 2 ? cell + padding : padding + cell
            }
            text += cells.joined(separator: "  ") + "\n"
        }
        if rows.count > rowLimit { text += "and \(rows.count - max(0, rowLimit)) more\n" }
        return text
    }

    /// Text without control characters and what turns the direction of writing, cut.
    static func printable(_ text: String, _ limit: Int) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            guard result.count < limit else {
                result.append("…")
                break
            }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse, .nonspacingMark, .enclosingMark:
                result.append("?")
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}
