/// Matches mailbox names against LIST's patterns (RFC 9051 §6.3.9): `*` is anything, `%` anything within a level.
public struct MailboxPattern: Hashable, Sendable {
    private let octets: [UInt8]

    /// Takes a pattern with its reference in front.
    public init(_ pattern: String) {
        // INBOX is the same in any case (RFC 9051 §5.1).
        let isInbox = pattern.count == 5 && pattern.uppercased() == "INBOX"
        octets = Array((isInbox ? "INBOX" : pattern).utf8)
    }

    /// Whether a name with "/" between its levels matches. Takes time in proportion to both lengths multiplied, never more.
    public func matches(_ name: String) -> Bool {
        let name = Array(name.utf8)
        var reachable = [Bool](repeating: false, count: name.count + 1)
        reachable[0] = true
        for octet in octets {
            var next = [Bool](repeating: false, count: name.count + 1)
            let isWildcard = octet == UInt8(ascii: "*") || octet == UInt8(ascii: "%")
            for position in 0...name.count {
                if isWildcard {
                    if reachable[position] { next[position] = true }
                    if position > 0, next[position - 1], octet == UInt8(ascii: "*") || name[position - 1] != UInt8(ascii: "/") {
                        next[position] = true
                    }
                } else if position > 0, reachable[position - 1], name[position - 1] == octet {
                    next[position] = true
                }
            }
            reachable = next
        }
        return reachable[name.count]
    }
}
