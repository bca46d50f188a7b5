import DNS
import Foundation
import MailAuthentication
import Testing

/// Real mark certificates that others have collected, at times when they were valid.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil))
struct BIMIConformanceTests {
    private func octets(_ path: String) throws -> [UInt8] {
        let suites = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        return Array(try Data(contentsOf: URL(fileURLWithPath: suites).appendingPathComponent("bimi/\(path)")))
    }

    private func roots() throws -> BIMIRoots {
        let names = ["SSL.com-VMC-Root-2024-RSA", "SSL.com-VMC-Root-2024-ECC", "entrust_vmc_specific", "gsverifiedmarkrootr42", "digicert"]
        var text: [UInt8] = []
        for name in names { text += try octets("vmc/data/root-store/\(name).pem") + [0x0A] }
        return try BIMIRoots(parsingPEM: text)
    }

    private func date(_ text: String) throws -> Date { try #require(ISO8601DateFormatter().date(from: text)) }

    @Test(arguments: [
        ("cnn", "cnn.com", "2022-01-01T00:00:00Z", BIMIMarkKind.verified, nil as String?, 1),
        ("paypal_vmc", "paypal.com", "2025-01-01T00:00:00Z", .verified, "Registered Mark", 1),
        ("xometry_cmc", "xometry.com", "2025-01-01T00:00:00Z", .common, "Prior Use Mark", 1),
        ("globalsign-vmc", "globalsign.com", "2025-06-01T00:00:00Z", .verified, "Registered Mark", 1),
    ])
    func realChains(_ name: String, _ domain: String, _ time: String, _ kind: BIMIMarkKind, _ type: String?, _ timestamps: Int) async throws {
        let document = try octets("vmc/test/fixtures/\(name).pem")
        let verifier = BIMIMarkVerifier(roots: try roots())
        let author = try DomainName(domain)
        let subject = BIMIMarkVerifier.Subject(authorDomain: author, organizationalDomain: author)
        let report = await verifier.verify(document, for: subject, at: try date(time))
        #expect(report.problems.isEmpty, "\(report.problems)")
        #expect(report.isValid)
        #expect(report.kind == kind && report.markType == type)
        #expect(report.matchedDomain == domain)
        #expect(report.timestampCount >= timestamps)
        #expect(report.hasRevocationPoint)
        let svg = try #require(report.logotype?.svg)
        let indicator = BIMIIndicator.judge(octets: svg)
        #expect(indicator.isAccepted, "\(indicator.problems)")

        let late = await verifier.verify(document, for: subject, at: try date("2045-01-01T00:00:00Z"))
        #expect(late.problems.contains { $0.code == "expired" } && !late.isValid)
        let foreign = await BIMIMarkVerifier(roots: BIMIRoots()).verify(document, for: subject, at: try date(time))
        #expect(foreign.problems.map(\.code) == ["untrusted"], "\(foreign.problems)")
        let other = try DomainName("kartapuce.test")
        let elsewhere = await verifier.verify(
            document, for: .init(authorDomain: other, organizationalDomain: other), at: try date(time))
        #expect(elsewhere.problems == [.otherDomain([domain])])
    }

    /// A certificate of the web is none for marks, and a self-signed one is nobody's.
    @Test(arguments: ["catchall.delivery", "postal_vmc"])
    func otherCertificates(_ name: String) async throws {
        let report = await BIMIMarkVerifier(roots: try roots()).verify(
            try octets("vmc/test/fixtures/\(name).pem"), for: nil, at: try date("2022-09-01T00:00:00Z"))
        #expect(!report.isValid)
        #expect(report.problems.contains(.notForMarks) && report.problems.contains(.noLogotype))
    }

    @Test func goodIndicator() throws {
        let report = BIMIIndicator.judge(octets: try octets("mail-bimi/t/data/FM-good.svg"))
        #expect(report.isAccepted, "\(report.problems)")
        #expect(report.title == "FM-Icon-RGB" && report.octets == 1026)
    }
}
