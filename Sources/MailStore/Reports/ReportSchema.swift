import GRDB

/// The tables of reports in `spool.sqlite`: in this file, because what is counted and what is sent must be one transaction with the journey that was
/// read and the message that is queued. Times and days as elsewhere: seconds since 2001-01-01, days since 1970-01-01.
enum ReportSchema {
    static func register(in migrator: inout DatabaseMigrator) {
        migrator.registerMigration("reports-1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE reportCursor (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
                    CREATE TABLE reportDomain (
                        kind INTEGER NOT NULL, day INTEGER NOT NULL, domain TEXT NOT NULL, destinations TEXT NOT NULL,
                        rows INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (kind, day, domain)) WITHOUT ROWID;
                    CREATE TABLE reportRow (
                        id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, day INTEGER NOT NULL, domain TEXT NOT NULL, digest BLOB NOT NULL,
                        count INTEGER NOT NULL, report INTEGER, section BLOB NOT NULL, payload BLOB NOT NULL);
                    CREATE UNIQUE INDEX reportRow_open ON reportRow(kind, day, domain, digest) WHERE report IS NULL;
                    CREATE INDEX reportRow_report ON reportRow(report) WHERE report IS NOT NULL;
                    CREATE TABLE reportOut (
                        id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, day INTEGER NOT NULL, domain TEXT NOT NULL, identity TEXT NOT NULL UNIQUE,
                        state INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, nextAttempt REAL NOT NULL, note TEXT,
                        isSupplement INTEGER NOT NULL DEFAULT 0, destinations TEXT NOT NULL, section BLOB NOT NULL, payload BLOB NOT NULL);
                    CREATE INDEX reportOut_due ON reportOut(state, nextAttempt);
                    CREATE INDEX reportOut_day ON reportOut(kind, day, domain);
                    CREATE TABLE reportIn (
                        id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, organization TEXT NOT NULL, identity TEXT NOT NULL, domain TEXT NOT NULL,
                        sender TEXT NOT NULL, isProven INTEGER NOT NULL, begin INTEGER NOT NULL, end INTEGER NOT NULL, received REAL NOT NULL,
                        size INTEGER NOT NULL, trace BLOB NOT NULL, payload BLOB NOT NULL);
                    CREATE UNIQUE INDEX reportIn_identity ON reportIn(kind, sender, isProven, organization, identity, domain);
                    CREATE INDEX reportIn_size ON reportIn(isProven, size);
                    CREATE INDEX reportIn_end ON reportIn(kind, end);
                    """)
        }
    }
}
