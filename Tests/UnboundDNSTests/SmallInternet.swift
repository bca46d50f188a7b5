import DNS
import Foundation
import Lab
import NIOCore
import NIOPosix
import Synchronization
import Testing
import UnboundDNS

/// Three name servers (NSD) with a root of their own, on port 53 of addresses in 127.85.0.0/16.
///
/// - `.`, `test.` and `kartapuce.test.` are signed, each vouched for by its parent; `nsec3.test.` too, with hashed names.
/// - `plain.test.` is not signed, provably.
/// - `bogus.test.` is signed by another key than its parent vouches for; `tampered.test.` was changed after it was signed; the
///   signatures of `expired.test.` are too old.
/// - The servers of `down.test.` don't run; the one of `silent.test.` never answers.
final class SmallInternet: Sendable {
    let folder: String
    /// Takes questions and never answers.
    let silent: SilentServer
    private let servers: [ChildProcess]
    private let zones: Zones

    /// Test processes that run at the same time keep out of each other's way.
    private static let network = "127.85.\(ProcessInfo.processInfo.processIdentifier % 250 + 1)"
    static let rootServer = "\(network).1"
    static let testServer = "\(network).2"
    static let leafServer = "\(network).3"
    static let deadServer = "\(network).4"
    static let silentServer = "\(network).5"

    static func start() async throws -> SmallInternet {
        for tool in ["nsd", "ldns-keygen", "ldns-signzone"] where Command.find(tool) == nil {
            throw MissingTool(description: "\(tool) is not installed: run scripts/install-dependencies.sh")
        }
        let folder = FileManager.default.temporaryDirectory.appending(path: "internet-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        var servers: [ChildProcess] = []
        do {
            let zones = Zones(folder: folder)
            try await zones.make()
            for (name, address, served) in [
                ("root", rootServer, ["."]), ("test", testServer, ["test"]), ("leaf", leafServer, Zones.leaves),
            ] { servers.append(try serve(name, address, served, folder)) }
            for (server, address) in zip(servers, [rootServer, testServer, leafServer]) { try await waitUntil(server, accepts: address) }
            return SmallInternet(folder: folder, silent: try await SilentServer(address: silentServer), servers: servers, zones: zones)
        } catch {
            for server in servers { await server.stop() }
            try? FileManager.default.removeItem(atPath: folder)
            throw error
        }
    }

    private init(folder: String, silent: SilentServer, servers: [ChildProcess], zones: Zones) {
        self.folder = folder
        self.silent = silent
        self.servers = servers
        self.zones = zones
    }

    func stop() async {
        for server in servers { await server.stop() }
        await silent.stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    private static func serve(_ name: String, _ address: String, _ zones: [String], _ folder: String) throws -> ChildProcess {
        var text = """
            server:
                ip-address: \(address)@53
                do-ip6: no
                server-count: 1
                username: ""
                chroot: ""
                zonesdir: "\(folder)"
                pidfile: ""
                database: ""
                xfrdfile: "\(folder)/\(name).xfrd"
                xfrdir: "\(folder)"
                zonelistfile: "\(folder)/\(name).list"
            remote-control:
                control-enable: no

            """
        for zone in zones { text += "zone:\n    name: \"\(zone)\"\n    zonefile: \"\(Zones.servedFile(zone))\"\n" }
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name).conf"))
        return try ChildProcess(
            name: name, program: Command.find("nsd") ?? "nsd", arguments: ["-d", "-c", "\(folder)/\(name).conf"], folder: folder,
            logFile: "\(folder)/\(name).log")
    }

    private static func waitUntil(_ server: ChildProcess, accepts address: String) async throws {
        while server.isRunning {
            let channel = try? await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(host: address, port: 53).get()
            if let channel {
                try await channel.close().get()
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw MissingTool(description: "the name server of \(address) ended at once: \(server.lastLines())")
    }

    /// A validating resolver that knows this internet alone.
    func resolver(_ change: (inout UnboundResolver.Configuration) -> Void = { _ in }) throws -> UnboundResolver {
        var configuration = UnboundResolver.Configuration()
        configuration.trustAnchorFile = "\(folder)/root.key"
        configuration.rootHintsFile = "\(folder)/root.hints"
        configuration.timeout = .seconds(60)
        configuration.options = [("do-not-query-localhost:", "no"), ("do-ip6:", "no"), ("target-fetch-policy:", "0 0 0 0 0")]
        change(&configuration)
        return try UnboundResolver(configuration: configuration)
    }
}

/// What the machine lacks.
struct MissingTool: Error, CustomStringConvertible { let description: String }

/// Listens and counts, and says nothing.
final class SilentServer: Sendable {
    private final class Counting: ChannelInboundHandler, Sendable {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        let count = Atomic<Int>(0)

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { count.add(1, ordering: .relaxed) }
    }

    private let handler = Counting()
    private let channel: any Channel

    init(address: String) async throws {
        let handler = handler
        channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { $0.pipeline.addHandler(handler) }
            .bind(host: address, port: 53).get()
    }

    var questions: Int { handler.count.load(ordering: .relaxed) }

    /// Returns when more than so many questions have come.
    func wait(forMoreThan count: Int) async throws {
        while questions <= count { try await Task.sleep(for: .milliseconds(10)) }
    }

    func stop() async { try? await channel.close().get() }
}

/// Brings the small internet up once for a suite.
struct InternetRunning: SuiteTrait, TestScoping {
    @TaskLocal private static var running: SmallInternet?

    static var internet: SmallInternet {
        get throws { try #require(running, "the suite brings up no internet") }
    }

    @concurrent
    func provideScope(for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void) async throws {
        let internet = try await SmallInternet.start()
        do {
            try await Self.$running.withValue(internet) { try await function() }
        } catch {
            await internet.stop()
            throw error
        }
        await internet.stop()
    }
}
