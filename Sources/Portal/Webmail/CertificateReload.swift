import Logging
import MailTransport
import ServiceLifecycle
import UnixSignals

/// Reads the webmail's certificate and key again when the process gets SIGHUP; sessions that are open go on.
struct CertificateReload: Service {
    let tls: TLSServerContext
    let logger: Logger

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        await cancelWhenGracefulShutdown {
            for await _ in signals {
                do {
                    try tls.reload()
                    logger.notice("the certificate was read again; everything else takes a restart")
                } catch {
                    logger.error("reload refused, the old certificate stays in use", metadata: ["error": "\(error)"])
                }
            }
        }
    }
}
