import Crypto
import FoundationEssentials
import GRDB
import MailMessage

/// A journey record with its words as the index holds them.
struct JourneyLine: Sendable {
    let record: JourneyRecord
    private let hashes: Set<Int64>

    init(_ record: JourneyRecord) {
        self.record = record
        hashes = Set(record.keys.map(Self.hash(of:)) + [record.trace.indexHash])
    }

    /// A word's place in the index: 64 bits that nobody can choose, so that no sender is found under another's address.
    static func hash(of word: String) -> Int64 {
        SHA256.hash(data: Array(word.utf8)).prefix(8).reduce(0) { $0 << 8 | Int64($1) }
    }

    fileprivate func index(as sequence: Int64, _ db: Database) throws {
        for hash in hashes {
            try db.run("INSERT OR IGNORE INTO journeyKey (bucket, hash, sequence) VALUES (?, ?, ?)") {
                $0.bind(sequence >> JourneyTable.bucketBits)
                $0.bind(hash)
                $0.bind(sequence)
            }
        }
    }
}

/// How journey records are stored and found.
struct JourneyTable: Sendable {
    /// Records of one bucket, as bits of their sequence number: few enough that what is being written stays in memory, many enough that a
    /// search looks into few buckets.
    static let bucketBits: Int64 = 12

    /// This host in `journeyHost`.
    private let own: Int64

    static func open(_ database: StoreDatabase, host: String) async throws -> JourneyTable {
        JourneyTable(own: try await database.writer.submit { try number(of: host, $0) })
    }

    /// Stores a record of this host; its sequence number is also its number on this host.
    func insert(_ line: JourneyLine, _ db: Database) throws {
        try db.run("INSERT INTO journey (trace, time, host, payload) VALUES (?, ?, ?, ?)") {
            $0.bind(line.record.trace.octets)
            $0.bind(line.record.time.timeIntervalSinceReferenceDate)
            $0.bind(own)
            $0.bind(line.record.payload)
        }
        try line.index(as: db.lastInsertedRowID, db)
    }

    /// Stores a record of another host unless it is there already.
    static func merge(_ line: JourneyLine, _ db: Database) throws {
        let host = try number(of: line.record.host, db)
        try db.run(
            "INSERT INTO journey (trace, time, host, hostSequence, payload) VALUES (?, ?, ?, ?, ?) ON CONFLICT (host, hostSequence) WHERE hostSequence IS NOT NULL DO NOTHING"
        ) {
            $0.bind(line.record.trace.octets)
            $0.bind(line.record.time.timeIntervalSinceReferenceDate)
            $0.bind(host)
            $0.bind(line.record.hostSequence)
            $0.bind(line.record.payload)
        }
        if db.changesCount > 0 { try line.index(as: db.lastInsertedRowID, db) }
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

    /// Calls `body` with the sequence numbers of the records that have a word, the latest first, as long as it answers `true`.
    static func search(_ hash: Int64, _ db: Database, _ body: (Int64) throws -> Bool) throws {
        // From bucket to bucket, each by one look into the index.
        var upper = Int64.max
        while let bucket = try db.value("SELECT bucket FROM journeyKey WHERE bucket < ? ORDER BY bucket DESC LIMIT 1", bind: { $0.bind(upper) }) {
            var goesOn = true
            try db.rows(
                "SELECT sequence FROM journeyKey WHERE bucket = ? AND hash = ? ORDER BY sequence DESC",
                bind: {
                    $0.bind(bucket)
                    $0.bind(hash)
                },
                { row in
                    goesOn = try body(row.integer(0))
                    return goesOn
                })
            if !goesOn { return }
            upper = bucket
        }
    }

    /// Deletes what is older than `time`, and the words of what is gone.
    static func expire(before time: Date, _ db: Database) throws -> Int {
        try db.run("DELETE FROM journey WHERE time < ?") { $0.bind(time.timeIntervalSinceReferenceDate) }
        let count = db.changesCount
        guard count > 0 else { return 0 }
        let first = try db.value("SELECT min(sequence) FROM journey WHERE sequence > 0", bind: { _ in }) ?? 0
        // Whole buckets only; single words that lead nowhere are passed over, and go with their bucket.
        let bucket = first == 0 ? Int64.max : first >> bucketBits
        try db.run("DELETE FROM journeyKey WHERE bucket < ?") { $0.bind(bucket) }
        return count
    }
}

extension TraceID {
    /// The identity's place in the index. It is random by itself.
    fileprivate var indexHash: Int64 { Self.indexHash(octets) }

    static func indexHash(_ octets: [UInt8]) -> Int64 { octets.prefix(8).reduce(0) { $0 << 8 | Int64($1) } }

    init?(octets: Data) { self.init(octets: Array(octets)) }
}
