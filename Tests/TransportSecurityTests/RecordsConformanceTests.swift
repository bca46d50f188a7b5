import Foundation
import Testing
import TransportSecurity

/// Runs the records and policies that mox's tests have, where the folder of the suites is named by `POSTERN_SUITES`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil))
struct RecordsConformanceTests {
    private struct Case: Decodable {
        var test: String
        var fn: String
        var input: String
    }

    private func cases(_ file: String) throws -> [Case] {
        let suites = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        return try JSONDecoder().decode([Case].self, from: Data(contentsOf: URL(fileURLWithPath: "\(suites)/records/mox/\(file)")))
    }

    private func check(_ cases: [Case], _ parse: (Case) throws -> Void) {
        #expect(!cases.isEmpty)
        for item in cases {
            do {
                try parse(item)
                #expect(item.fn == "good", "\(item.input.debugDescription) was taken")
            } catch {
                #expect(item.fn == "bad", "\(item.input.debugDescription): \(error)")
            }
        }
    }

    @Test func mtasts() throws {
        check(try cases("mtasts_parse.open.json")) { item in
            if item.test == "TestRecord" {
                _ = try MTASTSRecord(parsing: Array(item.input.utf8))
            } else {
                _ = try MTASTSPolicy(parsing: Array(item.input.utf8))
            }
        }
    }

    @Test func tlsrpt() throws {
        check(try cases("tlsrpt_parse.open.json")) { item in _ = try TLSRPTRecord(parsing: Array(item.input.utf8)) }
    }
}
