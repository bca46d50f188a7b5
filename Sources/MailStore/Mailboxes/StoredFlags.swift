/// Flags as the database holds them: the system flags as bits, keywords as sorted text.
struct StoredFlags: Hashable, Sendable {
    static let deleted = 4
    static let seen = 8
    private static let systemFlags = [(1, "\\Answered"), (2, "\\Flagged"), (deleted, "\\Deleted"), (seen, "\\Seen"), (16, "\\Draft")]
    /// Keywords on one message, and the octets of one.
    static let mostKeywords = 64
    static let longestKeyword = 128

    var bits = 0
    var keywords: Set<String> = []

    /// `\Recent` and unknown flags with a backslash are passed over: clients cannot set them (RFC 9051 §2.3.2).
    init(_ flags: Set<String>) {
        for flag in flags {
            if let known = Self.systemFlags.first(where: { $0.1.lowercased() == flag.lowercased() }) {
                bits |= known.0
            } else if !flag.hasPrefix("\\"), !flag.isEmpty, flag.utf8.count <= Self.longestKeyword, keywords.count < Self.mostKeywords,
                flag.utf8.allSatisfy({ $0 > 32 && $0 < 127 })
            {
                keywords.insert(flag)
            }
        }
    }

    init(bits: Int, keywords: String) {
        self.bits = bits
        self.keywords = Set(keywords.split(separator: " ").map(String.init))
    }

    var keywordText: String { keywords.sorted().joined(separator: " ") }
    var isSeen: Bool { bits & Self.seen != 0 }
    var isDeleted: Bool { bits & Self.deleted != 0 }
    var names: Set<String> { keywords.union(Self.systemFlags.filter { bits & $0.0 != 0 }.map(\.1)) }

    /// The names of every combination of system flags. Most messages have no keyword, and share these.
    private static let systemNames: [Set<String>] = (0..<32).map { StoredFlags(bits: $0, keywords: "").names }

    /// The names of flags as a row holds them.
    static func names(bits: Int, keywords: [UInt8]) -> Set<String> {
        guard keywords.isEmpty, systemNames.indices.contains(bits) else {
            return StoredFlags(bits: bits, keywords: String(decoding: keywords, as: UTF8.self)).names
        }
        return systemNames[bits]
    }

    func applying(_ change: FlagChange, _ other: StoredFlags) -> StoredFlags {
        var result = self
        switch change {
        case .replace: return other
        case .add:
            result.bits |= other.bits
            for keyword in other.keywords.sorted() where result.keywords.count < Self.mostKeywords { result.keywords.insert(keyword) }
        case .remove:
            result.bits &= ~other.bits
            result.keywords.subtract(other.keywords)
        }
        return result
    }
}
