import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore
import Testing
import Yams

/// The validation tests that others have written for ARC, where the folder of the suites is named by `POSTERN_SUITES`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil))
struct ARCConformanceTests {
    /// Mappings with a key twice can't be read: the later case gets another name.
    private func withUniqueNames(_ text: String) -> String {
        var seen: [Substring: Int] = [:]
        return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            guard line.hasPrefix("  "), line.hasSuffix(":"), line.dropFirst(2).dropLast().allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" }) else {
                return String(line)
            }
            seen[line, default: 0] += 1
            return seen[line] == 1 ? String(line) : "\(line.dropLast())_\(seen[line] ?? 0):"
        }.joined(separator: "\n")
    }

    @Test func everyChainIsAsItIsSaidToBe() async throws {
        let suites = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        let file = URL(fileURLWithPath: suites).appendingPathComponent("arc/valimail/tests/arc-draft-validation-tests.yml")
        let text = try String(contentsOf: file, encoding: .utf8)
        var count = 0
        for document in Array(try Yams.compose_all(yaml: withUniqueNames(text))) {
            guard let tests = document.mapping?["tests"]?.mapping else { continue }
            var keys: [String: String] = [:]
            for (name, record) in document.mapping?["txt-records"]?.mapping ?? Node.Mapping([]) {
                keys[try #require(name.string)] = record.string
            }
            for (key, test) in tests {
                let name = try #require(key.string)
                let message = (test.mapping?["message"]?.string ?? "").replacingOccurrences(of: "\n", with: "\r\n")
                let expected = (test.mapping?["cv"]?.string ?? "").trimmingCharacters(in: .whitespacesAndNewlines).lowercased()
                let octets = ByteBuffer(string: message)
                let verifier = ARCVerifier(resolver: try dkimKeyZone(keys))
                let time = Date(timeIntervalSince1970: 1_700_000_000)
                let evaluation = try await verifier.verify(header: HeaderSection(parsing: octets), content: BufferedContent(octets), at: time)
                count += 1
                // An empty expectation stands for a chain that says itself that it is broken.
                #expect(evaluation.result.rawValue == (expected.isEmpty ? "fail" : expected), "\(name): \(evaluation.reason)")
            }
        }
        #expect(count == 175)
    }
}
