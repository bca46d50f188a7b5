import DNS
import FoundationEssentials
public import Gateway
import Hummingbird
import HummingbirdCore
public import Logging
import MailTransport
import NIOCore
import NIOHTTPTypes
import NIOPosix
import NIOSSL
import ServiceLifecycle
import UnixSignals

/// A host with the role `webmail`: people read and write mail with a browser.
///
/// It stands in the DMZ and holds nothing: no spool, no mailboxes, no directory, no certificate that other hosts would open anything for. What it does at
/// the store and at the submission host, it does with the password that its user typed, as any mail program would.
public struct WebmailServer: Sendable {
    private let configuration: Configuration
    private let logger: Logger

    /// Makes a host that doesn't run yet.
    public init(configuration: Configuration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Runs until SIGTERM or SIGINT; then all sessions end.
    /// - Throws: when the host can't start, with what an operator has to mend.
    public func run() async throws {
        guard let certificate = configuration.certificate, let webmail = configuration.webmail else { throw WebmailError.incomplete }
        let group = MultiThreadedEventLoopGroup.singleton
        let tls = try TLSServerContext(certificateFile: certificate.certificate, keyFile: certificate.key, audience: .clients)
        let mail = RemoteMail(
            store: .init(host: webmail.imapHost, address: webmail.imapAddress, port: webmail.imapPort),
            submission: .init(host: webmail.submissionHost, address: webmail.submissionAddress, port: webmail.submissionPort),
            tls: try .verified(additionalAuthorityFiles: configuration.authorities), hostname: configuration.hostname,
            localAddress: configuration.outboundAddress, messageLimit: configuration.limits.messageSizeBytes, group: group, logger: logger)
        let clock: @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
        let sessions = SessionStore(now: clock)
        var responder = WebmailResponder(
            mail: mail, sessions: sessions, limiter: LoginLimiter(now: clock), domains: configuration.domains,
            title: "\(configuration.domains.first?.ascii ?? configuration.hostname) mail", now: { Date.now }, clock: clock, logger: logger)
        responder.limits.messageOctets = min(responder.limits.messageOctets, configuration.limits.messageSizeBytes)
        let limits = configuration.limits
        let limiter = ConnectionLimiter(
            total: min(limits.connections, 2000), perNetwork: min(limits.connectionsPerNetwork, 100), trusted: limits.trustedNetworks)
        var services: [any Service] = [SessionSweep(sessions: sessions), CertificateReload(tls: tls, logger: logger)]
        for listener in configuration.listeners where listener.kind == .https {
            services.append(Self.application(responder, on: listener, tls: tls, limiter: limiter, logger: logger))
        }
        logger.info("postern serves", metadata: ["host": "\(configuration.hostname)", "roles": "webmail"])
        var settings = ServiceGroupConfiguration(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        settings.maximumGracefulShutdownDuration = .seconds(10)
        defer { sessions.removeAll() }
        try await ServiceGroup(configuration: settings).run()
    }

    static func application(
        _ responder: WebmailResponder, on listener: Configuration.Listener, tls: TLSServerContext, limiter: ConnectionLimiter, logger: Logger
    ) -> Application<WebmailResponder> {
        let server = HTTPServerBuilder { respond in
            LimitedTLSChannel(
                base: HTTP1Channel(
                    responder: respond,
                    configuration: .init(
                        idleTimeout: .seconds(60),
                        httpDecoderConfiguration: .init(maxHeaderFieldSize: 8 * 1024, maxHeaderListSize: 32 * 1024, maxHeaderFieldCount: 100))),
                tls: tls, limiter: limiter)
        }
        return Application(
            responder: responder, server: server, configuration: .init(address: .hostname("\(listener.address)", port: listener.port)),
            onServerRunning: { channel in
                logger.info("listening", metadata: ["listener": "https", "address": "\(listener.address)", "port": "\(channel.localAddress?.port ?? 0)"])
            }, logger: logger)
    }
}

/// HTTP/1.1 under our TLS rules, for as many connections as may be.
struct LimitedTLSChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    let base: HTTP1Channel
    let tls: TLSServerContext
    let limiter: ConnectionLimiter

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        guard let address = channel.remoteAddress?.ipAddress.flatMap({ IPAddress($0) }), limiter.admit(address) else {
            return channel.eventLoop.makeFailedFuture(WebmailError.tooManyConnections)
        }
        let limiter = limiter
        channel.closeFuture.whenComplete { _ in limiter.release(address) }
        return channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(tls.makeHandler())
        }.flatMap { base.setup(channel: channel, logger: logger) }
    }

    func handle(value: Value, logger: Logger) async { await base.handle(value: value, logger: logger) }
}

/// Takes away sessions that ended while nobody looked.
struct SessionSweep: Service {
    let sessions: SessionStore

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do { try await Task.sleep(for: .seconds(60)) } catch { return }
                sessions.removeExpired()
            }
        }
    }
}

/// Why the webmail doesn't serve.
enum WebmailError: Error, CustomStringConvertible {
    case incomplete
    case tooManyConnections

    var description: String {
        switch self {
        case .incomplete: "role webmail needs the sections “certificate” and “webmail”"
        case .tooManyConnections: "too many connections"
        }
    }
}
