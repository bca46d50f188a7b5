import FoundationEssentials
import Logging
import ServiceLifecycle

/// Keeps the certificate fresh in the life of the process.
struct CertificateService: Service {
    let keeper: CertificateKeeper
    /// Called after each look, so that files that it changed are used at once.
    let installed: @Sendable () -> Void
    /// How often it is looked whether there is something to do.
    var interval = Duration.seconds(600)
    /// The listeners come first: challenges may have to be answered by them.
    var firstWait = Duration.seconds(5)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var wait = firstWait
            while (try? await Task.sleep(for: wait)) != nil {
                wait = interval
                let report = await keeper.tick()
                // Also where something failed: the certificate may have come before that.
                installed()
                // A rollover that waits is looked after in shorter times where its records live shortly.
                if let report, report.rollover != "none" { wait = min(interval, .seconds(max(keeper.settings.tlsaTimeToLiveSeconds, 1))) }
            }
        }
    }
}
