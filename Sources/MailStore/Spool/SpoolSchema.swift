import GRDB

/// The tables of `spool.sqlite`. Times are seconds since 2001-01-01T00:00:00Z, exactly as `Date` holds them; a trace is its 16 octets.
///
/// A recipient's number is made of its message's (``SpoolNumbers``), so that a message's recipients stand together without an index.
/// The words by which journeys are found stand as hashes in the record itself, and, for all but the latest records, in `journeyIndex`
/// (``JourneyTable``): a new record touches the end of one table, however many old ones there are.
enum SpoolSchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("spool-2") { db in
            try db.execute(
                sql: """
                    CREATE TABLE spoolNumber (next INTEGER NOT NULL);
                    INSERT INTO spoolNumber VALUES (1);
                    CREATE TABLE message (
                        id INTEGER PRIMARY KEY, trace BLOB NOT NULL, arrival REAL NOT NULL, envelope BLOB NOT NULL,
                        annotations BLOB NOT NULL, prefix BLOB NOT NULL, size INTEGER NOT NULL, file TEXT, body BLOB);
                    CREATE INDEX message_file ON message(file) WHERE file IS NOT NULL;
                    CREATE TABLE recipient (
                        id INTEGER PRIMARY KEY, recipient BLOB NOT NULL, destination TEXT NOT NULL, state INTEGER NOT NULL,
                        attempts INTEGER NOT NULL DEFAULT 0, nextAttempt REAL NOT NULL, lastStatus TEXT, holdReason TEXT,
                        delayNotified INTEGER NOT NULL DEFAULT 0);
                    CREATE INDEX recipient_due ON recipient(state, nextAttempt, destination);
                    CREATE INDEX recipient_destination ON recipient(state, destination, nextAttempt);
                    CREATE TABLE acceptance (id INTEGER PRIMARY KEY, time REAL NOT NULL, fingerprint BLOB NOT NULL, trace BLOB NOT NULL);
                    CREATE TABLE journeyHost (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL);
                    CREATE TABLE journey (
                        sequence INTEGER PRIMARY KEY AUTOINCREMENT, trace BLOB NOT NULL, time REAL NOT NULL,
                        host INTEGER NOT NULL REFERENCES journeyHost(id), hostSequence INTEGER, payload BLOB NOT NULL);
                    CREATE INDEX journey_time ON journey(time);
                    CREATE UNIQUE INDEX journey_host ON journey(host, hostSequence) WHERE hostSequence IS NOT NULL;
                    CREATE TABLE journeyKey (
                        bucket INTEGER NOT NULL, hash INTEGER NOT NULL, sequence INTEGER NOT NULL,
                        PRIMARY KEY (bucket, hash, sequence)) WITHOUT ROWID;
                    """)
        }
        migrator.registerMigration("spool-3") { db in
            // A number is never given twice, or a collector that knows it would pass the new record over: the record with the highest one is never
            // deleted (`JourneyTable.expire`), so that SQLite gives the next higher one. AUTOINCREMENT would cost a page more in each commit.
            let highest = try Int64.fetchOne(db, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'journey'") ?? 0
            try db.execute(
                sql: """
                    CREATE TABLE journeyRecord (
                        sequence INTEGER PRIMARY KEY, trace BLOB NOT NULL, time REAL NOT NULL,
                        host INTEGER NOT NULL REFERENCES journeyHost(id), hostSequence INTEGER, hashes BLOB NOT NULL, payload BLOB NOT NULL);
                    INSERT INTO journeyRecord SELECT sequence, trace, time, host, hostSequence, x'', payload FROM journey;
                    """)
            if highest > 0 {
                // Where the last records have expired, an empty one keeps their number.
                try db.execute(
                    sql: """
                        INSERT OR IGNORE INTO journeyRecord (sequence, trace, time, host, hashes, payload)
                        SELECT ?, zeroblob(16), 0, min(id), x'', CAST('[]' AS BLOB) FROM journeyHost HAVING min(id) IS NOT NULL
                        """, arguments: [highest])
            }
            for bucket in try Int64.fetchAll(db, sql: "SELECT DISTINCT bucket FROM journeyKey") {
                var hashes: [Int64: [Int64]] = [:]
                try db.rows(
                    "SELECT sequence, hash FROM journeyKey WHERE bucket = ?", bind: { $0.bind(bucket) },
                    { row in
                        hashes[row.integer(0), default: []].append(row.integer(1))
                        return true
                    })
                for (sequence, list) in hashes {
                    try db.run("UPDATE journeyRecord SET hashes = ? WHERE sequence = ?") {
                        $0.bind(JourneyHashes.octets(of: list))
                        $0.bind(sequence)
                    }
                }
            }
            try db.execute(
                sql: """
                    DROP TABLE journeyKey;
                    DROP TABLE journey;
                    ALTER TABLE journeyRecord RENAME TO journey;
                    CREATE INDEX journey_time ON journey(time);
                    CREATE UNIQUE INDEX journey_host ON journey(host, hostSequence) WHERE hostSequence IS NOT NULL;
                    CREATE TABLE journeyIndex (id INTEGER PRIMARY KEY, entries BLOB NOT NULL);
                    """)
        }
        migrator.registerMigration("spool-4") { db in
            try db.execute(sql: "CREATE TABLE fact (kind TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID")
        }
        ReportSchema.register(in: &migrator)
        return migrator
    }
}
