import FoundationEssentials
import GRDB
import MailMessage
import Synchronization

/// A journey record with its words as hashes.
struct JourneyLine: Sendable {
    let record: JourneyRecord
    fileprivate let hashes: [UInt8]

    init(_ record: JourneyRecord) {
        self.record = record
        var octets: [UInt8] = []
        octets.reserveCapacity(8 * (record.keys.count + 1))
        JourneyHashes.append(record.trace.indexHash, to: &octets)
        for key in record.keys { JourneyHashes.append(JourneyHashes.hash(of: key), to: &octets) }
        hashes = octets
    }
}

/// How journey records are stored and found.
///
/// Records that were stored one after the other make a bucket. When a bucket is full, the hashes of its records are sorted into
/// ``parts`` rows of `journeyIndex`, so that a search reads one small row for each bucket; records that came later are looked at one by one. So
/// a new record costs one row at the end of the table and nothing else.
struct JourneyTable: Sendable {
    /// Records of one bucket, as bits of their sequence number.
    static let bucketBits: Int64 = 12
    /// Rows of a bucket, as bits: each has the hashes that begin with the same bits.
    static let partBits: Int64 = 6
    /// How many buckets are sorted at once, at most: what an earlier version left is worked off little by little.
    private static let bucketsAtOnce = 4

    /// This host in `journeyHost`.
    private let own: Int64
    private let latest = LatestBucket()

    /// The bucket before which everything was sorted when it was looked at last.
    private final class LatestBucket: Sendable {
        let value = Atomic<Int64>(-1)
    }

    static func open(_ database: StoreDatabase, host: String) async throws -> JourneyTable {
        JourneyTable(own: try await database.writer.submit { try number(of: host, $0) })
    }

    private init(own: Int64) { self.own = own }

    /// Stores a record of this host; its sequence number is also its number on this host.
    func insert(_ line: JourneyLine, _ db: Database) throws {
        try db.run("INSERT INTO journey (trace, time, host, hashes, payload) VALUES (?, ?, ?, ?, ?)") {
            $0.bind(line.record.trace.octets)
            $0.bind(line.record.time.timeIntervalSinceReferenceDate)
            $0.bind(own)
            $0.bind(line.hashes)
            $0.bind(line.record.payload)
        }
        try sortBuckets(before: db.lastInsertedRowID, db)
    }

    /// Stores a record of another host unless it is there already.
    func merge(_ line: JourneyLine, _ db: Database) throws {
        let host = try Self.number(of: line.record.host, db)
        try db.run(
            "INSERT INTO journey (trace, time, host, hostSequence, hashes, payload) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (host, hostSequence) WHERE hostSequence IS NOT NULL DO NOTHING"
        ) {
            $0.bind(line.record.trace.octets)
            $0.bind(line.record.time.timeIntervalSinceReferenceDate)
            $0.bind(host)
            $0.bind(line.record.hostSequence)
            $0.bind(line.hashes)
            $0.bind(line.record.payload)
        }
        if db.changesCount > 0 { try sortBuckets(before: db.lastInsertedRowID, db) }
        try db.run("UPDATE journeyHost SET last = max(last, ?) WHERE id = ?") {
            $0.bind(line.record.hostSequence)
            $0.bind(host)
        }
    }

    private static func number(of host: String, _ db: Database) throws -> Int64 {
        if let known = try db.value("SELECT id FROM journeyHost WHERE name = ?", bind: { $0.bind(host) }) { return known }
        try db.run("INSERT INTO journeyHost (name, last) VALUES (?, 0)") { $0.bind(host) }
        return db.lastInsertedRowID
    }

    // MARK: - The index

    /// The first record that stands in no bucket of the index.
    private static func firstUnsorted(_ db: Database) throws -> Int64 {
        guard let last = try db.value("SELECT id FROM journeyIndex ORDER BY id DESC LIMIT 1", bind: { _ in }) else { return 0 }
        return ((last >> partBits) + 1) << bucketBits
    }

    /// Sorts the buckets that a new record shows to be full. Should the transaction be rolled back, they stay unsorted until the next bucket
    /// is full, and are found nevertheless.
    private func sortBuckets(before sequence: Int64, _ db: Database) throws {
        let bucket = sequence >> Self.bucketBits
        guard bucket > latest.value.load(ordering: .relaxed) else { return }
        var first = try Self.firstUnsorted(db) >> Self.bucketBits
        var sorted = 0
        while first < bucket {
            guard sorted < Self.bucketsAtOnce else { return }
            let lower = first << Self.bucketBits
            // Where records have expired, there is nothing for many buckets.
            guard let next = try db.value("SELECT sequence FROM journey WHERE sequence >= ? LIMIT 1", bind: { $0.bind(lower) }) else { break }
            first = max(first, next >> Self.bucketBits)
            guard first < bucket else { break }
            try Self.sortBucket(first, db)
            first += 1
            sorted += 1
        }
        latest.value.store(bucket, ordering: .relaxed)
    }

