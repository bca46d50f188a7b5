import DNS
import Foundation
import MailStore
import Testing

@testable import Gateway

/// The table of flows, the rules that are made from it, and the documentation that repeats it.
@Suite struct ZoneRulesTests {
    private let yaml = """
        internet: {outside: [198.51.100.10]}
        mx: {outside: [203.0.113.20, "2001:db8:113::20"], inside: [10.0.2.20]}
        relay: {outside: 203.0.113.10, inside: 10.0.2.10}
        store: {inside: 10.0.1.30}
        laptop: {inside: 10.0.5.0/24}
        linkPort: 2525
        """

    // MARK: The table

    @Test func whatTheArchitectureForbidsIsInNoFlow() {
        let dmz = ZoneRole.allCases.filter { $0.zone == .dmz }
        let inside = ZoneRole.allCases.filter { $0.zone == .internal }
        for flow in FlowTable.flows {
            // A05: the edge never sends to the internet, and nobody out there reaches the relay.
            #expect(!(flow.from == .mx && flow.to == .internet), "\(flow)")
            #expect(!(flow.from == .internet && flow.to == .relay), "\(flow)")
            // A06: nothing of the internal zone speaks with the internet, in either direction.
            #expect(!(inside.contains(flow.from) && flow.to == .internet), "\(flow)")
            #expect(!(flow.from == .internet && inside.contains(flow.to)), "\(flow)")
            // A04: the DMZ opens nothing into the internal zone but delivery, and what a webmail's user may open too.
            if dmz.contains(flow.from), inside.contains(flow.to) {
                let isDelivery = flow.from == .mx && flow.to == .store && flow.service == .link
                #expect(isDelivery || (flow.from == .webmail && [.imaps, .submissions].contains(flow.service)), "\(flow)")
            }
            // A11: control is dialled from the internal zone only, administrators' ports from theirs only.
            if flow.service == .control { #expect(inside.contains(flow.from), "\(flow)") }
            if flow.service == .ssh { #expect(flow.from == .administration, "\(flow)") }
        }
        #expect(Set(FlowTable.flows.map { [$0.from.rawValue, $0.to.rawValue, $0.service.rawValue] }).count == FlowTable.flows.count, "a flow stands twice")
    }

    @Test func theDocumentationHasTheSameTable() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("Documentation/zones.md"), encoding: .utf8)
        let rows = text.split(separator: "\n").filter { line in FlowTable.flows.contains { line.hasPrefix("| \($0.id) |") } }
        let wanted = FlowTable.flows.map { flow in
            let transports = flow.service.transports.map(\.rawValue).joined(separator: ", ")
            return "| \(flow.id) | \(flow.from.rawValue) | \(flow.to.rawValue) | \(flow.service.rawValue) | \(flow.service.usualPort)/\(transports) "
                + "| \(flow.firewall.rawValue) | \(flow.why) |"
        }
        #expect(rows.map(String.init) == wanted)
    }

    // MARK: The plan

    @Test func aPlanIsReadAndWritten() throws {
        let plan = try ZonePlan(yaml: yaml)
        #expect(plan.places[.mx]?.outside.count == 2)
        #expect(plan.port(.link) == 2525)
        #expect(plan.port(.control) == 4443)
        #expect(try ZonePlan(yaml: plan.yaml) == plan)
    }

    @Test(arguments: [
        ("mx: {outside: [203.0.113.300]}", "mx.outside"), ("mxx: {inside: 10.0.0.1}", "mxx"), ("mx: {inner: 10.0.0.1}", "mx.inner"), ("", "is empty"),
        ("store: {inside: 0.0.0.0/0}", "everybody"), ("mx: [", "YAML"), ("linkPort: 70000", "linkPort"),
    ])
    func aFaultyPlanIsRefused(yaml: String, named: String) {
        let error = #expect(throws: ConfigurationError.self) { try ZonePlan(yaml: yaml) }
        #expect(error.map { "\($0)".contains(named) } == true, "\(String(describing: error))")
    }

    // MARK: The rules

