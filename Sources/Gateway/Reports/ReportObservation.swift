import DNS
import FoundationEssentials
import Journeys
import MailAuthentication
import MailStore

/// What the journey of a judged message says, in the words of an aggregate report.
struct ReportObservation: Sendable {
    let judged: JourneyEvent.Judged
    let record: DMARCRecord

    /// `nil` where the record can't be read: the journey came from another host.
    init?(_ judged: JourneyEvent.Judged) {
        guard judged.record.utf8.count <= ReportEvidence.recordLimit, let record = try? DMARCRecord(parsing: judged.record),
            (try? DomainName(judged.recordDomain)) != nil, (try? DomainName(judged.headerFrom)) != nil, IPAddress(judged.sourceIP) != nil
        else { return nil }
        self.judged = judged
        self.record = record
    }

    private var policy: DMARCAggregateReport.Policy {
        func disposition(_ policy: DMARCPolicy?) -> DMARCReportDisposition? { policy.map { DMARCReportDisposition(rawValue: $0.rawValue) } }
        // RFC 9990 §3.1.1.5: what isn't said has its default value.
        let subdomains = record.subdomainPolicy ?? record.policy
        return .init(
            domain: judged.recordDomain, domainPolicy: DMARCReportDisposition(rawValue: record.policy.rawValue), subdomainPolicy: disposition(subdomains),
            nonexistentDomainPolicy: disposition(record.nonexistentSubdomainPolicy ?? subdomains),
            dkimAlignment: DMARCReportAlignment(rawValue: record.dkimAlignment.rawValue),
            spfAlignment: DMARCReportAlignment(rawValue: record.spfAlignment.rawValue), discovery: .treeWalk,
            failureOptions: record.failureOptions.map(\.rawValue).joined(separator: ":"), isTesting: record.isTesting)
    }

    private var row: DMARCAggregateReport.Record {
        .init(
            sourceIP: judged.sourceIP, count: 1, disposition: DMARCReportDisposition(rawValue: judged.disposition), dkim: judged.isDKIMAligned ? .pass : .fail,
            spf: judged.isSPFAligned ? .pass : .fail,
            reasons: judged.overrides.map { .init(type: DMARCReportOverride(rawValue: $0.type), comment: $0.comment) }, headerFrom: judged.headerFrom,
            envelopeFrom: judged.envelopeFrom,
            dkimResults: judged.signatures.map { .init(domain: $0.domain, selector: $0.selector, result: DMARCReportResult(rawValue: $0.result)) },
            spfResults: judged.spf.map {
                [.init(domain: $0.domain, scope: DMARCReportScope(rawValue: $0.scope), result: DMARCReportResult(rawValue: $0.result))]
            } ?? [])
    }

    /// The row of the day's report; `nil` where the domain wants none.
    func entry(day: Int) -> ReportEntry? {
        guard !record.aggregateReportURIs.isEmpty else { return nil }
        let observation = DMARCReportObservation(policy: policy, record: row)
        guard let section = ReportForm.encode(observation.policy), let payload = ReportForm.encode(observation.record) else { return nil }
        return ReportEntry(
            kind: .aggregate, day: day, domain: observation.policy.domain, destinations: record.aggregateReportURIs.writtenList, section: section,
            payload: payload)
    }

    /// What a report on this message is made of later; `nil` where the domain wants none, or the edge kept nothing.
    ///
    /// Deliberate: `fo=1`, `d` and `s` don't make reports on messages that pass DMARC. They would tell about mail that nobody doubts.
    func failurePayload(at time: Date) -> [UInt8]? {
        guard judged.failure != nil, judged.result == DMARCResult.fail.rawValue, !record.failureReportURIs.isEmpty, record.publicSuffix != .yes else {
            return nil
        }
        let isWanted = record.failureOptions.contains { option in
            switch option {
            case .allFail: !judged.isDKIMAligned && !judged.isSPFAligned
            case .anyFails: !judged.isDKIMAligned || !judged.isSPFAligned
            case .dkim: judged.signatures.contains { $0.result != "pass" }
            case .spf: judged.spf.map { $0.result != "pass" && $0.result != "none" } ?? false
            }
        }
        return isWanted ? ReportForm.encode(FailureCase(judged: judged, time: time)) : nil
    }
}

/// A message that a report is made on.
struct FailureCase: Codable, Sendable {
    var judged: JourneyEvent.Judged
    var time: Date
}

/// How what belongs to reports stands in the store: JSON with its keys in order, so that equal values are equal octets.
enum ReportForm {
    static func encode(_ value: some Encodable) -> [UInt8]? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(value)).map { Array($0) }
    }

    static func decode<Value: Decodable>(_ type: Value.Type, _ octets: [UInt8]) -> Value? { try? JSONDecoder().decode(type, from: Data(octets)) }
}

extension [DMARCReportingURI] {
    /// As the record's tag has them.
    var writtenList: String {
        map { uri in uri.uri + (uri.obsoleteSizeLimit.map { "!\($0)" } ?? "") }.joined(separator: ",")
    }
}
