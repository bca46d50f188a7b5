import Logging
import ServiceLifecycle
import UnboundDNS

/// Says at start whether answers of the DNS can be trusted. Mail is served meanwhile: a resolver that can't be reached must not keep
/// a host from starting. Where validation doesn't work, what rests on it stays off.
struct DNSSECProof: Service {
    let resolver: UnboundResolver
    let settings: Configuration.ResolverSettings
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            switch await resolver.proveValidation(secure: settings.secureProbe, bogus: settings.bogusProbe) {
            case .proven(let evidence): logger.info("DNSSEC validation works", metadata: ["evidence": "\(evidence)"])
            case .notProven(let reason):
                logger.warning(
                    "DNSSEC VALIDATION DOES NOT WORK: nothing that rests on signed answers is in force; check resolver.trustAnchorFile and resolver.forwarders",
                    metadata: ["reason": "\(reason)"])
            }
        }
        // A service that ends would end the host.
        try? await gracefulShutdown()
    }
}
