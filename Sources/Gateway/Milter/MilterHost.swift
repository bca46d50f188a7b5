import DNS
import FoundationEssentials
public import Logging
import MailAuthentication
import MailTransport
import Milter
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnboundDNS
import UnixSignals

/// A process that filters for an MTA: it has no spool and no mailboxes, and needs of a configuration its names, and the sections
/// `authentication`, `signing`, `resolver` and `milter`.
public struct MilterHost: Sendable {
    private let configuration: Configuration
    private let settings: Configuration.MilterSettings
    private let reread: @Sendable () throws -> Configuration
    private let setLogLevel: @Sendable (Logger.Level) -> Void
    private let logger: Logger

    /// Makes a filter that doesn't run yet.
    /// - Parameters:
    ///   - settings: the section `milter`.
    ///   - reread: reads and checks the configuration again, for a reload.
    ///   - setLogLevel: changes the level of all loggers.
    public init(
        configuration: Configuration, settings: Configuration.MilterSettings, reread: @escaping @Sendable () throws -> Configuration,
        setLogLevel: @escaping @Sendable (Logger.Level) -> Void, logger: Logger
    ) {
        self.configuration = configuration
        self.settings = settings
        self.reread = reread
        self.setLogLevel = setLogLevel
        self.logger = logger
    }

    /// Runs until SIGTERM or SIGINT; messages under way are finished.
    /// - Throws: when it can't start, with what an operator has to mend.
    public func run() async throws {
        let resolver = try UnboundResolver(configuration: .init(configuration.resolver))
        let verifier = SenderVerifier(resolver: resolver, receivingHost: configuration.hostname, keyCache: DKIMKeyCache())
        let makeRules: @Sendable (Configuration, Configuration.MilterSettings) throws -> SenderMilter.Rules = { configuration, settings in
            let keys = try DKIMKeyFolder(path: configuration.dkimFolder).activeKeys()
            return SenderMilter.Rules(configuration, settings, verifier: verifier, keys: keys)
        }
        let milter = SenderMilter(rules: try makeRules(configuration, settings), now: { Date.now }, logger: logger)
        let server = MilterServer(
            listenerName: "milter", settings: Self.serverSettings(configuration, settings), service: milter, group: MultiThreadedEventLoopGroup.singleton,
            budget: MemoryBudget(limit: configuration.limits.memoryBudgetBytes), makeIncomingFile: nil, logger: logger)
        let services: [any Service] = [
            DNSSECProof(resolver: resolver, settings: configuration.resolver, logger: logger),
            MilterReloader(milter: milter, reread: reread, makeRules: makeRules, setLogLevel: setLogLevel, logger: logger),
            MilterListenerService(server: server, endpoints: settings.listen, grace: .seconds(configuration.limits.stopSeconds), logger: logger),
        ]
        var group = ServiceGroupConfiguration(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        group.maximumGracefulShutdownDuration = .seconds(configuration.limits.stopSeconds + 5)
        defer { resolver.shutdown() }
        try await ServiceGroup(configuration: group).run()
    }

    /// What is wanted of MTAs.
    static func serverSettings(_ configuration: Configuration, _ settings: Configuration.MilterSettings) -> MilterServer.Settings {
        // All that any settings may lead to is negotiated: they can change while an MTA is connected.
        var session = MilterConfiguration(actions: [.addHeaders, .changeHeaders, .quarantine])
        session.limits.messageLength = configuration.limits.messageSizeBytes
        // A field beyond what is read of a header would come through the border unseen.
        session.limits.headerLength = SenderVerifier.headerLimit
        var result = MilterServer.Settings(session: session)
        result.clients = settings.clients
        return result
    }
}

/// The places where a filter listens, in the life of the process.
struct MilterListenerService: Service {
    let server: MilterServer
    let endpoints: [Configuration.MilterSettings.Endpoint]
    /// How long messages may take to end.
    let grace: Duration
    let logger: Logger

    func run() async throws {
        do {
            for endpoint in endpoints {
                switch endpoint {
                case .internet(let address, let port): _ = try await server.bind(address: address, port: port)
                case .local(let path): try await server.bind(path: path)
                }
                logger.info("listening", metadata: ["listener": "milter", "address": "\(endpoint)"])
            }
        } catch {
            await server.shutdown(grace: .zero)
            throw error
        }
        try? await gracefulShutdown()
        await server.shutdown(grace: grace)
    }
}

/// Reads the configuration and the keys again when the filter is told to (SIGHUP). What can't be used changes nothing.
struct MilterReloader: Service {
    let milter: SenderMilter
    let reread: @Sendable () throws -> Configuration
    let makeRules: @Sendable (Configuration, Configuration.MilterSettings) throws -> SenderMilter.Rules
    let setLogLevel: @Sendable (Logger.Level) -> Void
    let logger: Logger

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        await cancelWhenGracefulShutdown { for await _ in signals { self.reload() } }
    }

    func reload() {
        do {
            let configuration = try reread()
            guard let settings = configuration.milter else { throw HostError("the section milter is gone") }
            milter.change(try makeRules(configuration, settings))
            if let level = Logger.Level(rawValue: configuration.logging.level) { setLogLevel(level) }
            logger.notice("reloaded: keys, domains and the sections authentication, signing and milter; where it listens takes a restart")
        } catch {
            logger.error("reload refused, everything stays as it was", metadata: ["problems": "\(error)"])
        }
    }
}
