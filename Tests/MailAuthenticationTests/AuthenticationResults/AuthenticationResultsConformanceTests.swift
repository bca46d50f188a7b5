import Foundation
import MailMessage
import NIOCore
import Testing

@testable import MailAuthentication

/// Reads the fields of messages that others have collected, where the folder of the suites is named by `POSTERN_SUITES`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil))
struct AuthenticationResultsConformanceTests {
    @Test func everyFieldIsReadAndWrittenAgain() throws {
        let suites = URL(fileURLWithPath: ProcessInfo.processInfo.environment["POSTERN_SUITES"] ?? "/")
        var fields = 0
        for folder in ["auth-results/authheaders/test", "auth-results/mailauth/fixtures", "dkim/dkimpy", "mime/mimekit/dkim", "bimi/mail-bimi"] {
            let files = FileManager.default.enumerator(at: suites.appendingPathComponent(folder), includingPropertiesForKeys: nil)
            for case let file as URL in try #require(files, "\(folder)") {
                guard let data = try? Data(contentsOf: file), data.count < 1 << 20 else { continue }
                let header = HeaderSection(parsing: ByteBuffer(bytes: Array(data)))
                for field in header where field.isNamed("Authentication-Results") {
                    let results = try AuthenticationResults(parsing: field.unfoldedOctets)
                    try check(results, file)
                    fields += 1
                }
                for field in header where field.isNamed("ARC-Authentication-Results") {
                    let (instance, results) = try AuthenticationResults.parsingARC(Array(field.rawValue.readableBytesView))
                    #expect(instance > 0)
                    try check(results, file)
                    fields += 1
                }
            }
        }
        #expect(fields > 20, "\(fields)")
    }

    /// What is written says the same as what was read.
    private func check(_ results: AuthenticationResults, _ file: URL) throws {
        #expect(!results.identifier.isEmpty && !results.results.isEmpty && results.deviations.allSatisfy { $0 == .unquotedValue }, "\(file)")
        let field = results.field(allowsUTF8: true)
        #expect(field.split(separator: "\r\n").allSatisfy { $0.utf8.count <= 998 })
        var again = try AuthenticationResults(parsing: field.dropFirst("Authentication-Results:".count))
        again.deviations = results.deviations
        #expect(again == results, "\(file)")
    }

    /// A text without the name of a server, as some write it.
    @Test func theTagListCase() throws {
        let results = try AuthenticationResults(
            parsing: "spf=pass smtp.mailfrom=example.com; dkim=pass header.d=example.com; dmarc=pass header.from=example.com")
        #expect(results.identifier.isEmpty && results.results.map(\.method) == ["spf", "dkim", "dmarc"])
        #expect(results.results.flatMap(\.properties).map(\.value) == ["example.com", "example.com", "example.com"])
    }
}
