import DNS
import Foundation
import MailMessage
import NIOCore
import Testing

@testable import MailAuthentication

/// Runs the cases that others have collected, where the folder of the suites is named by `POSTERN_SUITES`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil))
struct DMARCConformanceTests {
    private static var suites: URL { URL(fileURLWithPath: ProcessInfo.processInfo.environment["POSTERN_SUITES"] ?? "/") }

    private func cases(_ path: String) throws -> [[String: Any]] {
        let data = try Data(contentsOf: Self.suites.appendingPathComponent(path))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
    }

    /// Fields of the program that the cases were written for, which no standard names or which RFC 9989 retired (`pct`, `ri`: §9.3).
    private static let foreignFields: Set<String> = [
        "error", "pct", "ri", "status.comment", "alignment.dkim.underSized", "info", "tagonly", "false",
    ]

    /// Cases that the standard contradicts, with the section.
    private static let contradictions = [
        // Two addresses of one domain are one Author Domain.
        "Should return false for headerFrom array with multiple elements": "RFC 9989 §5.3.1",
        // The tree walk asks for each parent; there is no public suffix list that could end it.
        "Should not query \"_dmarc.null\" when no org domain can be derived": "RFC 9989 §4.10",
    ]

    private func zone(_ json: Any?) throws -> ZoneResolver {
        var zone = ZoneResolver()
        let names = try #require((json as? [String: Any])?["zone"] as? [String: Any])
        for (name, types) in names {
            let name = try DomainName(name)
            for (type, records) in try #require(types as? [String: Any]) where type == "TXT" {
                if records is String { zone.fail(name, with: .timeout) }
                for strings in records as? [[String]] ?? [] { zone.add(name, .txt, .txt(Array(strings.joined().utf8))) }
            }
        }
        return zone
    }

    private func value(_ record: DMARCRecord, _ field: String) -> String? {
        switch field {
        case "v": "DMARC1"
        case "p": record.policy.rawValue
        case "sp": record.subdomainPolicy?.rawValue
        case "adkim": record.dkimAlignment.rawValue
        case "aspf": record.spfAlignment.rawValue
        case "fo": record.failureOptions.map(\.rawValue).joined(separator: ":")
        case "rua": record.aggregateReportURIs.map(\.uri).joined(separator: ",")
        case "ruf": record.failureReportURIs.map(\.uri).joined(separator: ",")
        case "rr": record.text
        default: nil
        }
    }

    private func value(_ evaluation: DMARCEvaluation, _ field: String) -> String? {
        func alignment(_ mechanism: DMARCIdentifierEvidence.Mechanism) -> [DMARCIdentifierEvidence] {
            evaluation.identifiers.filter { $0.mechanism == mechanism }
        }
        return switch field {
        case "": evaluation.result.rawValue
        case "status.result": evaluation.result.rawValue
        case "policy": evaluation.requestedPolicy?.rawValue
        case "domain", "status.header.d": evaluation.recordDomain?.ascii
        case "status.header.from": evaluation.headerFrom
        case "alignment.dkim.strict": evaluation.record.map { $0.dkimAlignment == .strict ? "true" : "false" }
        case "alignment.spf.strict": evaluation.record.map { $0.spfAlignment == .strict ? "true" : "false" }
        case "alignment.dkim.result": alignment(.dkim).first(where: \.isAligned)?.domain
        case "alignment.spf.result": alignment(.spf).first(where: \.isAligned)?.domain
        default: evaluation.record.flatMap { value($0, field) }
        }
    }

    /// What is expected of one field: a value, or none.
    private func expectation(_ expect: [String: Any]) -> (field: String, result: String, expected: String?)? {
        guard let path = (expect["actual"] as? [String: Any])?["path"] as? String, let chain = expect["chain"] as? [String] else { return nil }
        let parts = path.split(separator: ".", maxSplits: 1)
        let field = parts.count > 1 ? String(parts[1]) : ""
        guard !Self.foreignFields.contains(field) else { return nil }
        let result = String(parts[0])
        switch chain.last {
        case "true", "false": return (field, result, chain.last)
        case "undefined", "ok": return (field, result, nil)
        case "equal": return (field, result, (expect["args"] as? [Any])?.first.map { "\($0)" })
        default: return nil
        }
    }

    private func domains(_ json: Any?) -> [String] {
        (json as? [Any] ?? []).compactMap { $0 as? String ?? ($0 as? [String: Any])?["domain"] as? String }
    }

    @Test func evaluations() async throws {
        var compared = 0
        for item in try cases("dmarc/mailauth/dmarc-verify.json") {
            let name = try #require(item["name"] as? String)
            if Self.contradictions[name] != nil { continue }
            var evaluations: [String: DMARCEvaluation] = [:]
            for (index, call) in try #require(item["calls"] as? [[String: Any]]).enumerated() {
                let arguments = try #require((call["args"] as? [[String: Any]])?.first)
                let from = (arguments["headerFrom"] as? [String] ?? [arguments["headerFrom"] as? String ?? ""]).joined(separator: ", ")
                let author = from.contains("@") ? try DMARCAuthor(from: Array(from.utf8)) : DMARCAuthor(domain: try DomainName(from))
                evaluations["result\(index + 1)"] = await DMARCEvaluator(resolver: try zone(arguments["resolver"])).evaluate(
                    author, spf: domains(arguments["spfDomains"]).map { DMARCSPFResult(domain: $0, result: "pass") },
                    dkim: domains(arguments["dkimDomains"]).map { DMARCDKIMResult(domain: $0, selector: "s", result: "pass") })
            }
            for expect in try #require(item["expect"] as? [[String: Any]]) {
                guard let (field, result, expected) = expectation(expect) else { continue }
                let evaluation = try #require(evaluations[result])
                #expect(value(evaluation, field) == expected, "\(name): \(field)")
                compared += 1
            }
        }
        #expect(compared > 40, "\(compared)")
    }

    @Test func discoveries() async throws {
        var compared = 0
        for item in try cases("dmarc/mailauth/get-dmarc-record.json") {
            let name = try #require(item["name"] as? String)
            if Self.contradictions[name] != nil { continue }
            let call = try #require((item["calls"] as? [[String: Any]])?.first)
            let arguments = try #require(call["args"] as? [Any])
            let domain = try DomainName(try #require(arguments[0] as? String))
            let discovery = await DMARCPolicyDiscovery(resolver: try zone(arguments[1])).discover(domain)
            if item["mustThrow"] != nil {
                guard case .temporaryFailure = discovery.outcome else {
                    Issue.record("\(name): \(discovery.outcome)")
                    continue
                }
                compared += 1
                continue
            }
            for expect in try #require(item["expect"] as? [[String: Any]]) {
                guard let (field, _, expected) = expectation(expect) else { continue }
                compared += 1
                switch (discovery.outcome, field) {
                case (.policy(_, let at), "isOrgRecord"): #expect("\(at != domain)" == expected, "\(name)")
                case (.policy(let record, _), _): #expect(value(record, field) == expected, "\(name): \(field)")
                case (.noPolicy, ""): #expect(expected == "false", "\(name)")
                default: Issue.record("\(name): \(field): \(discovery.outcome)")
                }
            }
        }
        #expect(compared > 30, "\(compared)")
    }

    /// Of the cases of tag lists those that are DMARC's: the others are about BIMI and forms that no standard has.
    @Test func records() throws {
        let item = try #require(try cases("dmarc/mailauth/record-parse.json").first { $0["name"] as? String == "Should parse DMARC record format" })
        let text = try #require(((item["calls"] as? [[String: Any]])?.first?["args"] as? [String])?.first)
        let record = try DMARCRecord(parsing: text)
        for expect in try #require(item["expect"] as? [[String: Any]]) {
            guard let (field, _, expected) = expectation(expect), field.hasPrefix("tags."), field != "tags.pct" else { continue }
            #expect(value(record, String(field.dropFirst(5))) == expected)
        }
    }

    @Test func recordSyntax() throws {
        // RFC 7489 wanted `p` second; RFC 9989 §4.8 takes tags in any order. And it takes any number of digits for a size that is ignored.
        let contradictions: Set<String> = ["v=DMARC1; sp=reject; p=reject"]
        let cases = try cases("records/mox/dmarc_parse.json")
        var agreed = 0
        for item in cases {
            let text = try #require(item["input"] as? String)
            let isValid = item["fn"] as? String == "valid"
            let contradicts = contradictions.contains(text) || text.contains("!99999999")
            #expect(((try? DMARCRecord(parsing: text)) != nil) == (isValid != contradicts), "\(text)")
            if !contradicts { agreed += 1 }
        }
        #expect(agreed == cases.count - 2)
    }

    private struct Outcome {
        var file: String
        var dkim: [(String, String)] = []
        var result: DMARCResult
        var from: String?
        var policy: DMARCPolicy?
    }

    /// The outcomes that belong to these messages; what DKIM says of them is given.
    @Test func messages() async throws {
        let zone = try dmarcZone(
            [
                ("example.com", "v=DMARC1; p=reject; rua=mailto:a@example.com,mailto:b@example.com"), ("example.org", "v=DMARC1; p=none"),
                ("example.net", "v=DMARC1; p=none; sp=reject"), ("example.biz", "v=DMARC1; p=none; sp=quarantine; np=reject"),
                ("nop.example.org", "v=DMARC1; sp=quarantine; np=reject"), ("bad.example.com", "v=DMARC1; p=none; reject"),
            ], existing: ["sub2.example.biz"])
        for outcome in [
            Outcome(file: "test.message_signed", dkim: [("example.com", "pass")], result: .pass, from: "example.com", policy: .reject),
            Outcome(file: "testcomma.message", dkim: [("example.com", "pass")], result: .pass, from: "example.com", policy: .reject),
            Outcome(file: "test.message", result: .fail, from: "example.com", policy: .reject),
            Outcome(file: "test.message_sub", dkim: [("sub.example.net", "fail")], result: .fail, from: "sub.example.net", policy: .reject),
            Outcome(file: "test.message_np1", dkim: [("sub.example.biz", "fail")], result: .fail, from: "sub.example.biz", policy: .reject),
            Outcome(file: "test.message_np2", dkim: [("sub2.example.biz", "fail")], result: .fail, from: "sub2.example.biz", policy: .quarantine),
            Outcome(file: "test_nop.message", dkim: [("nop.example.org", "fail")], result: .none, from: "nop.example.org"),
            Outcome(file: "test.nofrom.message", result: .permerror),
            // Each of the two domains might be tried (RFC 9989 §11.5); here such messages are refused (§5.3.1).
            Outcome(file: "test.message_multi", dkim: [("example.org", "pass")], result: .permerror),
            Outcome(file: "test.message_multi2", dkim: [("example.org", "pass")], result: .permerror),
            // The stray word is left out, not a permanent error (RFC 9989 §4.8).
            Outcome(file: "test.bad.message", result: .fail, from: "bad.example.com", policy: DMARCPolicy.none),
        ] {
            let file = Self.suites.appendingPathComponent("auth-results/authheaders/test/\(outcome.file)")
            let message = ByteBuffer(bytes: Array(try Data(contentsOf: file)))
            let evaluator = DMARCEvaluator(resolver: zone)
            let evaluation: DMARCEvaluation
            do {
                let author = try DMARCAuthor(message: message)
                let dkim = outcome.dkim.map { DMARCDKIMResult(domain: $0.0, selector: "test", result: $0.1) }
                evaluation = await evaluator.evaluate(author, spf: [], dkim: dkim)
            } catch {
                evaluation = evaluator.evaluate(error)
            }
            #expect(evaluation.result == outcome.result, "\(outcome.file): \(evaluation.reason)")
            #expect(evaluation.headerFrom == outcome.from, "\(outcome.file)")
            #expect(evaluation.requestedPolicy == outcome.policy, "\(outcome.file)")
        }
    }
}
