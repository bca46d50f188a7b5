import Foundation

/// The rules for names of mailboxes (RFC 9051 §5.1).
enum MailboxName {
    /// Octets of a whole name, and levels.
    static let longestName = 1000
    static let deepestLevel = 32

    /// The name as it is stored: NFC (RFC 9051 §5.1), `INBOX` in capitals wherever it is the first level.
    /// - Throws: ``StoreError`` `.invalidName` for empty levels, control characters, wildcards and what is too long.
    static func normalized(_ name: String) throws -> String {
        let text = name.precomposedStringWithCanonicalMapping
        guard !text.isEmpty, text.utf8.count <= longestName else { throw refusal("it is empty or has more than \(longestName) octets") }
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator, .surrogate: throw refusal("it contains a control character")
            default: if scalar == "*" || scalar == "%" { throw refusal("it contains a wildcard") }
            }
        }
        var levels = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard levels.count <= deepestLevel else { throw refusal("it has more than \(deepestLevel) levels") }
        guard levels.allSatisfy({ !$0.isEmpty }) else { throw refusal("one of its levels is empty") }
        // Without regard to the case of ASCII letters: elsewhere there are others with the same capitals.
        if let first = levels.first, first.utf8.count == 5, first.uppercased() == "INBOX" { levels[0] = "INBOX" }
        return levels.joined(separator: "/")
    }

    /// The names above, from the top.
    static func parents(of name: String) -> [String] {
        let levels = name.split(separator: "/")
        return levels.indices.dropFirst().map { levels[..<$0].joined(separator: "/") }
    }

    private static func refusal(_ reason: String) -> StoreError { StoreError(.invalidName, "this mailbox name cannot be used: \(reason)") }
}
