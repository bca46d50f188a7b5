import FoundationEssentials
import Logging
import MailTransport
import PosternMetrics
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Reads the configuration again when the host is told to (SIGHUP), and the certificates also when their files have changed.
///
/// Nothing is dropped: sessions and deliveries that are open end as they began, new ones find the new state. A configuration that can't be
/// used changes nothing.
final class Reloader: Service {
    /// What is changed, with everything that knows about it.
    struct Means: Sendable {
        let pool: SMTPClientPool
        let queue: QueueRunner
        var smtpServers: [(Configuration.Listener.Kind, SMTPServer)] = []
        var imapServers: [(Configuration.Listener.Kind, IMAPServer)] = []
        var policyServers: [HTTPSServer] = []
    }

    private struct State {
        var host: Host
        var listeners: Listeners
        var reloads = 0
        var stamps: [String: Date]
    }

    /// How often the certificates' files are looked at.
    static let interval = Duration.seconds(30)

    private let means: Means
    private let reread: @Sendable () throws -> Configuration
    private let setLogLevel: @Sendable (Logger.Level) -> Void
    private let now: @Sendable () -> Date
    private let interval: Duration
    private let logger: Logger
    private let state: Mutex<State>

    /// - Parameters:
    ///   - reread: reads and checks the configuration.
    ///   - setLogLevel: changes the level of all loggers.
    init(
        host: Host, listeners: Listeners, means: Means, reread: @escaping @Sendable () throws -> Configuration,
        setLogLevel: @escaping @Sendable (Logger.Level) -> Void, now: @escaping @Sendable () -> Date, interval: Duration = Reloader.interval,
        logger: Logger
    ) {
        self.means = means
        self.reread = reread
        self.setLogLevel = setLogLevel
        self.now = now
        self.interval = interval
        self.logger = logger
        state = Mutex(State(host: host, listeners: listeners, stamps: Self.stamps(host.configuration.certificateFiles)))
    }

    /// The configuration that is in force.
    var configuration: Configuration { host.configuration }
    /// The host under it.
    var host: Host { state.withLock { $0.host } }

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { for await _ in signals { await self.reload() } }
                group.addTask {
                    while (try? await Task.sleep(for: self.interval)) != nil { self.followCertificates() }
                }
            }
        }
    }

    /// Reads everything again, and leaves a report.
    @discardableResult func reload() async -> ReloadReport {
        var report = ReloadReport(number: state.withLock { $0.reloads + 1 }, time: now(), succeeded: false, changed: [], needsRestart: [], problems: [])
        do {
            let wanted = try reread()
            let (old, listeners) = state.withLock { ($0.host, $0.listeners) }
            // Certificates first: where one can't be used, nothing else is changed either.
            try old.reloadCertificates()
            let differences = old.configuration.differences(from: wanted)
            let host = try old.reconfigured(old.configuration.taking(liveSectionsOf: wanted))
            let changed = listeners.reconfigured(host)
            for (kind, server) in means.smtpServers { try changed.change(server, kind) }
            for (kind, server) in means.imapServers { try changed.change(server, kind) }
            for server in means.policyServers { changed.change(server) }
            let delivery = host.deliveryMeans(pool: means.pool, now: now)
            await means.queue.change(
                mailbox: delivery.mailbox, remote: delivery.remote, settlement: delivery.settlement, settings: host.configuration.queue)
            if let level = Logger.Level(rawValue: host.configuration.logging.level) { setLogLevel(level) }
            state.withLock { state in
                state.host = host
                state.listeners = changed
                state.stamps = Self.stamps(host.configuration.certificateFiles)
            }
            report.succeeded = true
            report.changed = differences.live
            report.needsRestart = differences.restart
        } catch let error as ConfigurationError {
            report.problems = error.problems.filter { $0.severity == .error }.map { "\($0)" }
        } catch {
            report.problems = ["\(error)"]
        }
        state.withLock { $0.reloads = report.number }
        Metrics.reloads.add(.init(report.succeeded))
        tell(report)
        do { try report.write(folder: configuration.dataFolder) } catch {
            logger.warning("the report of a reload can't be written", metadata: ["error": "\(error)"])
        }
        return report
    }

    private func tell(_ report: ReloadReport) {
        guard report.succeeded else {
            return logger.error(
                "reload refused, everything stays as it was", metadata: ["problems": "\(report.problems.joined(separator: "; "))"])
        }
        logger.notice(
            "reloaded", metadata: ["changed": "\(report.changed.joined(separator: ","))", "needsRestart": "\(report.needsRestart.joined(separator: ","))"])
        if !report.needsRestart.isEmpty {
            logger.warning("some of the configuration takes a restart", metadata: ["sections": "\(report.needsRestart.joined(separator: ","))"])
        }
    }

    /// Reads the certificates again when their files are not those of before: what renews them need not tell.
    func followCertificates() {
        let (host, known) = state.withLock { ($0.host, $0.stamps) }
        let stamps = Self.stamps(host.configuration.certificateFiles)
        guard stamps != known else { return }
        do {
            try host.reloadCertificates()
            state.withLock { $0.stamps = stamps }
            logger.notice("certificates read again: their files have changed")
        } catch {
            // Certificate and key are written one after the other: the next look may find them whole.
            logger.warning("changed certificates can't be used yet; the old ones stay in use", metadata: ["error": "\(error)"])
        }
    }

    private static func stamps(_ files: [String]) -> [String: Date] {
        Dictionary(
            files.map { path in
                ((path, (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date ?? .distantPast))
            }, uniquingKeysWith: { first, _ in first })
    }
}
