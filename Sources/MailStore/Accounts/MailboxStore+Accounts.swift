import FoundationEssentials
import GRDB
public import MailMessage
public import SASL

extension MailboxStore: AccountStore {
    /// What a new user has (RFC 6154 §2).
    private static let firstMailboxes: [(name: String, specialUse: String?)] = [
        ("INBOX", nil), ("Drafts", "Drafts"), ("Sent", "Sent"), ("Junk", "Junk"), ("Trash", "Trash"), ("Archive", "Archive"),
    ]
    /// How many aliases may lead from one to the next.
    private static let aliasDepth = 10

    public func addUser(_ address: EmailAddress, verifier: SCRAMVerifier) async throws {
        let key = address.storeKey
        try await change { db, _ in
            if try Int.fetchOne(db, sql: "SELECT 1 FROM user WHERE address = ?", arguments: [key]) != nil {
                throw StoreError(.exists, "there is a user \(key) already")
            }
            try db.run(
                "INSERT INTO user (address, salt, iterations, storedKey, serverKey) VALUES (?, ?, ?, ?, ?)",
                [key, Data(verifier.salt), verifier.iterations, Data(verifier.storedKey), Data(verifier.serverKey)])
            let id = db.lastInsertedRowID
            for mailbox in Self.firstMailboxes {
                try MailboxRows.create(mailbox.name, user: id, specialUse: mailbox.specialUse, subscribed: true, db)
            }
            try Self.bumpVersion(db)
        }
    }

    public func removeUser(_ address: EmailAddress) async throws {
        try await change { db, effects in
            let id = try MailboxRows.userID(address, db)
            for mailbox in try Int64.fetchAll(db, sql: "SELECT id FROM mailbox WHERE user = ?", arguments: [id]) {
                try MailboxRows.delete(mailbox, db, &effects)
            }
            try db.run("DELETE FROM user WHERE id = ?", [id])
            try Self.bumpVersion(db)
        }
    }

    public func setVerifier(_ verifier: SCRAMVerifier, forUser address: EmailAddress) async throws {
        try await change { db, _ in
            try db.run(
                "UPDATE user SET salt = ?, iterations = ?, storedKey = ?, serverKey = ? WHERE id = ?",
                [
                    Data(verifier.salt), verifier.iterations, Data(verifier.storedKey), Data(verifier.serverKey),
                    try MailboxRows.userID(address, db),
                ])
        }
    }

    public func verifier(forUser address: EmailAddress) async throws -> SCRAMVerifier? {
        let key = address.storeKey
        return try await database.read { db in
            try Row.fetchOne(db, sql: "SELECT * FROM user WHERE address = ?", arguments: [key]).map { row in
                SCRAMVerifier(
                    salt: Array(row["salt"] as Data), iterations: row["iterations"], storedKey: Array(row["storedKey"] as Data),
                    serverKey: Array(row["serverKey"] as Data))
            }
        }
    }

    public func users() async throws -> [EmailAddress] {
        try await database.read { try String.fetchAll($0, sql: "SELECT address FROM user ORDER BY address") }
            .map { EmailAddress(storeKey: $0) }
    }

    public func setAlias(_ alias: EmailAddress, targets: [EmailAddress]) async throws {
        let key = alias.storeKey
        guard !targets.isEmpty else { throw StoreError(.notFound, "the alias \(key) needs a target") }
        try await change { db, _ in
            try db.run("DELETE FROM alias WHERE address = ?", [key])
            for (position, target) in targets.enumerated() {
                try db.run(
                    "INSERT INTO alias (address, position, target) VALUES (?, ?, ?)",
                    [key, position, "\(target.localPart)@\(target.domain)"])
            }
            try Self.bumpVersion(db)
        }
    }

    public func removeAlias(_ alias: EmailAddress) async throws {
        let key = alias.storeKey
        try await change { db, _ in
            try db.run("DELETE FROM alias WHERE address = ?", [key])
            guard db.changesCount > 0 else { throw StoreError(.notFound, "there is no alias \(key)") }
            try Self.bumpVersion(db)
        }
    }

