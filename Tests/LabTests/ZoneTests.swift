import Foundation
import Gateway
import MailTesting
import Testing

@testable import Lab

/// The whole matrix of the zones: each role tries each service of each other role, at every address, by IPv4 and IPv6. Everywhere somebody listens, on every
/// port: what doesn't answer was refused by a rule.
@Suite(.enabled(if: ZoneWorlds.areWanted, "make zones runs it"), .serialized, .timeLimit(.minutes(3)))
struct ZoneTests {
    @Test func whatTheArchitectureNeedsIsOpenAndTheRestIsRefused() async throws {
        try await withWorld(.firewallsAndHosts) { matrix in
            var allowed = 0
            var forbidden = 0
            for role in ZoneRole.allCases {
                let found = try await matrix.verify(role)
                #expect(found.wrong.isEmpty, "\(role): \(found.wrong.prefix(5))")
                allowed += found.allowed
                forbidden += found.forbidden
            }
            // Each flow by IPv4 and IPv6, DNS by TCP and UDP as well; two addresses stand for the internet, which counts in two flows.
            let flows = try ZonePlan.load(path: matrix.zonesFile).flows
            let dns = flows.filter { $0.service == .dns }.count
            let outbound = flows.filter { $0.to == .internet }.reduce(0) { $0 + $1.service.transports.count }
            #expect(allowed == 2 * (flows.count + dns + outbound))
            #expect(forbidden > 2500, "the matrix is smaller than the house")
        }
    }

    /// Somebody has broken into every host and removed its rules: the firewalls alone still hold everything.
    @Test func brokenHostsAreHeldByTheFirewallsAlone() async throws {
        try await withWorld(.firewalls) { matrix in
            for role in ZoneRole.allCases {
                let found = try await matrix.verify(role)
                #expect(found.wrong.isEmpty, "\(role): \(found.wrong.prefix(5))")
            }
        }
    }

    /// Somebody has broken into the firewalls: the hosts' own rules still hold. And once a host loses them too, the verification sees it.
    @Test func brokenFirewallsLeaveTheHostsTheirOwnRules() async throws {
        try await withWorld(.hosts) { matrix in
            for role in ZoneRole.allCases {
                let found = try await matrix.verify(role)
                // Laptops have no rules of ours.
                let wrong = found.wrong.filter { $0.probe.from.isServer || $0.probe.to.isServer }
                #expect(wrong.isEmpty, "\(role): \(wrong.prefix(5))")
            }
            let edge = matrix.plan.launcher(at: matrix.plan.mail)
            try await Command.require("nsenter", Array(edge.dropFirst()) + ["nft", "flush", "ruleset"])
            let found = try await matrix.verify(.mx)
            #expect(found.wrong.contains { $0.probe.to == .internet && $0.probe.service == .smtp && $0.outcome == .open }, "mx can send now")
            #expect(found.status == 1)
        }
    }

    // MARK: A world with listeners everywhere

    private struct Found {
        struct Report: Decodable {
            var allowed: Int
            var forbidden: Int
            var wrong: [ZoneFinding]
        }
        var status: Int32
        var allowed: Int
        var forbidden: Int
        var wrong: [ZoneFinding]
    }

    private struct Matrix {
        let plan: AddressPlan
        let zonesFile: String
        let binary: String

        func verify(_ role: ZoneRole) async throws -> Found {
            let host = try #require(Topology.host(of: role))
            let tried = try await Command.run(
                binary,
                ["zones", "verify", "--zones", zonesFile, "--as", role.rawValue, "--json"],
                launcher: plan.launcher(at: try #require(host.addresses.first)),
                timeout: .seconds(60)
            )
            let report = try JSONDecoder().decode(Found.Report.self, from: tried.output)
            #expect((tried.status == 0) == report.wrong.isEmpty, "\(tried.errors)")
            return Found(status: tried.status, allowed: report.allowed, forbidden: report.forbidden, wrong: report.wrong)
        }
    }

