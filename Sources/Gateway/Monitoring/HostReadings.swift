import DNS
import FoundationEssentials
import MailStore
import MailTransport
import NIOCore
import PosternMetrics

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What is asked for when somebody wants to know it: the queue, the disk, the process.
struct HostReadings: Sendable {
    let host: Host
    let budget: MemoryBudget
    /// When the process began.
    let start: Date

    /// Everything that Postern counts and measures, as Prometheus reads it.
    func exposition(at time: Date) async -> String {
        var exposition = Exposition()
        for instrument in Metrics.counted { exposition.add(instrument) }
        exposition.reading(Metrics.build, [([("version", PosternRelease.number)], 1)])
        if let queue = try? await host.spool.summary() {
            exposition.reading(
                Metrics.queueRecipients, [([("state", "queued")], Double(queue.queued)), ([("state", "held")], Double(queue.held))])
            exposition.reading(Metrics.queueOldest, queue.oldest.map { max(0, time.timeIntervalSince($0)) } ?? 0)
        }
        exposition.reading(Metrics.storageAlarm, host.storage.isRaised ? 1 : 0)
        exposition.reading(Metrics.storageFailures, Double(host.storage.failures))
        let folder = host.configuration.dataFolder
        exposition.reading(Metrics.storageFree, StoreSpace.free(folder).map { Double($0) })
        exposition.reading(
            Metrics.storageLog,
            StoreSpace.logs(folder).map { ([("database", $0.database)], Double($0.octets)) })
        exposition.reading(Metrics.memoryUsed, Double(budget.octetsInUse))
        exposition.reading(Metrics.memoryLimit, Double(budget.limit))
        exposition.reading(
            Metrics.certificateExpiry,
            [("public", host.publicTLS), ("link", host.linkTLS)].compactMap { name, tls in
                tls?.expiry.map { ([("certificate", name)], $0.timeIntervalSince1970) }
            })
        process(&exposition)
        return exposition.text
    }

    /// Why this host should get no work now; none where it should.
    func obstacles() async -> [String] {
        var found: [String] = []
        if host.storage.isRaised { found.append("storage: the last change could not be stored") }
        if budget.isExhausted { found.append("memory: the budget is used up") }
        do { _ = try await host.spool.summary() } catch { found.append("queue: it can't be read: \(error)") }
        if let free = StoreSpace.free(host.configuration.dataFolder), free < Self.leastSpace { found.append("storage: less than 16 MiB are free") }
        return found
    }

    /// Octets below which the next messages are likely not to fit.
    private static let leastSpace = 16 * 1024 * 1024

    private func process(_ exposition: inout Exposition) {
        exposition.reading(Metrics.cpu, Double(clock()) / Double(CLOCKS_PER_SEC))
        if let statm = FileManager.default.contents(atPath: "/proc/self/statm") {
            let pages = String(decoding: statm, as: UTF8.self).split(separator: " ").dropFirst().first.flatMap { Double($0) }
            exposition.reading(Metrics.resident, pages.map { $0 * Double(getpagesize()) })
        }
        if let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            exposition.reading(Metrics.descriptors, Double(open.count))
        }
        exposition.reading(Metrics.descriptorLimit, Double(DescriptorLimit.raise()))
        exposition.reading(Metrics.start, start.timeIntervalSince1970)
    }
}

/// Which Postern this is.
public enum PosternRelease {
    public static let number = "0.1.0"
}
