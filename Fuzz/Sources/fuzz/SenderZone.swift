import DNS
import FoundationEssentials

/// What the targets of sender authentication have in common: a zone or a record of the input's, and a message behind it.
extension Input {
    /// What stands before and behind the first line `====`; without one, all of it stands behind.
    var halves: (zone: [UInt8], rest: [UInt8]) {
        let mark = Array("\n====\n".utf8)
        var start = octets.startIndex
        while let line = octets[start...].firstIndex(of: mark[0]) {
            if octets[line...].starts(with: mark) { return (Array(octets[..<line]), Array(octets[(line + mark.count)...])) }
            start = line + 1
        }
        return ([], octets)
    }
}

/// The time of every evaluation.
let fuzzedTime = Date(timeIntervalSince1970: 1_800_000_000)

/// A zone that stands in the input; empty where that is none.
func fuzzedZone(_ octets: [UInt8]) -> ZoneResolver {
    (try? ZoneFile.resolver(parsing: String(decoding: octets, as: UTF8.self))) ?? ZoneResolver()
}

/// Answers every question for TXT with one record, but those for a name that is set apart.
struct OneRecordResolver: Resolver {
    var text: [UInt8]
    var apart: [DomainName: [UInt8]] = [:]

    func lookup(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer {
        guard type == .txt else { return DNSAnswer(name: name, type: type, outcome: .noData) }
        return DNSAnswer(name: name, type: type, outcome: .records, records: [.txt(apart[name] ?? text)])
    }
}

extension StringProtocol {
    /// ASCII without control characters.
    var isPrintable: Bool { utf8.allSatisfy { (0x20...0x7E).contains($0) } }
}