    private func withWorld(_ rules: NamespaceWorld.Rules, _ body: (Matrix) async throws -> Void) async throws {
        let folder = try LabFiles.temporaryFolder("zone-test")
        defer { LabFiles.remove(folder) }
        let binary = try posternBinary()
        let world = try await NamespaceWorld(rules: rules)
        var listeners: [ChildProcess] = []
        do {
            let zones = Topology.zonePlan()
            try LabFiles.write(zones.yaml, to: "\(folder)/zones.yaml")
            for host in Topology.hosts { listeners.append(try listen(on: host, zones, world.plan, folder)) }
            for host in Topology.hosts {
                try await Waiting.until("the listeners of \(host.name)", timeout: .seconds(20), every: 10) { () -> Bool? in
                    LabFiles.exists("\(folder)/\(host.name).ready") ? true : nil
                }
            }
            try await body(Matrix(plan: world.plan, zonesFile: "\(folder)/zones.yaml", binary: binary))
        } catch {
            for listener in listeners { await listener.crash() }
            await world.stop()
            throw error
        }
        for listener in listeners { await listener.crash() }
        await world.stop()
    }

    /// Somebody who accepts everything on every port, and echoes datagrams.
    private func listen(on host: Topology.Host, _ zones: ZonePlan, _ plan: AddressPlan, _ folder: String) throws -> ChildProcess {
        let script = """
            import select, socket, sys
            addresses, ports = sys.argv[2].split(","), [int(port) for port in sys.argv[3].split(",")]
            tcp, udp = [], []
            for address in addresses:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                for port in ports:
                    listener = socket.socket(family)
                    listener.bind((address, port))
                    listener.listen(64)
                    tcp.append(listener)
                    datagrams = socket.socket(family, socket.SOCK_DGRAM)
                    datagrams.bind((address, port))
                    udp.append(datagrams)
            open(sys.argv[1], "w").close()
            while True:
                for ready in select.select(tcp + udp, [], [])[0]:
                    try:
                        if ready in tcp: ready.accept()[0].close()
                        else: ready.sendto(*ready.recvfrom(2048))
                    except OSError: pass
            """
        let ports = ZoneService.allCases.map { String(zones.port($0)) }.joined(separator: ",")
        return try ChildProcess(
            name: host.name,
            program: "python3",
            arguments: ["-c", script, "\(folder)/\(host.name).ready", host.addresses.joined(separator: ","), ports],
            launcher: plan.launcher(at: try #require(host.addresses.first)),
            folder: folder,
            logFile: "\(folder)/\(host.name).log"
        )
    }
}

/// The use case in the world of namespaces, every host under its systemd unit's restrictions.
@Suite(.enabled(if: ZoneWorlds.areWanted, "make zones runs it"), .serialized, .timeLimit(.minutes(5)))
struct InteropZonesTests {
    @Test func theUseCaseWorksBetweenFirewallsAndUnderTheUnits() async throws {
        let units = PlayedUnits(player: "\(SystemdUnits.root)/scripts/play-unit.py", folder: SystemdUnits.folder)
        let options = Kartapuce.Options(binary: try posternBinary(), inNamespaces: true, units: units)
        let kartapuce = try await Kartapuce.start(options) { print("lab: \($0)") }
        do {
            for line in try await kartapuce.verifyZones() { print("lab: \(line)") }
            let results = await kartapuce.runUseCase(seed: 3)
            #expect(results.count == 9)
            for result in results { #expect(result.passed, "\(result.name): \(result.detail)") }
        } catch {
            await kartapuce.stop()
            throw error
        }
        await kartapuce.stop()
    }
}

/// Whether the tests that make network namespaces with firewalls are to run: `make zones` says so. They need more of the machine than the others.
enum ZoneWorlds {
    static var areWanted: Bool { ProcessInfo.processInfo.environment["POSTERN_ZONES"] != nil }
}
