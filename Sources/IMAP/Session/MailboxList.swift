/// A line of LIST or LSUB (RFC 9051 §7.3.1).
public struct MailboxListing: Hashable, Sendable {
    public var name: String
    /// With their backslashes, as `\HasChildren`.
    public var attributes: [String]
    /// The mailbox stands here for subscribed ones below it (RFC 9051 §6.3.9.4, CHILDINFO).
    public var hasSubscribedChildren = false

    /// Makes a line.
    public init(name: String, attributes: [String], hasSubscribedChildren: Bool = false) {
        self.name = name
        self.attributes = attributes
        self.hasSubscribedChildren = hasSubscribedChildren
    }

    func text(isRev2: Bool) -> String {
        let mailbox = name.isEmpty ? "\"\"" : IMAPResponse.name(name, isRev2: isRev2)
        let childInfo = hasSubscribedChildren ? " (\"CHILDINFO\" (\"SUBSCRIBED\"))" : ""
        return "(\(attributes.joined(separator: " "))) \"/\" \(mailbox)\(childInfo)"
    }
}

/// All mailboxes of a user, from which LIST and LSUB choose.
public struct MailboxList: Sendable {
    /// What is known of a mailbox.
    public struct Mailbox: Hashable, Sendable {
        public var name: String
        public var isSubscribed: Bool
        /// Without the backslash (RFC 6154 §2).
        public var specialUse: String?
        /// A level above a mailbox, and no mailbox itself.
        var isMissing = false

        /// Makes a mailbox.
        public init(name: String, isSubscribed: Bool, specialUse: String?) {
            self.name = name
            self.isSubscribed = isSubscribed
            self.specialUse = specialUse
        }
    }

    /// With the levels that are no mailboxes.
    private let mailboxes: [Mailbox]
    private let parents: Set<String>

    /// Takes the mailboxes in the order in which they are listed.
    public init(_ mailboxes: [Mailbox]) {
        var known = Set(mailboxes.map(\.name))
        var parents: Set<String> = []
        var all: [Mailbox] = []
        for mailbox in mailboxes {
            for parent in Self.levels(above: mailbox.name) {
                parents.insert(parent)
                guard known.insert(parent).inserted else { continue }
                var missing = Mailbox(name: parent, isSubscribed: false, specialUse: nil)
                missing.isMissing = true
                all.append(missing)
            }
            all.append(mailbox)
        }
        self.mailboxes = all
        self.parents = parents
    }

    private static func levels(above name: String) -> [String] {
        let levels = name.split(separator: "/", omittingEmptySubsequences: false)
        return levels.indices.dropFirst().map { levels[..<$0].joined(separator: "/") }
    }

    /// The attributes of a mailbox (RFC 9051 §7.3.1). Those of special use and subscription are told always, as the client may ignore them.
    public func attributes(of name: String) -> [String] {
        guard let mailbox = mailboxes.first(where: { $0.name == name }) else { return ["\\NonExistent"] }
        return attributes(mailbox)
    }

    private func attributes(_ mailbox: Mailbox) -> [String] {
        var attributes = mailbox.isMissing ? ["\\NonExistent", "\\Noselect"] : []
        attributes.append(parents.contains(mailbox.name) ? "\\HasChildren" : "\\HasNoChildren")
        if mailbox.isSubscribed { attributes.append("\\Subscribed") }
        if let use = mailbox.specialUse { attributes.append("\\" + use) }
        return attributes
    }

    /// The names above some mailboxes.
    private func parents(where isWanted: (Mailbox) -> Bool) -> Set<String> {
        Set(mailboxes.filter(isWanted).flatMap { Self.levels(above: $0.name) })
    }

    /// The lines that answer LIST (RFC 9051 §6.3.9).
    public func listings(for query: ListQuery) -> [MailboxListing] {
        // RFC 9051 §6.3.9: an empty name asks for the delimiter only.
        if query.patterns == [""] { return [MailboxListing(name: "", attributes: ["\\Noselect"])] }
        let patterns = query.patterns.map { MailboxPattern(query.reference + $0) }
        func matches(_ name: String) -> Bool { patterns.contains { $0.matches(name) } }
        // Only for what the patterns don't show by themselves (RFC 9051 §6.3.9.4).
        let hidden = query.isRecursive ? parents(where: { $0.isSubscribed && !matches($0.name) }) : []
        return mailboxes.compactMap { mailbox in
            guard matches(mailbox.name) else { return nil }
            let isChosen =
                (!query.onlySubscribed || mailbox.isSubscribed) && (!query.onlySpecialUse || mailbox.specialUse != nil)
            var listing = MailboxListing(name: mailbox.name, attributes: attributes(mailbox))
            listing.hasSubscribedChildren = hidden.contains(mailbox.name)
            return isChosen || listing.hasSubscribedChildren ? listing : nil
        }
    }

    /// The lines that answer LSUB (RFC 3501 §6.3.9): a level above a subscribed mailbox is told where `%` hides the mailbox itself.
    public func subscriptions(reference: String, pattern: String) -> [MailboxListing] {
        let matcher = MailboxPattern(reference + pattern)
        let hidden = parents(where: { $0.isSubscribed && !matcher.matches($0.name) })
        return mailboxes.compactMap { mailbox in
            guard matcher.matches(mailbox.name) else { return nil }
            if mailbox.isSubscribed { return MailboxListing(name: mailbox.name, attributes: []) }
            return hidden.contains(mailbox.name) ? MailboxListing(name: mailbox.name, attributes: ["\\Noselect"]) : nil
        }
    }
}
