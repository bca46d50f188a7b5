public import DNS

/// A question for a policy record, its answer, and what that means (RFC 9989 §4.10).
public struct DMARCQuery: Sendable {
    /// What was found.
    public enum Finding: Sendable, Hashable {
        /// A policy record.
        case record(DMARCRecord)
        /// No policy record; other TXT records are none of this business.
        case noRecord
        /// So many policy records: all are discarded (RFC 9989 §4.10, step 2).
        case severalRecords(Int)
        /// A text that begins as a policy record and is none.
        case unusableRecord(DMARCRecordError)
        /// Nobody can tell now.
        case failure(DNSError)
        /// The author's domain exists, or doesn't (RFC 9989 §3.2.13).
        case existence(Bool)
    }

    /// The domain that is the subject, without `_dmarc`.
    public let domain: DomainName
    /// The question and its answer.
    public let lookup: DNSLookup
    /// What it means.
    public let finding: Finding
}

extension DMARCQuery: CustomStringConvertible {
    /// The question and what it means, in one line for people.
    public var description: String {
        let meaning =
            switch finding {
            case .record(let record): "a policy record: \(record.text)"
            case .noRecord: "no policy record"
            case .severalRecords(let count): "\(count) policy records, all discarded (RFC 9989 §4.10)"
            case .unusableRecord(let error): "no policy record: \(error)"
            case .failure(let error): "no answer: \(error.code.rawValue)"
            case .existence(let exists): exists ? "the domain exists" : "the domain doesn't exist (RFC 9989 §3.2.13)"
            }
        return "\(lookup.name) \(lookup.type): \(meaning)"
    }
}

/// The walk from a domain up to its top-level domain (RFC 9989 §4.10).
public struct DMARCTreeWalk: Sendable, Hashable {
    /// A domain with a policy record.
    public struct Stop: Sendable, Hashable {
        /// The domain.
        public var domain: DomainName
        /// Its record.
        public var record: DMARCRecord
    }

    /// Where the walk began.
    public let start: DomainName
    /// The domains with a record, the longest first.
    public let stops: [Stop]
    /// The first failure of the DNS; the walk ended there.
    public let failure: DNSError?

    /// The most questions of one walk (RFC 9989 §4.10).
    public static let queryLimit = 8

    /// The domain at the top with the same owner as the start's; `nil` where the DNS failed (RFC 9989 §4.10.2).
    public var organizationalDomain: DomainName? {
        guard failure == nil else { return nil }
        // The walk ends at `psd=n` and `psd=y`: only the last stop can have them.
        guard let last = stops.last else { return start }
        if last.record.publicSuffix == .yes, last.domain != start { return Self.oneLabelBelow(last.domain, towards: start) }
        return last.domain
    }

    /// The public suffix domain above the start, where one has a record.
    public var publicSuffix: Stop? {
        stops.last.flatMap { $0.record.publicSuffix == .yes && $0.domain != start ? $0 : nil }
    }

    private static func oneLabelBelow(_ domain: DomainName, towards start: DomainName) -> DomainName {
        var current = start
        while let parent = current.parent, parent != domain, parent.isSubdomain(of: domain) { current = parent }
        return current
    }

    /// The names whose records are asked for, the start first (RFC 9989 §4.10, steps 1, 4 and 7).
    static func names(from start: DomainName) -> [DomainName] {
        var names = [start]
        var current = start.parent
        let count = start.labels.count
        for _ in 0..<max(0, count - queryLimit) { current = current?.parent }
        while let name = current, name != .root {
            names.append(name)
            current = name.parent
        }
        return names
    }
}

/// Asks for policy records, each once, and remembers every question.
struct DMARCQueries {
    let resolver: any Resolver
    private(set) var all: [DMARCQuery] = []
    private var findings: [DomainName: DMARCQuery.Finding] = [:]

    init(resolver: any Resolver) { self.resolver = resolver }

    mutating func record(of domain: DomainName) async -> DMARCQuery.Finding {
        if let known = findings[domain] { return known }
        // A domain so long that `_dmarc` doesn't fit in front has no record.
        guard let name = try? domain.prefixed(with: "_dmarc") else { return .noRecord }
        let lookup = await DNSLookup(name, .txt, using: resolver)
        let finding = Self.finding(lookup)
        findings[domain] = finding
        all.append(DMARCQuery(domain: domain, lookup: lookup, finding: finding))
        return finding
    }

    private static func finding(_ lookup: DNSLookup) -> DMARCQuery.Finding {
        switch lookup.result {
        case .failure(let error): return .failure(error)
        case .success(let answer):
            var candidates: [[UInt8]] = []
            for case .txt(let text) in answer.records where DMARCRecord.beginsAsRecord(text) { candidates.append(text) }
            guard let candidate = candidates.first else { return .noRecord }
            guard candidates.count == 1 else { return .severalRecords(candidates.count) }
            do {
                return .record(try DMARCRecord(readingFormOf: candidate))
            } catch {
                return .unusableRecord(error)
            }
        }
    }

    mutating func walk(from start: DomainName) async -> DMARCTreeWalk {
        var stops: [DMARCTreeWalk.Stop] = []
        for name in DMARCTreeWalk.names(from: start) {
            switch await record(of: name) {
            case .record(let record):
                stops.append(DMARCTreeWalk.Stop(domain: name, record: record))
                if record.publicSuffix != .unknown { return DMARCTreeWalk(start: start, stops: stops, failure: nil) }
            case .failure(let error): return DMARCTreeWalk(start: start, stops: stops, failure: error)
            case .noRecord, .severalRecords, .unusableRecord, .existence: continue
            }
        }
        return DMARCTreeWalk(start: start, stops: stops, failure: nil)
    }

    /// Whether a domain exists: only NXDOMAIN says that it doesn't (RFC 9989 §3.2.13, RFC 8020).
    mutating func existence(of domain: DomainName) async -> DMARCQuery.Finding {
        let lookup = await DNSLookup(domain, .a, using: resolver)
        let finding: DMARCQuery.Finding
        switch lookup.result {
        case .failure(let error): finding = .failure(error)
        // A name that is an alias exists, even where what it points to doesn't.
        case .success(let answer): finding = .existence(answer.outcome != .nonexistentDomain || answer.canonicalName != nil)
        }
        all.append(DMARCQuery(domain: domain, lookup: lookup, finding: finding))
        return finding
    }
}
