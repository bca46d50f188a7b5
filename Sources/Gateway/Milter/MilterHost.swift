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

/// A process that filters for an MTA: it has no mailboxes, and needs of a configuration its names, and the sections `authentication`, `signing`,
/// `resolver` and `milter`. With the section `reports` it counts what it judges, and sends reports from a queue of its own.
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
        let group = MultiThreadedEventLoopGroup.singleton
        let now: @Sendable () -> Date = { Date.now }
        let makeRules: RulesMaker = { configuration, settings, earlier in
            let keys = try DKIMKeyFolder(path: configuration.dkimFolder).activeKeys()
            let source = try IndicatorSource(configuration, isFilter: true, earlier: earlier)
            return SenderMilter.Rules(
                configuration, settings, verifier: verifier, keys: keys,
                indicators: source.map { ($0, $0.judge(configuration, resolver: resolver, group: group)) })
        }
        defer { resolver.shutdown() }
        let rules = try makeRules(configuration, settings, nil)
        let office = try await MilterOffice.open(configuration, settings, group: group, now: now, logger: logger)
        let milter = SenderMilter(rules: rules, ledger: office?.ledger, now: now, logger: logger)
        let server = MilterServer(
            listenerName: "milter", settings: Self.serverSettings(configuration, settings), service: milter, group: group,
            budget: MemoryBudget(limit: configuration.limits.memoryBudgetBytes), makeIncomingFile: nil, logger: logger)
        var services: [any Service] = [DNSSECProof(resolver: resolver, settings: configuration.resolver, logger: logger)]
        services += office?.services(now: now, logger: logger) ?? []
        services.append(MilterReloader(milter: milter, reread: reread, makeRules: makeRules, setLogLevel: setLogLevel, logger: logger))
        services.append(
            MilterListenerService(server: server, endpoints: settings.listen, grace: .seconds(configuration.limits.stopSeconds), logger: logger))
        var running = ServiceGroupConfiguration(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        running.maximumGracefulShutdownDuration = .seconds(configuration.limits.stopSeconds + 5)
        let result: Result<Void, any Error>
        do {
            try await ServiceGroup(configuration: running).run()
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await milter.indicators?.close()
        try await office?.close()
        try result.get()
    }

    /// Makes what messages are treated by of a configuration; what was fetched of indicators earlier is kept.
    typealias RulesMaker = @Sendable (Configuration, Configuration.MilterSettings, IndicatorSource?) throws -> SenderMilter.Rules

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
    let makeRules: MilterHost.RulesMaker
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
            milter.change(try makeRules(configuration, settings, milter.indicators))
            if let level = Logger.Level(rawValue: configuration.logging.level) { setLogLevel(level) }
            logger.notice("reloaded: keys, domains and the sections authentication, signing and milter; where it listens takes a restart")
        } catch {
            logger.error("reload refused, everything stays as it was", metadata: ["problems": "\(error)"])
        }
    }
}
