import DNS
import FoundationEssentials
import Logging
import MailStore
import Synchronization
import TransportSecurity

/// What other organisations' hosts offered before, in memory and, as far as it matters, over restarts.
final class HostMemory: Sendable {
    private struct Entry {
        var history: DestinationHistory
        var kept: DestinationHistory
    }

    /// A lock for each host: while a certificate is judged, nobody else waits.
    private final class Place: Sendable {
        let entry: Mutex<Entry>
        init(_ history: DestinationHistory) { entry = Mutex(Entry(history: history, kept: history)) }
    }

    private static let kind = "tls-history"
    /// More hosts than this aren't kept in memory.
    private static let limit = 20_000
    /// While a host keeps its promises, its history is written no oftener than this.
    private static let interval = 3600.0

    private let spool: SpoolStore
    private let logger: Logger
    private let places = Mutex<[DomainName: Place]>([:])

    init(spool: SpoolStore, logger: Logger) {
        self.spool = spool
        self.logger = logger
    }

    /// Makes sure that what is known of a host is in memory.
    func load(_ host: DomainName) async {
        guard places.withLock({ $0[host] == nil }) else { return }
        let kept = try? await spool.fact(Self.kind, host.ascii)
        _ = place(of: host, kept.flatMap { try? JSONDecoder().decode(DestinationHistory.self, from: Data($0)) } ?? DestinationHistory())
    }

    private func place(of host: DomainName, _ history: DestinationHistory = DestinationHistory()) -> Place {
        places.withLock { places in
            if let place = places[host] { return place }
            if places.count >= Self.limit, let victim = places.keys.first { places[victim] = nil }
            let place = Place(history)
            places[host] = place
            return place
        }
    }

    /// Works with what is known of a host.
    func change<Value: Sendable>(_ host: DomainName, _ body: (inout DestinationHistory) -> Value) -> Value {
        place(of: host).entry.withLock { body(&$0.history) }
    }

    /// Writes down what is known of a host where that says something new.
    func keep(_ host: DomainName, limits: DestinationHistory.Limits, at now: Date) async {
        let changed = place(of: host).entry.withLock { entry -> DestinationHistory? in
            guard Self.differs(entry.history, entry.kept, limits) else { return nil }
            entry.kept = entry.history
            return entry.history
        }
        guard let changed else { return }
        do {
            try await spool.setFact(Self.kind, host.ascii, Array(JSONEncoder().encode(changed)), at: now)
        } catch {
            logger.error("what a host offered can't be kept", metadata: ["host": "\(host)", "error": "\(error)"])
        }
    }

    /// Forgets hosts that nobody was in touch with for so long.
    static func forgetOld(in spool: SpoolStore, days: Int, at now: Date) async throws {
        try await spool.forgetFacts(kind, before: now.addingTimeInterval(-Double(days) * 86_400))
    }

    private static func differs(_ new: DestinationHistory, _ old: DestinationHistory, _ limits: DestinationHistory.Limits) -> Bool {
        guard new != old else { return false }
        guard new.missingSince == old.missingSince, let newest = new.lastEncrypted, let last = old.lastEncrypted else { return true }
        return old.encryptedSessions < limits.sessions || newest.timeIntervalSince(last) > interval
    }
}
