import Foundation
import Gateway
import Testing

@testable import Lab

/// The hosts' configurations are real ones: Postern's own reader takes them without a complaint, and they keep the picture's zone rule.
@Suite struct HostPlanTests {
    private let plan = AddressPlan(network: 85)

    @Test func everyConfigurationIsReadWithoutAnError() throws {
        let folder = try LabFiles.temporaryFolder("plan-test")
        defer { LabFiles.remove(folder) }
        let hosts = HostPlan.all(plan)
        for host in hosts {
            for name in ["link.pem", "link-key.pem", "authority.pem", "public.pem", "public-key.pem", "root.key"] {
                try LabFiles.makeFolder("\(folder)/link")
                try LabFiles.write("placeholder\n", to: "\(folder)/link/\(name)", permissions: 0o600)
                try LabFiles.write("placeholder\n", to: "\(folder)/\(name)", permissions: 0o600)
            }
            let file = "\(folder)/postern.yaml"
            try LabFiles.write(
                host.configuration(plan: plan, others: hosts, trustAnchorFile: "\(folder)/root.key", authorityFile: "\(folder)/link/authority.pem"),
                to: file
            )
            let configuration = try Configuration.load(path: file)
            #expect(configuration.hostname == host.hostname)
            #expect(configuration.roles.map(\.rawValue) == [host.role])
            #expect((configuration.link == nil) == (host.role == "webmail"))
            #expect(configuration.listeners.count == host.listeners.count)
            #expect(configuration.peers.count == host.peers.count)
            #expect(configuration.resolver.forwarders == ["127.85.2.53"])
            #expect(configuration.queue.retrySeconds == [1, 2, 3, 5])
            #expect(configuration.journeys.collectSeconds == 1)
        }
    }

    /// Of the DMZ, only mx opens connections into the internal zone, and only to deliver.
    @Test func theDMZDialsTheInsideForDeliveryOnly() {
        let internalRoles: Set = ["store", "submission", "internal"]
        for host in HostPlan.all(plan) where !internalRoles.contains(host.role) {
            for peer in host.peers where internalRoles.contains(peer.role) {
                #expect(host.role == "mx" && peer.role == "store" && peer.link && !peer.control, "\(host.name) dials \(peer.role)")
            }
        }
    }

    @Test func whoeverIsDialledListens() throws {
        let hosts = HostPlan.all(plan)
        for host in hosts {
            for peer in host.peers {
                let other = try #require(hosts.first { $0.role == peer.role })
                if peer.link { #expect(other.listeners.contains { $0.kind == "link" && $0.port == LabNames.linkPort }, "\(host.name) to \(other.name)") }
                if peer.control { #expect(other.listeners.contains { $0.kind == "control" }, "\(host.name) to \(other.name)") }
            }
        }
    }

    /// In namespaces a host of the DMZ has two faces: the internet reaches its mail, the house its link and control.
    @Test func inNamespacesLinksAndControlAreOnTheInsideFace() throws {
        let plan = AddressPlan(namespaces: "/nowhere")
        let hosts = HostPlan.all(plan)
        let mail = try #require(hosts.first { $0.role == "mx" })
        #expect(mail.launcher == ["nsenter", "--net=/nowhere/mail", "--"])
        let text = mail.configuration(plan: plan, others: hosts, trustAnchorFile: "/root.key", authorityFile: "/authority.pem")
        let configuration = try Configuration(yaml: text, folder: "/")
        for listener in configuration.listeners {
            #expect("\(listener.address)" == ([.smtp, .policy].contains(listener.kind) ? "203.0.113.20" : "10.77.2.20"), "\(listener.kind)")
        }
        #expect(ListenerAudit(configuration, plan: Topology.zonePlan()).faults.isEmpty)
        // No flow leads from the store to the resolver: it has none configured.
        let store = try #require(hosts.first { $0.role == "store" })
        #expect(!store.configuration(plan: plan, others: hosts, trustAnchorFile: "/root.key", authorityFile: "/a.pem").contains("resolver:"))
    }

    /// Whom the hosts dial is what the table of flows allows, no more and no less.
    @Test func whoDialsWhomIsInTheTableOfFlows() throws {
        for host in HostPlan.all(plan) {
            let from = try #require(ZoneRole(rawValue: host.role))
            let dialled = try host.peers.flatMap { peer -> [String] in
                let to = try #require(ZoneRole(rawValue: peer.role))
                return (peer.link ? ["\(to) link"] : []) + (peer.control ? ["\(to) control"] : [])
            }
            let allowed = FlowTable.flows.filter { $0.from == from && ($0.service == .link || $0.service == .control) }.map { "\($0.to) \($0.service)" }
            #expect(Set(dialled) == Set(allowed), "\(host.role)")
        }
    }

    @Test func anOddNetworkNumberGivesTheDefault() {
        for number in [0, -1, 255, 1000] { #expect(AddressPlan(network: number).network == AddressPlan.defaultNetwork) }
        #expect(AddressPlan(network: 12).imap == "127.12.1.30")
    }
}
