import GRDB

/// The tables of `mail.sqlite`. Times are seconds since 2001-01-01T00:00:00Z, exactly as `Date` holds them.
enum MailboxSchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("mail-1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE user (
                        id INTEGER PRIMARY KEY AUTOINCREMENT, address TEXT NOT NULL UNIQUE, salt BLOB NOT NULL, iterations INTEGER NOT NULL,
                        storedKey BLOB NOT NULL, serverKey BLOB NOT NULL);
                    CREATE TABLE alias (
                        address TEXT NOT NULL, position INTEGER NOT NULL, target TEXT NOT NULL, PRIMARY KEY (address, position)) WITHOUT ROWID;
                    CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
                    CREATE TABLE mailbox (
                        id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL REFERENCES user(id) ON DELETE CASCADE,
                        name TEXT NOT NULL, uidValidity INTEGER NOT NULL, uidNext INTEGER NOT NULL DEFAULT 1,
                        modSeq INTEGER NOT NULL DEFAULT 1, specialUse TEXT, subscribed INTEGER NOT NULL DEFAULT 0, mailboxID TEXT NOT NULL,
                        messageCount INTEGER NOT NULL DEFAULT 0, unseenCount INTEGER NOT NULL DEFAULT 0,
                        deletedCount INTEGER NOT NULL DEFAULT 0, totalSize INTEGER NOT NULL DEFAULT 0, UNIQUE (user, name));
                    CREATE TABLE content (
                        id INTEGER PRIMARY KEY AUTOINCREMENT, references_ INTEGER NOT NULL, prefix BLOB NOT NULL, size INTEGER NOT NULL,
                        file TEXT, body BLOB);
                    CREATE INDEX content_file ON content(file) WHERE file IS NOT NULL;
                    CREATE TABLE message (
                        mailbox INTEGER NOT NULL REFERENCES mailbox(id) ON DELETE CASCADE, uid INTEGER NOT NULL, modSeq INTEGER NOT NULL,
                        flags INTEGER NOT NULL, keywords TEXT NOT NULL, internalDate REAL NOT NULL, size INTEGER NOT NULL,
                        content INTEGER NOT NULL REFERENCES content(id), PRIMARY KEY (mailbox, uid)) WITHOUT ROWID;
                    CREATE INDEX message_modSeq ON message(mailbox, modSeq);
                    CREATE INDEX message_content ON message(content);
                    CREATE TABLE vanished (
                        mailbox INTEGER NOT NULL REFERENCES mailbox(id) ON DELETE CASCADE, modSeq INTEGER NOT NULL, uid INTEGER NOT NULL,
                        PRIMARY KEY (mailbox, modSeq, uid)) WITHOUT ROWID;
                    CREATE TABLE delivery (
                        user INTEGER NOT NULL REFERENCES user(id) ON DELETE CASCADE, id TEXT NOT NULL, mailbox TEXT NOT NULL,
                        uidValidity INTEGER NOT NULL, uid INTEGER NOT NULL, time REAL NOT NULL, PRIMARY KEY (user, id)) WITHOUT ROWID;
                    CREATE INDEX delivery_time ON delivery(time);
                    """)
        }
        // Removals are remembered up to a number; `vanishedSince` is the last modification that was forgotten.
        migrator.registerMigration("mail-2") { db in
            try db.execute(
                sql: """
                    ALTER TABLE mailbox ADD COLUMN vanishedCount INTEGER NOT NULL DEFAULT 0;
                    ALTER TABLE mailbox ADD COLUMN vanishedSince INTEGER NOT NULL DEFAULT 0;
                    UPDATE mailbox SET vanishedCount = (SELECT count(*) FROM vanished WHERE vanished.mailbox = mailbox.id);
                    """)
        }
        // What lists of messages show of a header, so that they need not read whole messages. Those that were stored before have none.
        migrator.registerMigration("mail-3") { db in
            try db.execute(
                sql: """
                    CREATE TABLE summary (content INTEGER PRIMARY KEY REFERENCES content(id) ON DELETE CASCADE, octets BLOB NOT NULL);
                    """)
        }
        return migrator
    }
}
