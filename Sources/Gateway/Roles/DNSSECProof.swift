import Logging
import PosternMetrics
import ServiceLifecycle
import UnboundDNS

/// Says at the start, and when it changes, whether answers of the DNS can be trusted: it is tried again each hour. Mail is served meanwhile: a resolver
/// that can't be reached must not keep a host from starting. Where validation doesn't work, what rests on it stays off.
struct DNSSECProof: Service {
    let prove: @Sendable () async -> UnboundResolver.ValidationProof
    let logger: Logger
    var interval = Duration.seconds(3600)

    init(prove: @escaping @Sendable () async -> UnboundResolver.ValidationProof, logger: Logger) {
        self.prove = prove
        self.logger = logger
    }

    init(resolver: UnboundResolver, settings: Configuration.ResolverSettings, logger: Logger) {
        self.init(prove: { await resolver.proveValidation(secure: settings.secureProbe, bogus: settings.bogusProbe) }, logger: logger)
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var worked: Bool?
            repeat { await look(&worked) } while (try? await Task.sleep(for: interval)) != nil
        }
        // A service that ends would end the host.
        try? await gracefulShutdown()
    }

    /// Tries once, and says what has changed.
    /// - Parameter worked: what came of the try before; `nil` at the first.
    func look(_ worked: inout Bool?) async {
        let proof = await prove()
        let works = if case .proven = proof { true } else { false }
        Metrics.validation.set(.works, works ? 1 : 0)
        Metrics.validation.set(.broken, works ? 0 : 1)
        defer { worked = works }
        guard works != worked else { return }
        switch proof {
        case .proven(let evidence): logger.info("DNSSEC validation works", metadata: ["evidence": "\(evidence)"])
        case .notProven(let reason):
            logger.warning(
                "DNSSEC VALIDATION DOES NOT WORK: nothing that rests on signed answers is in force; check resolver.trustAnchorFile and resolver.forwarders",
                metadata: ["reason": "\(reason)"])
        }
    }
}
