import GRDB

/// The tables of `spool.sqlite`. Times are seconds since 2001-01-01T00:00:00Z, exactly as `Date` holds them; a trace is its 16 octets.
///
/// A recipient's number is made of its message's (``SpoolNumbers``), so that a message's recipients stand together without an index.
/// The words by which journeys are found stand in `journeyKey` by their hash, in buckets of records that were stored one after the other:
/// what is new touches few pages of the file, however many old ones there are.
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
        return migrator
    }
}
