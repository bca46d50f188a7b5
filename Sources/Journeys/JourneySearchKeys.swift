/// The words by which the journey log finds an event again: addresses in lower case, and the Message-ID as it is written.
public enum JourneySearchKeys {
    /// No word is longer (RFC 5321 §4.5.3.1.3 allows 256 octets for a path); longer ones come from nobody who searches for them.
    static let wordLimit = 512
    /// One event never has more words, however many recipients it names.
    static let countLimit = 2000

    /// The words of an event, each once, in the order of the event.
    public static func keys(of event: JourneyEvent) -> [String] {
        var words = Words()
        words.add(event)
        return words.list
    }

    /// The words of events that are kept together, each once.
    public static func keys(of events: [JourneyEvent]) -> [String] {
        var words = Words()
        // By index, so that none is copied.
        for index in events.indices { words.add(events[index]) }
        return words.list
    }

    /// Words, each once. Most steps have three or four, which are compared; only many of them are worth a set.
    private struct Words {
        private(set) var list: [String] = []
        private var set: Set<String> = []
        private static let fewWords = 16

        mutating func add(_ word: String) {
            guard !word.isEmpty, word.utf8.count <= wordLimit else { return }
            if list.count < Self.fewWords {
                guard !list.contains(word) else { return }
            } else {
                if set.isEmpty { set = Set(list) }
                guard set.insert(word).inserted else { return }
            }
            list.append(word)
        }

        mutating func add(_ event: JourneyEvent) {
            switch event.operation {
            case .connected, .secured, .protected, .resolved, .checked, .judged, .queued, .abandoned: break
            case .authenticated(let value): add(normalise(value.user))
            case .exchanged(let value): if let path = JourneyPath(command: value.command) { add(normalise(path.address)) }
            case .described(let value):
                if let identity = value.messageID { add(messageID(identity)) }
                if let from = value.from { for address in addresses(in: from) { add(address) } }
            case .decided(let value): if let recipient = value.recipient { add(normalise(recipient)) }
            case .committed(let value): for recipient in value.recipients.prefix(countLimit) { add(normalise(recipient)) }
            case .routed(let value): add(normalise(value.recipient))
            case .attempted(let value): add(normalise(value.recipient))
            case .delivered(let value):
                add(normalise(value.recipient))
                add(normalise(value.user))
            case .notified(let value):
                add(normalise(value.recipient))
                if let notified = value.notified { add(normalise(notified)) }
            }
        }
    }

    /// An address as it is searched for, with or without angle brackets around it.
    public static func normalise(_ address: String) -> String {
        // Most addresses are plain already, and stay the text that they are.
        let octets = address.utf8.span
        for place in octets.indices {
            let octet = octets[place]
            guard (0x21..<0x7F).contains(octet), !(0x41...0x5A).contains(octet), octet != UInt8(ascii: "<") else {
                return trim(address, first: "<", last: ">").lowercased()
            }
        }
        return address
    }

    /// A Message-ID as it is searched for: with its angle brackets, which people leave out.
    public static func messageID(_ identity: String) -> String {
        let octets = identity.utf8.span
        if octets.count > 2, octets[0] == UInt8(ascii: "<"), octets[octets.count - 1] == UInt8(ascii: ">") { return identity }
        let inner = trim(identity, first: "<", last: ">")
        return inner.isEmpty ? "" : "<\(inner)>"
    }

    private static func trim(_ text: String, first: Unicode.Scalar, last: Unicode.Scalar) -> String {
        var text = text.unicodeScalars[...]
        while let scalar = text.first, isBlank(scalar) { text.removeFirst() }
        while let scalar = text.last, isBlank(scalar) { text.removeLast() }
        if text.first == first, text.last == last, text.utf8Count >= 2 { text = text.dropFirst().dropLast() }
        return String(text)
    }

    private static func isBlank(_ scalar: Unicode.Scalar) -> Bool {
        scalar.isASCII ? scalar == " " || (9...13).contains(scalar.value) : scalar.properties.isWhitespace
    }

    /// The addresses of a From field's value, found by their `@`: evidence to search by, not a parser of RFC 5322.
    private static func addresses(in text: String) -> [String] {
        text.utf8.split(whereSeparator: isSeparator).prefix(100)
            .filter { $0.contains(UInt8(ascii: "@")) }.map { normalise(String(Substring($0))) }
    }

    /// All of them are ASCII, so that what stands between two is whole text.
    private static func isSeparator(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: " "), UInt8(ascii: "\t"),
            UInt8(ascii: "\""), UInt8(ascii: "("), UInt8(ascii: ")"):
            true
        default: false
        }
    }
}

extension Substring.UnicodeScalarView {
    fileprivate var utf8Count: Int { Substring(self).utf8.count }
}

/// The path of a MAIL or RCPT command (RFC 5321 §4.1.1.2, §4.1.1.3), read from the text that a journey keeps of it.
struct JourneyPath {
    enum Kind { case reverse, forward }
    var kind: Kind
    /// Without angle brackets; empty for the null reverse-path.
    var address: String

    init?(command: String) {
        let octets = command.utf8
        switch octets.first {
        case UInt8(ascii: "M"), UInt8(ascii: "m"):
            guard Self.begins(octets, with: "MAIL FROM:") else { return nil }
            kind = .reverse
        case UInt8(ascii: "R"), UInt8(ascii: "r"):
            guard Self.begins(octets, with: "RCPT TO:") else { return nil }
            kind = .forward
        default: return nil
        }
        guard let open = octets.firstIndex(of: UInt8(ascii: "<")), let close = octets[open...].firstIndex(of: UInt8(ascii: ">")) else { return nil }
        address = String(command[octets.index(after: open)..<close])
    }

    /// Whether the text begins with a word in upper case, in whatever case it is written.
    private static func begins(_ octets: String.UTF8View, with word: String) -> Bool {
        let (octets, word) = (octets.span, word.utf8.span)
        guard octets.count >= word.count else { return false }
        for place in word.indices {
            let octet = octets[place]
            guard octet == word[place] || ((0x61...0x7A).contains(octet) && octet - 0x20 == word[place]) else { return false }
        }
        return true
    }
}
