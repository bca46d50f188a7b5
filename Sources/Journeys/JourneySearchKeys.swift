/// The words by which the journey log finds an event again: addresses in lower case, and the Message-ID as it is written.
public enum JourneySearchKeys {
    /// No word is longer (RFC 5321 §4.5.3.1.3 allows 256 octets for a path); longer ones come from nobody who searches for them.
    static let wordLimit = 512
    /// One event never has more words, however many recipients it names.
    static let countLimit = 2000

    /// The words of an event, each once, in the order of the event.
    public static func keys(of event: JourneyEvent) -> [String] {
        var words: [String] = []
        switch event.operation {
        case .connected, .secured, .resolved, .checked, .queued, .abandoned: break
        case .authenticated(let value): words = [normalise(value.user)]
        case .exchanged(let value): if let path = JourneyPath(command: value.command) { words = [normalise(path.address)] }
        case .described(let value):
            if let identity = value.messageID { words.append(messageID(identity)) }
            if let from = value.from { words += addresses(in: from) }
        case .decided(let value): if let recipient = value.recipient { words = [normalise(recipient)] }
        case .committed(let value): words = value.recipients.prefix(countLimit).map(normalise)
        case .routed(let value): words = [normalise(value.recipient)]
        case .attempted(let value): words = [normalise(value.recipient)]
        case .delivered(let value): words = [normalise(value.recipient), normalise(value.user)]
        case .notified(let value):
            words = [normalise(value.recipient)]
            if let notified = value.notified { words.append(normalise(notified)) }
        }
        var seen: Set<String> = []
        return words.filter { !$0.isEmpty && $0.utf8.count <= wordLimit && seen.insert($0).inserted }
    }

    /// The words of events that are kept together, each once.
    public static func keys(of events: [JourneyEvent]) -> [String] {
        var seen: Set<String> = []
        return events.flatMap { keys(of: $0) }.filter { seen.insert($0).inserted }
    }

    /// An address as it is searched for, with or without angle brackets around it.
    public static func normalise(_ address: String) -> String {
        trim(address, first: "<", last: ">").lowercased()
    }

    /// A Message-ID as it is searched for: with its angle brackets, which people leave out.
    public static func messageID(_ identity: String) -> String {
        let inner = trim(identity, first: "<", last: ">")
        return inner.isEmpty ? "" : "<\(inner)>"
    }

    private static func trim(_ text: String, first: Unicode.Scalar, last: Unicode.Scalar) -> String {
        var text = text.unicodeScalars[...]
        while let scalar = text.first, scalar.properties.isWhitespace { text.removeFirst() }
        while let scalar = text.last, scalar.properties.isWhitespace { text.removeLast() }
        if text.first == first, text.last == last, text.count >= 2 { text = text.dropFirst().dropLast() }
        return String(text)
    }

    /// The addresses of a From field's value, found by their `@`: evidence to search by, not a parser of RFC 5322.
    private static func addresses(in text: String) -> [String] {
        let separators: Set<Unicode.Scalar> = ["<", ">", ",", ";", " ", "\t", "\"", "(", ")"]
        return text.unicodeScalars.split(whereSeparator: separators.contains).prefix(100)
            .map { String($0) }.filter { $0.contains("@") }.map(normalise)
    }
}

/// The path of a MAIL or RCPT command (RFC 5321 §4.1.1.2, §4.1.1.3), read from the text that a journey keeps of it.
struct JourneyPath {
    enum Kind { case reverse, forward }
    var kind: Kind
    /// Without angle brackets; empty for the null reverse-path.
    var address: String

    init?(command: String) {
        let upper = command.prefix(10).uppercased()
        if upper.hasPrefix("MAIL FROM:") {
            kind = .reverse
        } else if upper.hasPrefix("RCPT TO:") {
            kind = .forward
        } else {
            return nil
        }
        guard let open = command.firstIndex(of: "<"), let close = command[open...].firstIndex(of: ">") else { return nil }
        address = String(command[command.index(after: open)..<close])
    }
}
