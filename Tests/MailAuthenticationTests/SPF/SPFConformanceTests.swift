import DNS
import Foundation
import MailAuthentication
import Testing
import Yams

/// The test suite of openspf.org for RFC 7208, where the folder of the suites is named by `POSTERN_SUITES`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil))
struct SPFConformanceTests {
    @Test func everyTestOfTheSuiteGivesAResultThatItAllows() async throws {
        let suites = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        let text = try String(contentsOfFile: "\(suites)/spf/pyspf/rfc7208-tests.yml", encoding: .utf8)
        var count = 0
        for case let scenario as [String: Any] in try Yams.load_all(yaml: text) {
            let resolver = Self.resolver(try #require(scenario["zonedata"] as? [String: Any]))
            for (name, test) in try #require(scenario["tests"] as? [String: [String: Any]]) {
                count += 1
                let address = try #require(IPAddress(String(describing: test["host"] ?? "")))
                let evaluation = await SPFChecker(resolver: resolver, receivingHost: "receiver.test").check(
                    address: address, helo: test["helo"] as? String ?? "", mailFrom: test["mailfrom"] as? String, at: Date(timeIntervalSince1970: 0))
                let allowed = (test["result"] as? [String]) ?? [test["result"] as? String ?? ""]
                let story = evaluation.terms.map { "\($0.domain) \($0.text): \($0.target ?? "") \($0.note)" }.joined(separator: "\n")
                #expect(allowed.contains(evaluation.result.rawValue), "\(name): \(evaluation.result), \(evaluation.problem ?? "")\n\(story)")
                if let explanation = test["explanation"] as? String {
                    #expect(evaluation.explanation ?? "DEFAULT" == explanation, "\(name): \(evaluation.explanation ?? "none")\n\(story)")
                }
            }
        }
        #expect(count == 203)
    }

    /// A name whose records have no TXT has its SPF records as TXT; an entry TIMEOUT makes everything else time out.
    private static func resolver(_ zone: [String: Any]) -> ZoneResolver {
        var resolver = ZoneResolver()
        for (text, value) in zone {
            guard let name = try? DomainName.question(text), let entries = value as? [Any] else { continue }
            let records = entries.compactMap { $0 as? [String: Any] }
            let hasTXT = records.contains { $0["TXT"] != nil }
            var types: Set<String> = []
            for record in records {
                guard let (type, data) = record.first else { continue }
                if data as? String != "NONE" { types.insert(type) }
                add(type, data, to: name, isSPFText: !hasTXT, &resolver)
            }
            if entries.contains(where: { $0 as? String == "TIMEOUT" }) {
                for type in [("A", DNSRecordType.a), ("AAAA", .aaaa), ("MX", .mx), ("TXT", .txt), ("PTR", .ptr)] where !types.contains(type.0) {
                    if type.0 == "TXT", types.contains("SPF"), !hasTXT { continue }
                    resolver.fail(name, type.1, with: .timeout)
                }
            }
        }
        return resolver
    }

    private static func add(_ type: String, _ data: Any, to name: DomainName, isSPFText: Bool, _ resolver: inout ZoneResolver) {
        func octets(_ text: String) -> [UInt8] { text.unicodeScalars.flatMap { $0.value < 256 ? [UInt8($0.value)] : Array(String($0).utf8) } }
        func text(_ data: Any) -> [UInt8] { ((data as? [String]) ?? [String(describing: data)]).flatMap(octets) }
        switch type {
        case "A", "AAAA":
            if let address = IPAddress(String(describing: data)) { resolver.add(name, type == "A" ? .a : .aaaa, .address(address)) }
        case "MX":
            guard let parts = data as? [Any], parts.count == 2, let host = parts[1] as? String else { return }
            let exchange = host.isEmpty ? DomainName.root : (try? DomainName.question(host)) ?? .root
            resolver.add(name, .mx, .mx(preference: UInt16(String(describing: parts[0])) ?? 0, exchange: exchange))
        case "PTR": if let target = try? DomainName.question(String(describing: data)) { resolver.add(name, .ptr, .name(target)) }
        case "CNAME": if let target = try? DomainName.question(String(describing: data)) { resolver.alias(name, to: target) }
        case "TXT": if data as? String != "NONE" { resolver.add(name, .txt, .txt(text(data))) }
        case "SPF": if isSPFText { resolver.add(name, .txt, .txt(text(data))) }
        default: break
        }
    }
}