    private static func sortBucket(_ bucket: Int64, _ db: Database) throws {
        var entries: [(hash: UInt64, place: UInt16)] = []
        try db.rows(
            "SELECT sequence, hashes FROM journey WHERE sequence >= ? AND sequence < ?",
            bind: {
                $0.bind(bucket << bucketBits)
                $0.bind((bucket + 1) << bucketBits)
            },
            { row in
                let octets = row.octets(1)
                let place = UInt16(truncatingIfNeeded: row.integer(0) & (1 << bucketBits - 1))
                for start in stride(from: 0, to: octets.count - 7, by: 8) {
                    entries.append((UInt64(bitPattern: JourneyHashes.number(octets.span, at: start)), place))
                }
                return true
            })
        entries.sort { ($0.hash, $0.place) < ($1.hash, $1.place) }
        var rest = entries[...]
        while let first = rest.first {
            let part = first.hash >> UInt64(64 - partBits)
            let members = rest.prefix { $0.hash >> UInt64(64 - partBits) == part }
            var octets: [UInt8] = []
            octets.reserveCapacity(members.count * 10)
            for entry in members {
                JourneyHashes.append(Int64(bitPattern: entry.hash), to: &octets)
                octets.append(UInt8(truncatingIfNeeded: entry.place >> 8))
                octets.append(UInt8(truncatingIfNeeded: entry.place))
            }
            try db.run("INSERT OR REPLACE INTO journeyIndex (id, entries) VALUES (?, ?)") {
                $0.bind(bucket << partBits | Int64(part))
                $0.bind(octets)
            }
            rest = rest.dropFirst(members.count)
        }
    }

    /// Calls `body` with the sequence numbers of the records that have a word, the latest first, as long as it answers `true`.
    static func search(_ hash: Int64, _ db: Database, _ body: (Int64) throws -> Bool) throws {
        let unsorted = try firstUnsorted(db)
        var goesOn = true
        try db.rows(
            "SELECT sequence, hashes FROM journey WHERE sequence >= ? ORDER BY sequence DESC", bind: { $0.bind(unsorted) },
            { row in
                if JourneyHashes.contains(hash, in: row.octets(1).span) { goesOn = try body(row.integer(0)) }
                return goesOn
            })
        guard goesOn, unsorted > 0, let first = try db.value("SELECT id FROM journeyIndex ORDER BY id LIMIT 1", bind: { _ in }) else { return }
        let part = Int64(bitPattern: UInt64(bitPattern: hash) >> UInt64(64 - partBits))
        var bucket = unsorted >> bucketBits - 1
        while bucket >= first >> partBits {
            try db.rows(
                "SELECT entries FROM journeyIndex WHERE id = ?", bind: { $0.bind(bucket << partBits | part) },
                { row in
                    for place in places(of: hash, in: row.octets(0)).reversed() where goesOn { goesOn = try body(bucket << bucketBits | place) }
                    return false
                })
            if !goesOn { return }
            bucket -= 1
        }
    }

    /// The places of the records with a hash in a row of the index, ascending: found by halving.
    private static func places(of hash: Int64, in octets: [UInt8]) -> [Int64] {
        let wanted = UInt64(bitPattern: hash)
        func entry(_ index: Int) -> UInt64 { UInt64(bitPattern: JourneyHashes.number(octets.span, at: index * 10)) }
        let count = octets.count / 10
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if entry(middle) < wanted { low = middle + 1 } else { high = middle }
        }
        var places: [Int64] = []
        while low < count, entry(low) == wanted {
            places.append(Int64(octets[low * 10 + 8]) << 8 | Int64(octets[low * 10 + 9]))
            low += 1
        }
        return places
    }

    /// Deletes what is older than `time`, and the words of what is gone. The last record stays, without what it said: its number is that of the
    /// next one's predecessor.
    static func expire(before time: Date, _ db: Database) throws -> Int {
        let time = time.timeIntervalSinceReferenceDate
        guard let last = try db.value("SELECT sequence FROM journey ORDER BY sequence DESC LIMIT 1", bind: { _ in }) else { return 0 }
        try db.run("DELETE FROM journey WHERE time < ? AND sequence <> ?") {
            $0.bind(time)
            $0.bind(last)
        }
        var count = db.changesCount
        try db.run("UPDATE journey SET hashes = x'', payload = CAST('[]' AS BLOB), trace = zeroblob(16) WHERE sequence = ? AND time < ? AND hashes <> x''") {
            $0.bind(last)
            $0.bind(time)
        }
        count += db.changesCount
        guard count > 0 else { return 0 }
        // Whole buckets only; single words that lead nowhere are passed over, and go with their bucket. The last bucket stays: it tells where the
        // unsorted records begin.
        let first = try db.value("SELECT sequence FROM journey ORDER BY sequence LIMIT 1", bind: { _ in }) ?? last
        let bucket = try min(first, firstUnsorted(db) - 1) >> bucketBits
        try db.run("DELETE FROM journeyIndex WHERE id < ?") { $0.bind(bucket << partBits) }
        return count
    }
}

extension TraceID {
    /// The identity's place in the index. It is random by itself.
    fileprivate var indexHash: Int64 { Self.indexHash(octets) }

    static func indexHash(_ octets: [UInt8]) -> Int64 { octets.prefix(8).reduce(0) { $0 << 8 | Int64($1) } }

    init?(octets: Data) { self.init(octets: Array(octets)) }
}
