import GRDB

/// The tables of `spool.sqlite`. Times are seconds since 2001-01-01T00:00:00Z, exactly as `Date` holds them.
enum SpoolSchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("spool-1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE message (
                        id INTEGER PRIMARY KEY AUTOINCREMENT, trace TEXT NOT NULL, arrival REAL NOT NULL, envelope BLOB NOT NULL,
                        annotations BLOB NOT NULL, prefix BLOB NOT NULL, size INTEGER NOT NULL, file TEXT, body BLOB);
                    CREATE INDEX message_file ON message(file) WHERE file IS NOT NULL;
                    CREATE TABLE recipient (
                        id INTEGER PRIMARY KEY AUTOINCREMENT, message INTEGER NOT NULL REFERENCES message(id) ON DELETE CASCADE,
                        recipient BLOB NOT NULL, destination TEXT NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
                        nextAttempt REAL NOT NULL, lastStatus TEXT, holdReason TEXT, delayNotified INTEGER NOT NULL DEFAULT 0);
                    CREATE INDEX recipient_message ON recipient(message);
                    CREATE INDEX recipient_due ON recipient(state, nextAttempt, destination);
                    CREATE INDEX recipient_destination ON recipient(state, destination, nextAttempt);
                    CREATE TABLE journey (
                        sequence INTEGER PRIMARY KEY AUTOINCREMENT, trace TEXT NOT NULL, time REAL NOT NULL, host TEXT NOT NULL,
                        hostSequence INTEGER, kind TEXT NOT NULL, payload BLOB NOT NULL, keys BLOB NOT NULL,
                        UNIQUE (host, hostSequence));
                    CREATE INDEX journey_trace ON journey(trace, time);
                    CREATE INDEX journey_time ON journey(time, trace);
                    CREATE TABLE journeyKey (
                        key TEXT NOT NULL, time REAL NOT NULL, trace TEXT NOT NULL,
                        sequence INTEGER NOT NULL REFERENCES journey(sequence) ON DELETE CASCADE);
                    CREATE INDEX journeyKey_key ON journeyKey(key, time, trace);
                    CREATE INDEX journeyKey_sequence ON journeyKey(sequence);
                    CREATE TABLE journeyHost (host TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
                    """)
        }
        return migrator
    }
}
