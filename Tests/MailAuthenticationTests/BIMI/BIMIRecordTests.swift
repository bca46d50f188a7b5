import DNS
import Foundation
import MailAuthentication
import Testing

struct BIMIRecordTests {
    @Test func readsWhatTheDraftShows() throws {
        let record = try BIMIRecord(
            parsing: "v=BIMI1; l=https://logos.kartapuce.test/logo.svg; a=https://logos.kartapuce.test/mark.pem; x=1; lps=News- , a; avp=personal;")
        #expect(record.location?.host.ascii == "logos.kartapuce.test" && record.location?.target == "/logo.svg")
        #expect(record.evidenceLocation?.target == "/mark.pem")
        #expect(record.localPartPrefixes == ["news-", "a"] && record.avatarPreference == .personal && record.unknownTags == ["x"])
        let declined = try BIMIRecord(parsing: "v=BIMI1; l=; a=;")
        #expect(declined.isDeclination && declined.avatarPreference == .brand && declined.localPartPrefixes == nil)
        #expect(try BIMIRecord(parsing: "v=BIMI1;l=;lps=").localPartPrefixes == [])
        #expect(try BIMIRecord(parsing: "v=BIMI1;l=;avp=Brand").avatarPreference == nil)
    }

    @Test(arguments: [
        "V=BIMI1; l=", " v=BIMI1; l=", "v=bimi1; l=", "v=BIMI2; l=", "v=BIMI12; l=", "l=; v=BIMI1", "", "v=BIMI1", "v=BIMI1; a=", "v=BIMI1; L=",
        "v=BIMI1; l=https://a.test/1.svg; l=https://a.test/2.svg", "v=BIMI1; l=https://a.test/1.svg,https://a.test/2.svg",
        "v=BIMI1; l=http://a.test/1.svg", "v=BIMI1; l=https://a.test/1.PNG", "v=BIMI1; l=https://a.test/1.jpg?x=1", "v=BIMI1;; l=",
        "v=BIMI1; l=https://192.0.2.1/1.svg", "v=BIMI1; l=https://[::1]/1.svg", "v=BIMI1; l=https://2130706433/1.svg", "v=BIMI1; l=https://127.1/1.svg",
        "v=BIMI1; l=https://0x7f.0x1/1.svg", "v=BIMI1; l=https://bob@a.test/1.svg", "v=BIMI1; l=https://a.test:8443/1.svg",
        "v=BIMI1; l=https://localhost/1.svg", "v=BIMI1; l=https://a.localhost/1.svg", "v=BIMI1; l=https://a.test\\@b.test/", "v=BIMI1; l=https://a.test/%zz",
        "v=BIMI1; l=https://", "v=BIMI1; l=file:///etc/passwd", "v=BIMI1; l=; a=data:x", "v=BIMI1; l=; lps=a_b", "v=BIMI1; l=; lps=a,,b",
    ])
    func refuses(_ text: String) {
        #expect(throws: BIMIRecordError.self) { try BIMIRecord(parsing: text) }
    }

    @Test func selectors() throws {
        func read(_ text: String) -> String? { try? BIMISelector(fieldValue: Array(text.utf8)).name }
        #expect(read(" v=BIMI1; s=Brand;") == "brand")
        #expect(read(" v=BIMI1;\r\n s=a.b") == "a.b")
        for bad in [
            "s=brand", "v=BIMI2; s=a", "s=a; v=BIMI1", "v=BIMI1", "v=BIMI1; s=", "v=BIMI1; s=a..b", "v=BIMI1; s=a_b", "v=BIMI1; s=-a", "v=BIMI1; s=a; s=b",
        ] {
            #expect(read(bad) == nil, "\(bad)")
        }
        let value = Array("v=BIMI1; s=brand".utf8)
        #expect(BIMISelector.choose(fieldValues: [value], isSigned: true).selector.name == "brand")
        #expect(BIMISelector.choose(fieldValues: [value], isSigned: false).ignored == .notSigned)
        #expect(BIMISelector.choose(fieldValues: [value, value], isSigned: true).ignored == .severalFields)
        #expect(BIMISelector.choose(fieldValues: [], isSigned: true).selector == .default)
    }

    @Test(arguments: [
        ("Alice", "alice"), ("a+b", "a"), ("a__.-b", "a-b"), ("-a-", "a"), ("_a.", "a"), ("+", nil), ("a b", nil), ("é", nil),
        (String(repeating: "a", count: 63), String(repeating: "a", count: 63)), (String(repeating: "a", count: 64), nil),
    ])
    func localParts(_ localPart: String, _ selector: String?) { #expect(BIMILocalPart.selector(localPart) == selector) }

    @Test func preconditions() {
        typealias Policy = BIMIPrecondition.Policy
        func refusal(_ author: Policy?, _ organization: Policy? = nil, passed: Bool = true, from: Int = 1) -> BIMIPrecondition.Refusal? {
            BIMIPrecondition(fromAddressCount: from, isAuthenticated: passed, authorPolicy: author, organizationalPolicy: organization).refusal
        }
        #expect(refusal(Policy(domain: .reject)) == nil)
        #expect(refusal(Policy(domain: .quarantine, percentage: 100)) == nil)
        #expect(refusal(Policy(domain: .reject, percentage: 10)) == nil)
        #expect(refusal(Policy(domain: .quarantine, percentage: 99)) == .percentage(.authorDomain, 99))
        #expect(refusal(Policy(domain: .none)) == .policyNone(.authorDomain))
        #expect(refusal(Policy(domain: .reject, subdomains: BIMIPrecondition.Request.none)) == .subdomainPolicyNone(.authorDomain))
        #expect(refusal(Policy(domain: .reject), Policy(domain: .none)) == .policyNone(.organizationalDomain))
        #expect(refusal(Policy(domain: .quarantine, isTesting: true)) == .testing(.authorDomain))
        #expect(refusal(Policy(domain: .reject), passed: false) == .notAuthenticated)
        #expect(refusal(Policy(domain: .reject), from: 2) == .fromAddresses(2))
        #expect(refusal(nil) == .noPolicy)
    }

    @Test func cache() throws {
        let cache = BIMICache(limits: .init(timeToLiveSeconds: 10, entryLimit: 2, octetLimit: 100))
        let start = Date(timeIntervalSince1970: 1_000_000)
        let places = try ["a", "b", "c"].map { try BIMILocation("https://\($0).test/") }
        cache.store([1], of: places[0], at: start)
        cache.store([2], of: places[1], at: start)
        #expect(cache.octets(of: places[0], at: start) == [1])
        cache.store([3], of: places[2], at: start)
        #expect(cache.octets(of: places[1], at: start) == nil && cache.octets(of: places[0], at: start + 9) == [1])
        #expect(cache.octets(of: places[0], at: start + 10) == nil && cache.octets(of: places[2], at: start - 61) == nil)
        cache.store([UInt8](repeating: 0, count: 101), of: places[0], at: start)
        #expect(cache.size.octets == 0)
    }
}
