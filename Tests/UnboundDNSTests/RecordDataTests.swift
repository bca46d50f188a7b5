import DNS
import Testing

@testable import UnboundDNS

/// Records as they come over the wire (RFC 1035 §3.3).
@Suite struct RecordDataTests {
    private static func wire(_ labels: String...) -> [UInt8] { labels.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0] }

    @Test func wellFormed() throws {
        let mail = try DomainName("mail.test")
        let cases: [(DNSRecordType, [UInt8], DNSRecordData)] = [
            (.a, [192, 0, 2, 1], .address(.v4(0xC000_0201))), (.aaaa, Array(repeating: 0, count: 15) + [1], .address(.v6(0, 1))),
            (.mx, [0, 10] + Self.wire("mail", "test"), .mx(preference: 10, exchange: mail)), (.mx, [0, 0, 0], .mx(preference: 0, exchange: .root)),
            (.txt, [1, 65, 0, 2, 66, 67], .txt([65, 66, 67])), (.txt, [0], .txt([])), (.ns, Self.wire("MAIL", "test"), .name(mail)),
            (.tlsa, [3, 1, 1, 9], .tlsa(usage: 3, selector: 1, matching: 1, data: [9])),
            (.srv, [0, 1, 0, 2, 3, 225] + Self.wire("mail", "test"), .srv(priority: 1, weight: 2, port: 993, target: mail)), (.soa, [1, 2], .other([1, 2])),
        ]
        for (type, octets, expected) in cases { #expect(RecordData.parse(octets, type: type) == expected, "\(type)") }
    }

    @Test func malformed() {
        let cases: [(DNSRecordType, [UInt8])] = [
            (.a, []), (.a, [1, 2, 3]), (.a, [1, 2, 3, 4, 5]), (.aaaa, [1, 2, 3, 4]), (.mx, []), (.mx, [0]), (.mx, [0, 10]), (.mx, [0, 10, 4, 109]),
            (.mx, [0, 10, 1, 109]), (.mx, [0, 10, 1, 109, 0, 0]), (.txt, []), (.txt, [2, 65]), (.txt, [1, 65, 1]), (.ns, []), (.ns, [1, 46, 0]),
            (.ns, [1, 0, 0]), (.ns, [1, 32, 0]), (.ns, [1, 0xE9, 0]), (.ns, [0xC0, 0x0C]), (.ns, [64] + Array(repeating: 97, count: 64) + [0]),
            (.ns, Array(repeating: [1, 97], count: 128).flatMap { $0 } + [0]), (.tlsa, [3, 1, 1]), (.tlsa, [3]), (.srv, [0, 1, 0, 2, 3]),
            (.srv, [0, 1, 0, 2, 3, 225]),
        ]
        for (type, octets) in cases { #expect(RecordData.parse(octets, type: type) == nil, "\(type) \(octets)") }
    }

    private func reply(code: Int32 = 0, records: [[UInt8]] = [], isBogus: Bool = false, isNonexistent: Bool = false) -> UnboundReply {
        UnboundReply(
            responseCode: code, hasData: !records.isEmpty, isNonexistent: isNonexistent, isSecure: false, isBogus: isBogus, bogusReason: nil,
            canonicalName: nil,
            timeToLive: 0, records: records)
    }

    @Test func repliesAsAnswers() throws {
        let name = try DomainName("kartapuce.test")
        #expect(try reply(records: [[192, 0, 2, 1], [1]]).answer(to: name, .a).records.count == 1)
        #expect(try reply(isNonexistent: true).answer(to: name, .a).outcome == .nonexistentDomain)
        #expect(try reply().answer(to: name, .a).outcome == .noData)
        for (bad, code) in [
            (reply(code: 2), .serverFailure), (reply(code: 5), .serverFailure), (reply(records: [[1]]), .serverFailure),
            (reply(code: 2, isBogus: true), .bogus),
        ] as [(UnboundReply, DNSError.Code)] {
            let error = #expect(throws: DNSError.self) { try bad.answer(to: name, .a) }
            #expect(error?.code == code)
        }
    }
}
