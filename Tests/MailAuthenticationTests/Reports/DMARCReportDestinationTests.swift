import DNS
import MailAuthentication
import MailMessage
import Testing

struct DMARCReportDestinationTests {
    private func evaluate(
        _ list: String, _ policyDomain: String = "blue.kartapuce.test", _ resolver: ZoneResolver = ZoneResolver(), limit: Int = 5, tag: String = "rua"
    ) async throws -> [DMARCReportDestination] {
        await DMARCReportDestination.evaluate(list, tag: tag, policyDomain: try DomainName(policyDomain), resolver: resolver, limit: limit) {
            $0.labels.suffix(2) == $1.labels.suffix(2)
        }
    }

    private func zone(_ texts: [String], below host: String = "red.reports.test") throws -> ZoneResolver {
        var zone = ZoneResolver()
        for text in texts {
            zone.add(try DomainName("blue.kartapuce.test._report._dmarc.\(host)"), .txt, .txt(Array(text.utf8)))
        }
        return zone
    }

    private let external = "mailto:r@red.reports.test"

    @Test func theOwnOrganisationNeedsNoAgreement() async throws {
        let found = try await evaluate("mailto:a@blue.kartapuce.test, mailto:b%2Bc@kartapuce.test!10m")
        #expect(found.map(\.verdict) == [.sameOrganization, .sameOrganization])
        #expect(found.flatMap { $0.recipients.map(\.description) } == ["a@blue.kartapuce.test", "b+c@kartapuce.test"])
        #expect(found[1].sizeLimit == 10 << 20)
        #expect(found.allSatisfy { $0.lookup == nil })
    }

    @Test func othersMustAgree() async throws {
        #expect(try await evaluate(external).map(\.verdict) == [.notAuthorized])
        #expect(try await evaluate(external)[0].recipients.isEmpty)
        let agreed = try await evaluate(external, "blue.kartapuce.test", zone(["v=DMARC1"]))
        #expect(agreed[0].verdict == .authorized)
        #expect(agreed[0].recipients.map(\.description) == ["r@red.reports.test"])
        #expect(agreed[0].lookup?.name.ascii == "blue.kartapuce.test._report._dmarc.red.reports.test")
        for record in ["v=DMARC1;", "v=DMARC1 ; rua=", "v = DMARC1"] {
            #expect(try await evaluate(external, "blue.kartapuce.test", zone(["v=spf1 -all", record]))[0].verdict == .authorized, "\(record)")
        }
        for record in ["v=spf1", "V=DMARC1", "v=DMARC2", "p=none; v=DMARC1", "", "v=DMARC1; v=DMARC1", "v=dmarc1"] {
            #expect(try await evaluate(external, "blue.kartapuce.test", zone([record]))[0].verdict == .notAuthorized, "\(record)")
        }
    }

    @Test func whoTakesAllReportsSaysSoByAWildcard() async throws {
        var zone = ZoneResolver()
        zone.addWildcard(below: try DomainName("_report._dmarc.red.reports.test"), .txt, .txt(Array("v=DMARC1".utf8)))
        #expect(try await evaluate(external, "blue.kartapuce.test", zone)[0].verdict == .authorized)
    }

    @Test func anotherAddressMustBeAtTheSameHost() async throws {
        let same = try await evaluate(external, "blue.kartapuce.test", zone(["v=DMARC1; rua=mailto:x@red.reports.test,mailto:y@red.reports.test"]))
        #expect(same[0].recipients.map(\.localPart) == ["x", "y"])
        for record in ["v=DMARC1; rua=mailto:x@reports.test", "v=DMARC1; rua=mailto:x@red.reports.test,mailto:victim@other.test"] {
            let elsewhere = try await evaluate(external, "blue.kartapuce.test", zone([record]))
            #expect(elsewhere[0].verdict == .redirectedElsewhere)
            #expect(elsewhere[0].recipients.isEmpty)
        }
        let failures = try await evaluate(
            external, "blue.kartapuce.test", zone(["v=DMARC1; rua=mailto:x@reports.test; ruf=mailto:f@red.reports.test"]), tag: "ruf")
        #expect(failures[0].recipients.map(\.localPart) == ["f"])
    }

    @Test func failuresOfTheDNSArentAgreements() async throws {
        let name = try DomainName("blue.kartapuce.test._report._dmarc.red.reports.test")
        for (code, verdict) in [
            (DNSError.Code.timeout, DMARCReportDestination.Verdict.temporaryError), (.serverFailure, .temporaryError), (.bogus, .notAuthorized),
        ] {
            var zone = try zone(["v=DMARC1"])
            zone.fail(name, with: code)
            #expect(try await evaluate(external, "blue.kartapuce.test", zone)[0].verdict == verdict)
        }
    }

    /// RFC 9990 §4 step 4.
    @Test func namesThatAreTooLongArentAsked() async throws {
        let long = (0..<3).map { _ in String(repeating: "a", count: 60) }.joined(separator: ".") + ".test"
        let found = try await evaluate("mailto:r@\(String(repeating: "b", count: 60)).test", long)
        #expect(found[0].verdict == .notAuthorized)
        #expect(found[0].lookup == nil)
    }

    @Test func whatCantBeUsedIsNamed() async throws {
        let found = try await evaluate("https://x.test/,mailto:,mailto:a,nothing,mailto:%zz@x.test,mailto:a@kartapuce.test,mailto:a@kartapuce.test,,")
        #expect(
            found.map(\.verdict) == [.unsupportedScheme, .malformed, .malformed, .malformed, .malformed, .sameOrganization, .repeated])
        let many = (0..<1000).map { "mailto:a\($0)@kartapuce.test" }.joined(separator: ",")
        let limited = try await evaluate(many, limit: 2)
        #expect(limited.count == 100)
        #expect(limited.count { !$0.recipients.isEmpty } == 2)
        #expect(limited[2].verdict == .overLimit)
    }
}