    @Test func theOuterFirewallKnowsTheInternetsFlowsOnly() throws {
        let rules = FirewallRules(plan: try ZonePlan(yaml: yaml)).firewall(.outer)
        let accepted = rules.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.filter { $0.contains("th dport") }
        #expect(
            accepted == [
                #"ip saddr != @house4 ip daddr { 203.0.113.20 } meta l4proto { tcp } th dport 25 ct state new counter accept comment "F1 internet to mx smtp""#,
                #"ip6 saddr != @house6 ip6 daddr { 2001:db8:113::20 } meta l4proto { tcp } th dport 25 ct state new counter accept comment "F1 internet to mx smtp""#,
                #"ip saddr { 203.0.113.10 } ip daddr != @house4 meta l4proto { tcp } th dport 25 ct state new counter accept comment "F6 relay to internet smtp""#,
                #"ip saddr { 203.0.113.10 } ip daddr != @house4 meta l4proto { tcp } th dport 443 ct state new counter accept comment "F6 relay to internet https""#,
            ])
        #expect(rules.contains("hook forward priority filter; policy drop;"))
        #expect(rules.contains("delete table inet postern_zones\n"))
        #expect(!rules.contains("flush ruleset"), "other tables are somebody else's")
    }

    @Test func theInternetReachesPoliciesOnlyWhereThePlanSaysSo() throws {
        for hasPolicies in [false, true] {
            let plan = try ZonePlan(yaml: yaml + "\npolicies: \(hasPolicies)")
            #expect(try ZonePlan(yaml: plan.yaml) == plan)
            for rules in [FirewallRules(plan: plan).firewall(.outer), FirewallRules(plan: plan).host([.mx])] {
                #expect(rules.contains("ip daddr { 203.0.113.20 } meta l4proto { tcp } th dport 443") == hasPolicies)
            }
            let probes = ZoneProbe.all(from: .internet, in: plan).filter { $0.to == .mx && $0.service == .https }
            #expect(probes.contains { $0.address == "203.0.113.20" && ($0.flow != nil) == hasPolicies })
            // The inner face is nobody's outside.
            #expect(probes.contains { $0.address == "10.0.2.20" && $0.flow == nil })
        }
    }

    @Test func aHostsRulesNameItsOwnFlowsOnly() throws {
        let rules = FirewallRules(plan: try ZonePlan(yaml: yaml)).host([.mx])
        let comments = rules.components(separatedBy: "comment \"").dropFirst().compactMap { $0.components(separatedBy: "\"").first }
        #expect(Set(comments) == ["F1 internet to mx smtp", "F2 mx to store link", "F9 store to mx control", "D1 relay to mx link", "a host is no router"])
        let store = FirewallRules(plan: try ZonePlan(yaml: yaml)).host([.store])
        #expect(!store.contains("!= @house"), "the store has no flow with the internet")
    }

    // MARK: Probes

    @Test func oneAnswerOfTheInternetIsEnoughForAFlowAndTooMuchWithoutOne() {
        func probe(_ address: String, _ service: ZoneService, _ flow: String?) -> ZoneProbe {
            ZoneProbe(from: .relay, to: .internet, service: service, transport: .tcp, address: address, port: service.usualPort, flow: flow)
        }
        let found = ZoneVerification(
            from: .relay,
            outcomes: [
                (probe("198.51.100.1", .smtp, "F6"), .refused), (probe("198.51.100.2", .smtp, "F6"), .open),
                (probe("2001:db8::1", .smtp, "F6"), .silent), (probe("198.51.100.1", .https, nil), .open), (probe("198.51.100.2", .https, nil), .silent),
            ])
        #expect(found.findings.map(\.isRight) == [true, true, false, false, true])
        #expect(found.allowed == 3 && found.forbidden == 2 && found.wrong.count == 2)
    }

    @Test func theOtherFaceOfAHostIsForbidden() throws {
        let probes = ZoneProbe.all(from: .internet, in: try ZonePlan(yaml: yaml))
        #expect(probes.filter { $0.flow != nil }.map { "\($0.address) \($0.port)" }.sorted() == ["2001:db8:113::20 25", "203.0.113.20 25"])
        #expect(probes.contains { $0.address == "10.0.2.20" && $0.port == 25 })
        #expect(!probes.contains { $0.to == .laptop }, "a network has no address to try")
    }

    // MARK: A host's own listeners

    @Test func controlAndLinksTowardsTheInternetAreFound() throws {
        let plan = try ZonePlan(yaml: yaml)
        func faults(_ roles: String, _ listeners: String) throws -> [String] {
            let text = """
                hostname: mail.kartapuce.test
                domains: [kartapuce.test]
                roles: [\(roles)]
                certificate: {certificate: a.pem, key: a-key.pem}
                link: {certificate: l.pem, key: l-key.pem, authority: authority.pem}
                peers: {store: {host: imap.kartapuce.test, address: 10.0.1.30, linkPort: 2525}}
                listeners: {smtp: "203.0.113.20:25", \(listeners)}
                """
            return ListenerAudit(try Configuration(yaml: text, folder: "/"), plan: plan).faults
        }
        #expect(try faults("mx", "control: \"10.0.2.20:4443\", link: \"10.0.2.20:2525\"").isEmpty)
        #expect(try faults("mx", "control: \"203.0.113.20:4443\"").first?.contains("shares the address") == true)
        #expect(try faults("mx", "control: \"0.0.0.0:4443\"").first?.contains("every address") == true)
        #expect(try faults("mx, relay", "link: \"10.0.2.20:2525\"").count == 1)
    }

    // MARK: Hosts that don't send

    /// A05 and A06: even where its queue says so, a host that isn't the relay sends nothing to the internet.
    @Test(arguments: [Configuration.Role.mx, .store, .submission, .internal])
    func onlyTheRelaySendsToTheInternet(role: Configuration.Role) async throws {
        try await TestHouse.open { house in
            var queued: QueueID?
            try await house.withHost(roles: [.relay], runsQueue: false) { host in queued = try await host.enqueue(to: "tom@gmail.test").id }
            // The same spool, as somebody would have it who has slipped a message into the queue.
            try await house.withHost(roles: [role]) { host in
                let waiting = try await host.tried(try #require(queued), 1)
                #expect(waiting.count == 1)
                #expect(house.outside.taken.isEmpty)
            }
            try await house.withHost(roles: [.relay]) { host in
                host.pass(120)
                let isEmptied = try await host.emptied()
                #expect(isEmptied && house.outside.taken.count == 1, "the relay sends it")
            }
        }
    }
}
