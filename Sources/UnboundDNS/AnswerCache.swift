import DNS
import Synchronization

/// Answers that were given a moment ago, ready to be given again: what the library keeps costs a way through its threads each time.
/// Failures are never kept here; the library knows for how long they hold.
final class AnswerCache: Sendable {
    private struct Question: Hashable {
        let name: DomainName
        let type: DNSRecordType
    }

    private struct Entry {
        let answer: DNSAnswer
        let until: ContinuousClock.Instant
        let kept: ContinuousClock.Instant
    }

    private struct State {
        // Two generations: when the young one is full it becomes the old one, and what of the old nobody asked for is gone.
        var young: [Question: Entry] = [:]
        var old: [Question: Entry] = [:]
    }

    /// Answers with more octets than this aren't kept.
    private static let largestAnswer = 8192
    /// An operator who changes a record sees it here after this time at the latest, whatever its time to live.
    private static let longestKept = Duration.seconds(300)

    private let limit: Int
    private let state = Mutex(State())

    /// - Parameter limit: how many answers are kept in each of two generations.
    init(limit: Int = 4096) { self.limit = limit }

    /// The answer to a question, with what is left of its time to live.
    func answer(to name: DomainName, _ type: DNSRecordType, at now: ContinuousClock.Instant) -> DNSAnswer? {
        let question = Question(name: name, type: type)
        let found = state.withLock { state -> Entry? in
            if let entry = state.young[question] { return entry }
            guard let entry = state.old.removeValue(forKey: question) else { return nil }
            if entry.until > now { insert(entry, for: question, in: &state) }
            return entry
        }
        guard let found, found.until > now else { return nil }
        var answer = found.answer
        answer.timeToLive -= min(answer.timeToLive, UInt32(clamping: (now - found.kept).components.seconds))
        return answer
    }

    /// Keeps an answer as long as its time to live says.
    func keep(_ answer: DNSAnswer, at now: ContinuousClock.Instant) {
        guard answer.timeToLive > 0, answer.size <= Self.largestAnswer else { return }
        let entry = Entry(answer: answer, until: now + min(.seconds(Int64(answer.timeToLive)), Self.longestKept), kept: now)
        state.withLock { insert(entry, for: Question(name: answer.name, type: answer.type), in: &$0) }
    }

    private func insert(_ entry: Entry, for question: Question, in state: inout State) {
        if state.young.count >= limit, state.young[question] == nil {
            state.old = state.young
            state.young = [:]
        }
        state.young[question] = entry
    }
}

extension DNSAnswer {
    /// About as many octets as the records have.
    fileprivate var size: Int {
        records.reduce(0) { size, record in
            switch record {
            case .txt(let octets), .other(let octets), .tlsa(_, _, _, let octets): size + octets.count
            case .address, .mx, .name, .srv: size + 64
            }
        }
    }
}
