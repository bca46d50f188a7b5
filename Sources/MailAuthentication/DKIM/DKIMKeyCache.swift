public import DNS
public import FoundationEssentials
import Synchronization

/// What was found where a key should be.
public struct DKIMKeyAnswer: Sendable {
    /// One of the records.
    public struct Candidate: Sendable {
        /// The record as text.
        public var text: String
        /// What it says, or why it says nothing.
        public var record: Result<DKIMKeyRecord, DKIMSyntaxError>
        /// The key in it, or why there is none; `nil` where the record says nothing.
        public var key: Result<DKIMPublicKey, DKIMKeyError>?
    }

    private struct Found: Sendable {
        var lookup: DNSLookup
        var candidates: [Candidate]
        /// What is asked of each candidate for every signature.
        var claims: [Claim]
    }

    /// What a candidate may be used for: read once, and without the record's texts.
    struct Claim: Sendable {
        /// Why the record says nothing, or what of it forbids all signatures of mail; `nil` where nothing does.
        var failure: DKIMFailure?
        var keyType: DKIMKeyType?
        var isStrict: Bool
        /// The key, or why there is none.
        var key: Result<DKIMPublicKey, DKIMKeyError>

        init(_ candidate: Candidate) {
            key = candidate.key ?? .failure(.malformed)
            switch candidate.record {
            case .failure(let error): (failure, keyType, isStrict) = (.keyRecord(error), nil, false)
            case .success(let record):
                keyType = record.keyType
                isStrict = record.isStrict
                if !record.allowsSHA256 { failure = .hashNotAllowed } else if !record.isForEmail { failure = .keyNotForEmail }
            }
        }
    }

    private let found: DKIMShared<Found>
    /// The question and its answer.
    public var lookup: DNSLookup { found.value.lookup }
    /// The records, in the order of the answer.
    public var candidates: [Candidate] { found.value.candidates }
    var claims: [Claim] { found.value.claims }
    /// The first of the records that can be read.
    let readablePlace: Int?
    /// Whether the answer was known from an earlier question.
    public var isFromCache = false

    init(_ lookup: DNSLookup, limits: DKIMLimits) {
        let records = ((try? lookup.result.get())?.records ?? []).compactMap { data -> [UInt8]? in if case .txt(let text) = data { text } else { nil } }
        let candidates = records.prefix(limits.keyRecordCount).map { octets in
            let record = Result { () throws(DKIMSyntaxError) in try DKIMKeyRecord(parsing: octets) }
            let key = (try? record.get()).map { record in Result { () throws(DKIMKeyError) in try DKIMPublicKey(record, limits: limits) } }
            return Candidate(text: String(decoding: octets.prefix(4096), as: UTF8.self), record: record, key: key)
        }
        found = DKIMShared(Found(lookup: lookup, candidates: candidates, claims: candidates.map(Claim.init)))
        readablePlace = candidates.firstIndex { if case .success = $0.record { true } else { false } }
    }
}

/// Keys that were looked up and parsed, for as long as the DNS lets them be kept. Shared by verifiers with the same limits.
public final class DKIMKeyCache: Sendable {
    private struct Entry {
        var answer: DKIMKeyAnswer
        var expiry: Date
    }

    private let entries = Mutex<[DomainName: Entry]>([:])
    private let entryLimit: Int
    private let longestSeconds: TimeInterval
    private let longestNegativeSeconds: TimeInterval

    /// An empty cache.
    /// - Parameters:
    ///   - entryLimit: the most names that are kept.
    ///   - longestSeconds: the longest time for a key, whatever its time to live.
    ///   - longestNegativeSeconds: the longest time for an answer without a usable key.
    public init(entryLimit: Int = 10000, longestSeconds: TimeInterval = 86400, longestNegativeSeconds: TimeInterval = 300) {
        self.entryLimit = entryLimit
        self.longestSeconds = longestSeconds
        self.longestNegativeSeconds = longestNegativeSeconds
    }

    /// What is known of a name at a time.
    func answer(for name: DomainName, at time: Date) -> DKIMKeyAnswer? {
        entries.withLock { entries in
            guard let entry = entries[name], entry.expiry > time else { return nil }
            var answer = entry.answer
            answer.isFromCache = true
            return answer
        }
    }

    /// Keeps an answer; failures of the DNS aren't kept.
    func keep(_ answer: DKIMKeyAnswer, at time: Date) {
        guard case .success(let found) = answer.lookup.result else { return }
        let hasKey = answer.candidates.contains { if case .success? = $0.key { true } else { false } }
        let seconds = min(TimeInterval(found.timeToLive), hasKey ? longestSeconds : longestNegativeSeconds)
        guard seconds > 0, entryLimit > 0 else { return }
        entries.withLock { entries in
            if entries.count >= entryLimit, entries[found.name] == nil {
                entries = entries.filter { $0.value.expiry > time }
                // Full of what is still good: start again rather than look for the best one to drop.
                if entries.count >= entryLimit { entries.removeAll(keepingCapacity: true) }
            }
            entries[found.name] = Entry(answer: answer, expiry: time.addingTimeInterval(seconds))
        }
    }

    /// Forgets everything.
    public func removeAll() { entries.withLock { $0.removeAll() } }
}
