import DNS
import FoundationEssentials
import Synchronization
import TransportSecurity

/// Which domains ask for reports on TLS (RFC 8460 §3). The DNS is asked beside a delivery, and what it says is remembered: a domain that much mail goes
/// to is asked for once an hour.
final class ReportWishes: Sendable {
    /// What is known of a domain, or will be soon.
    enum Wish: Sendable {
        case known(String?)
        case asked(Task<String?, Never>)

        /// The record; `nil` where there is none, or none that can be read.
        var record: String? {
            get async {
                switch self {
                case .known(let record): record
                case .asked(let task): await task.value
                }
            }
        }
    }

    private struct Entry {
        var wish: Wish
        var until: Date
    }

    /// Octets of the longest record that is kept; longer ones come from nobody who waits for reports.
    static let recordLimit = 2048
    /// More domains than this aren't remembered.
    private static let limit = 10_000
    /// For how long an answer counts, and for how long none does.
    private static let interval = 3600.0
    private static let pause = 300.0

    private let resolver: any Resolver
    private let now: @Sendable () -> Date
    private let entries = Mutex<[DomainName: Entry]>([:])

    init(resolver: any Resolver, now: @escaping @Sendable () -> Date) {
        self.resolver = resolver
        self.now = now
    }

    /// Asks for a domain's record where it isn't known.
    func wish(of domain: DomainName) -> Wish {
        let time = now()
        return entries.withLock { entries in
            // A clock that was put back makes no entry last for ever.
            if let entry = entries[domain], time < entry.until, entry.until.timeIntervalSince(time) <= Self.interval { return entry.wish }
            if entries[domain] == nil, entries.count >= Self.limit, let victim = entries.keys.first { entries[victim] = nil }
            let wish = Wish.asked(Task { await self.ask(domain) })
            entries[domain] = Entry(wish: wish, until: time.addingTimeInterval(Self.pause))
            return wish
        }
    }

    private func ask(_ domain: DomainName) async -> String? {
        guard let name = try? DomainName("_smtp._tls.\(domain.ascii)") else { return nil }
        let texts: [[UInt8]]
        do throws(DNSError) {
            texts = try await resolver.lookup(name, .txt).records.compactMap { if case .txt(let text) = $0 { text } else { nil } }
        } catch {
            // The entry that says so stays for the pause; what goes there meanwhile isn't reported.
            return nil
        }
        let record = Self.choose(texts)
        entries.withLock { $0[domain] = Entry(wish: .known(record), until: now().addingTimeInterval(Self.interval)) }
        return record
    }

    /// The text of the one record that counts, where somebody can get reports by it.
    private static func choose(_ texts: [[UInt8]]) -> String? {
        guard let record = try? TLSRPTRecord.choose(texts), !record.destinations.isEmpty,
            let text = texts.first(where: { (try? TLSRPTRecord(parsing: $0)) == record }), text.count <= recordLimit
        else { return nil }
        return String(validating: text, as: UTF8.self)
    }
}
