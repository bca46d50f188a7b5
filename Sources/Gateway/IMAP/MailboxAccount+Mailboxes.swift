import IMAP
import MailMessage
import MailStore
import MailTransport

/// The commands about mailboxes (RFC 9051 §6.3).
extension MailboxAccount {
    /// Special uses that a mailbox can be given. `All` and `Flagged` would be views of other mailboxes (RFC 6154 §2), which are not offered.
    private static let specialUses = ["Archive", "Drafts", "Junk", "Sent", "Trash"]

    /// Mailboxes of one user: what LIST looks at has an end.
    private static let mailboxLimit = 5000
    /// Octets of LIST's patterns together. Each is compared with each name.
    private static let patternLimit = 4096

    func create(_ name: String, specialUse: String?) async throws -> IMAPCompletion {
        var use: String?
        if let specialUse {
            guard let known = Self.specialUses.first(where: { $0.lowercased() == specialUse.lowercased() }) else {
                return .no("A mailbox can't be given this use", code: "USEATTR")
            }
            use = known
        }
        // RFC 9051 §6.3.4: a delimiter at the end says that mailboxes will be made below it.
        let trimmed = name.count > 1 && name.hasSuffix("/") ? String(name.dropLast()) : name
        guard try await store.mailboxes(of: user).count < Self.mailboxLimit else {
            return .no("There are \(Self.mailboxLimit) mailboxes already", code: "LIMIT")
        }
        _ = try await store.createMailbox(trimmed, of: user, specialUse: use)
        return .ok("Created")
    }

    func delete(_ name: String) async throws -> IMAPCompletion {
        try await store.deleteMailbox(name, of: user)
        return .ok("Deleted")
    }

    func rename(_ name: String, to newName: String) async throws -> IMAPCompletion {
        try await store.renameMailbox(name, to: newName, of: user)
        return .ok("Renamed")
    }

    func subscribe(_ name: String, _ isSubscribed: Bool) async throws -> IMAPCompletion {
        try await store.setSubscribed(isSubscribed, mailbox: name, of: user)
        return .ok(isSubscribed ? "Subscribed" : "Unsubscribed")
    }

    func mailboxList() async throws -> MailboxList { MailboxList(try await store.mailboxes(of: user).map(MailboxList.Mailbox.init)) }

    /// LIST (RFC 9051 §6.3.9), with the numbers of each mailbox where they are asked for (RFC 5819).
    func list(_ query: ListQuery, isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion {
        guard query.reference.utf8.count * query.patterns.count + query.patterns.reduce(0, { $0 + $1.utf8.count }) <= Self.patternLimit else {
            return .no("Shorter patterns, please", code: "LIMIT")
        }
        let mailboxes = try await store.mailboxes(of: user)
        let byName = Dictionary(mailboxes.map { ($0.name, $0) }) { first, _ in first }
        for listing in MailboxList(mailboxes.map(MailboxList.Mailbox.init)).listings(for: query) {
            IMAPResponse.list(listing).write(into: &output.buffer, isRev2: isRev2)
            if !query.status.isEmpty, let mailbox = byName[listing.name] {
                IMAPResponse.status(mailbox: listing.name, mailbox.values(query.status)).write(into: &output.buffer, isRev2: isRev2)
            }
            try await output.drain()
        }
        return .ok("Listed")
    }

    func lsub(_ reference: String, _ pattern: String, isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion {
        guard reference.utf8.count + pattern.utf8.count <= Self.patternLimit else { return .no("Shorter patterns, please", code: "LIMIT") }
        for listing in try await mailboxList().subscriptions(reference: reference, pattern: pattern) {
            IMAPResponse.lsub(listing).write(into: &output.buffer, isRev2: isRev2)
            try await output.drain()
        }
        return .ok("Listed")
    }

    /// STATUS (RFC 9051 §6.3.11).
    func status(_ name: String, _ items: [StatusItem], isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion {
        guard let mailbox = try await store.mailbox(named: name, of: user) else {
            return .no("There is no mailbox of this name", code: "NONEXISTENT")
        }
        IMAPResponse.status(mailbox: mailbox.name, mailbox.values(items)).write(into: &output.buffer, isRev2: isRev2)
        return .ok("Status told")
    }
}

extension MailboxList.Mailbox {
    init(_ mailbox: MailboxInfo) {
        self.init(name: mailbox.name, isSubscribed: mailbox.isSubscribed, specialUse: mailbox.specialUse)
    }
}

extension MailboxInfo {
    /// The numbers that STATUS asks for.
    fileprivate func values(_ items: [StatusItem]) -> [IMAPResponse.StatusValue] {
        items.map { item in
            switch item {
            case .messages: .init(item, messageCount)
            case .uidNext: .init(item, Int(uidNext))
            case .uidValidity: .init(item, Int(uidValidity))
            case .unseen: .init(item, unseenCount)
            case .deleted: .init(item, deletedCount)
            case .size: .init(item, totalSize)
            case .recent: .init(item, 0)
            }
        }
    }
}
