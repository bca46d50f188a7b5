import FoundationEssentials
import Logging
import ServiceLifecycle

/// Keeps the certificate fresh in the life of the process.
struct CertificateService: Service {
    let keeper: CertificateKeeper
    /// Called after files have changed, so that they are used at once.
    let installed: @Sendable () -> Void
    /// How often it is looked whether there is something to do.
    var interval = Duration.seconds(600)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            // The listeners come first: challenges may have to be answered by them.
            var wait = Duration.seconds(5)
            while (try? await Task.sleep(for: wait)) != nil {
                wait = interval
                if let report = await keeper.tick(), !report.done.isEmpty {
                    installed()
                    // A rollover that waits is looked after in shorter times where its records live shortly.
                    if report.rollover != "none" { wait = min(interval, .seconds(max(keeper.settings.tlsaTimeToLiveSeconds, 1))) }
                }
            }
        }
    }
}
