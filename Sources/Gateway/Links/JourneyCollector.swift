import FoundationEssentials
import Logging
import MailStore
import ServiceLifecycle

/// Fetches the journeys of the other hosts to the inside, where they are kept and shown. The others never dial in.
struct JourneyCollector: Service {
    let log: any JourneyLog
    let peers: [ControlClient]
    let interval: Duration
    let logger: Logger

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                for peer in peers { await collect(from: peer) }
                try await Task.sleep(for: interval)
            }
        }
    }

    /// Fetches what is new on one host, a thousand records at a time.
    private func collect(from peer: ControlClient) async {
        do {
            while true {
                let last = try await log.lastMerged(host: peer.peer.host)
                let response = try await peer.send(.journeys(after: last))
                guard response.status == 200 else {
                    logger.warning("journeys refused", metadata: ["peer": "\(peer.peer.host)", "status": "\(response.status)"])
                    return
                }
                let records = try JSONDecoder().decode([TravellingRecord].self, from: Data(response.body)).map(\.record)
                // A host may tell its own journeys only, never those of another.
                let own = records.filter { $0.host == peer.peer.host }
                guard !own.isEmpty else { return }
                try await log.merge(own)
                guard records.count >= 1000 else { return }
            }
        } catch {
            logger.debug("journeys can't be collected now", metadata: ["peer": "\(peer.peer.host)", "error": "\(error)"])
        }
    }
}