    public func aliases() async throws -> [(alias: EmailAddress, targets: [EmailAddress])] {
        let rows = try await database.read { db in
            try Row.fetchAll(db, sql: "SELECT address, target FROM alias ORDER BY address, position")
                .map { ($0["address"] as String, $0["target"] as String) }
        }
        var result: [(alias: EmailAddress, targets: [EmailAddress])] = []
        for (alias, target) in rows {
            let (alias, target) = (EmailAddress(storeKey: alias), EmailAddress(storeKey: target))
            if let last = result.indices.last, result[last].alias == alias {
                result[last].targets.append(target)
            } else {
                result.append((alias, [target]))
            }
        }
        return result
    }

    public func resolve(_ recipient: EmailAddress) async throws -> [ResolvedRecipient] {
        try await database.read { db in
            var visited: Set<String> = []
            var found: [ResolvedRecipient] = []
            try follow(recipient, detail: nil, depth: 0, visited: &visited, found: &found, db)
            return found
        }
    }

    private func follow(
        _ address: EmailAddress, detail: String?, depth: Int, visited: inout Set<String>, found: inout [ResolvedRecipient], _ db: Database
    ) throws {
        // An alias that leads back to itself, or too far, leads nowhere.
        guard depth <= Self.aliasDepth, visited.insert(address.storeKey).inserted else { return }
        func add(_ target: ResolvedRecipient.Target, _ detail: String?) {
            let resolved = ResolvedRecipient(target: target, detail: detail)
            if !found.contains(resolved) { found.append(resolved) }
        }
        func step(_ key: String, _ detail: String?) throws -> Bool {
            if try Int.fetchOne(db.cachedStatement(sql: "SELECT 1 FROM user WHERE address = ?"), arguments: [key]) != nil {
                add(.user(EmailAddress(storeKey: key)), detail)
                return true
            }
            let targets = try String.fetchAll(
                db.cachedStatement(sql: "SELECT target FROM alias WHERE address = ? ORDER BY position"), arguments: [key])
            for target in targets {
                try follow(EmailAddress(storeKey: target), detail: detail, depth: depth + 1, visited: &visited, found: &found, db)
            }
            return !targets.isEmpty
        }
        if try step(address.storeKey, detail) { return }
        if !subaddressSeparator.isEmpty, let cut = address.localPart.firstRange(of: subaddressSeparator),
            cut.lowerBound > address.localPart.startIndex
        {
            let base = EmailAddress(localPart: String(address.localPart[..<cut.lowerBound]), domain: address.domain)
            if try step(base.storeKey, String(address.localPart[cut.upperBound...])) { return }
        }
        if try step("*@\(address.domain)", detail) { return }
        // RFC 5321 §4.5.1: a domain that takes mail has a postmaster. Where nobody was named, it is whoever was there first.
        if address.localPart.lowercased() == "postmaster", let first = try Self.firstUsers(db)[address.domain] {
            return add(.user(first), detail)
        }
        if depth > 0 { add(.remote(address), detail) }
    }

    public func allAddresses() async throws -> (addresses: [EmailAddress], catchAllDomains: [String]) {
        let (keys, firstUsers) = try await database.read { db in
            (try String.fetchAll(db, sql: "SELECT address FROM user UNION SELECT address FROM alias ORDER BY 1"), try Self.firstUsers(db))
        }
        var all = keys.map { EmailAddress(storeKey: $0) }
        for domain in firstUsers.keys.sorted() {
            let postmaster = EmailAddress(localPart: "postmaster", domain: domain)
            if !all.contains(postmaster) { all.append(postmaster) }
        }
        return (all.filter { $0.localPart != "*" }, all.filter { $0.localPart == "*" }.map(\.domain))
    }

    /// The user that each domain has had for the longest time.
    private static func firstUsers(_ db: Database) throws -> [String: EmailAddress] {
        let users = try String.fetchAll(db, sql: "SELECT address FROM user ORDER BY id").map { EmailAddress(storeKey: $0) }
        return Dictionary(users.map { ($0.domain, $0) }, uniquingKeysWith: { first, _ in first })
    }

    public func accountsVersion() async throws -> Int64 {
        try await database.read { try Int64.fetchOne($0, sql: "SELECT value FROM counter WHERE name = 'accounts'") ?? 0 }
    }

    private static func bumpVersion(_ db: Database) throws {
        try db.run("INSERT INTO counter (name, value) VALUES ('accounts', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1")
    }
}
