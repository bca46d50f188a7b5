import DNS
import Foundation
import Testing
import TransportSecurity

/// Runs OpenSSL's tests of DANE, where the folder of the suites is named by `POSTERN_SUITES`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil))
struct DANEConformanceTests {
    /// A block of the file.
    struct Block {
        var name: String
        /// Whether the test wants names left aside for DANE-EE(3).
        var checksNoNames: Bool
        /// X509_V_OK (0), X509_V_ERR_HOSTNAME_MISMATCH (62), X509_V_ERR_DANE_NO_MATCH (65).
        var verifyResult: Int
        var depth: Int
        var records: [TLSARecord]
        var chain: [[UInt8]]
    }

    static func blocks() throws -> [Block] {
        let suites = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        let text = try String(contentsOfFile: "\(suites)/dane/openssl/danetest.open.in", encoding: .utf8)
        var blocks: [Block] = []
        var name = ""
        var pem: [UInt8] = []
        func close() throws {
            if !blocks.isEmpty { blocks[blocks.count - 1].chain = try PEMCertificates.parse(pem) }
            pem = []
        }
        var isInside = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("#") {
                if Int(line.dropFirst(2)) != nil { name = String(line.dropFirst(2)) }
                continue
            }
            if line.hasPrefix("-----") || isInside {
                isInside = !line.hasPrefix("-----END")
                pem += Array((line + "\n").utf8)
                continue
            }
            let words = line.split(separator: " ")
            if words.count == 5, let numbers = Optional(words.compactMap { Int($0) }), numbers.count == 5 {
                try close()
                blocks.append(Block(name: name, checksNoNames: numbers[2] != 0, verifyResult: numbers[3], depth: numbers[4], records: [], chain: []))
            } else if words.count == 4, Int(words[0]) != nil, Int(words[1]) != nil, Int(words[2]) != nil {
                blocks[blocks.count - 1].records.append(try TLSARecord(parsing: line))
            }
        }
        try close()
        return blocks
    }

    @Test func opensslAgrees() throws {
        let now = try Date("2026-06-01T00:00:00Z", strategy: .iso8601)
        let blocks = try Self.blocks()
        #expect(blocks.count >= 27)
        for block in blocks {
            let evaluation = DANEVerifier(records: block.records, references: [try DomainName("example.com")]).verify(chain: block.chain, at: now)
            let usable = block.records.filter { $0.usage >= 2 }
            let comment = Comment(rawValue: "block \(block.name): \(evaluation.reason)")
            if usable.isEmpty {
                // RFC 7672 §3.1.3: usages 0 and 1 aren't for SMTP, so TLS is required and nobody is authenticated.
                #expect(evaluation.result == .unusable, comment)
                continue
            }
            // RFC 7672 §3.1.1: DANE-EE(3) compares no names, whatever a caller of OpenSSL may ask for.
            let ignoresName = block.verifyResult == 62 && usable.allSatisfy { $0.usage == 3 }
            let expected = block.verifyResult == 0 || ignoresName ? DANEEvaluation.Result.pass : .fail
            #expect(evaluation.result == expected, comment)
            #expect((evaluation.depth ?? -1) == block.depth, comment)
            if block.verifyResult == 62, !ignoresName { #expect(evaluation.resultType == .certificateHostMismatch, comment) }
            if block.verifyResult == 65 { #expect(evaluation.resultType == .certificateNotTrusted, comment) }
        }
    }

    /// Two mail exchangers of the real world: their records match, and don't when an octet is another.
    @Test(arguments: ["internet.nl", "mail.ietf.org"]) func realExchangers(host: String) throws {
        let suites = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        let text = try String(contentsOfFile: "\(suites)/dane/stalwart/dns.txt", encoding: .utf8)
        let records = try TLSARecord.records(parsing: text.split(separator: "\n").filter { $0.contains("._tcp.\(host) ") }.joined(separator: "\n"))
        #expect(!records.isEmpty)
        let chain = try (0..<10).compactMap { index -> [UInt8]? in
            let path = "\(suites)/dane/stalwart/\(host).\(index).cert"
            return FileManager.default.fileExists(atPath: path) ? Array(try Data(contentsOf: URL(fileURLWithPath: path))) : nil
        }
        #expect(chain.count >= 2)
        let now = try Date("2023-01-01T00:00:00Z", strategy: .iso8601)
        let references = [try DomainName(host)]
        for record in records {
            let evaluation = DANEVerifier(records: [record], references: references).verify(chain: chain, at: now)
            #expect(evaluation.result == .pass, "\(record): \(evaluation.reason)")
            for index in record.data.indices {
                var other = record
                other.data[index] ^= 1
                #expect(DANEVerifier(records: [other], references: references).verify(chain: chain, at: now).result == .fail)
            }
        }
        // Both at once: DANE-EE(3) needs no chain and no name.
        #expect(DANEVerifier(records: records, references: []).verify(chain: [chain[0]], at: now).depth == 0)
    }
}
