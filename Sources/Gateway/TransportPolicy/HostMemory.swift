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

    private static let kind = "tls-history"
    /// More hosts than this aren't kept in memory.
    private static let limit = 20_000
    /// While a host keeps its promises, its history is written no oftener than this.
    private static let interval = 3600.0

    private let spool: SpoolStore
    private let logger: Logger
    private let entries = Mutex<[DomainName: Entry]>([:])

    init(spool: SpoolStore, logger: Logger) {
        self.spool = spool
        self.logger = logger
    }

    /// Makes sure that what is known of a host is in memory.
    func load(_ host: DomainName) async {
        guard entries.withLock({ $0[host] == nil }) else { return }
        let kept = try? await spool.fact(Self.kind, host.ascii)
        let history = kept.flatMap { try? JSONDecoder().decode(DestinationHistory.self, from: Data($0)) } ?? DestinationHistory()
        entries.withLock { entries in
            guard entries[host] == nil else { return }
            if entries.count >= Self.limit, let victim = entries.keys.first { entries[victim] = nil }
            entries[host] = Entry(history: history, kept: history)
        }
    }

    /// Works with what is known of a host.
    func change<Value>(_ host: DomainName, _ body: (inout DestinationHistory) -> Value) -> Value {
        entries.withLock { entries in
            var entry = entries[host] ?? Entry(history: DestinationHistory(), kept: DestinationHistory())
            defer { entries[host] = entry }
            return body(&entry.history)
        }
    }

    /// Writes down what is known of a host where that says something new.
    func keep(_ host: DomainName, limits: DestinationHistory.Limits) async {
        let changed = entries.withLock { entries -> DestinationHistory? in
            guard let entry = entries[host], Self.differs(entry.history, entry.kept, limits) else { return nil }
            entries[host]?.kept = entry.history
            return entry.history
        }
        guard let changed else { return }
        do {
            try await spool.setFact(Self.kind, host.ascii, Array(JSONEncoder().encode(changed)))
        } catch {
            logger.error("what a host offered can't be kept", metadata: ["host": "\(host)", "error": "\(error)"])
        }
    }

    private static func differs(_ new: DestinationHistory, _ old: DestinationHistory, _ limits: DestinationHistory.Limits) -> Bool {
        guard new != old else { return false }
        guard new.missingSince == old.missingSince, let newest = new.lastEncrypted, let last = old.lastEncrypted else { return true }
        return old.encryptedSessions < limits.sessions || newest.timeIntervalSince(last) > interval
    }
}
