import FoundationEssentials
import MailMessage
import NIOCore

/// What a search needs to know beside the message.
public struct SearchContext: Sendable {
    let lastSequenceNumber: Int
    let lastUID: UInt32
    let saved: Set<UInt32>
    /// The patterns of the texts that are looked for, made once for all messages.
    private let patterns: [String: TextPattern]

    /// Makes a context.
    /// - Parameters:
    ///   - lastSequenceNumber: `*` among sequence numbers.
    ///   - lastUID: `*` among UIDs.
    ///   - saved: The UIDs that `$` means (RFC 9051 §6.4.4.1).
    ///   - key: What is looked for.
    public init(lastSequenceNumber: Int, lastUID: UInt32, saved: Set<UInt32>, key: SearchKey = .all) {
        patterns = Dictionary(key.texts.map { ($0, TextPattern($0)) }) { first, _ in first }
        self.lastSequenceNumber = lastSequenceNumber
        self.lastUID = lastUID
        self.saved = saved
    }

    func pattern(_ text: String) -> TextPattern { patterns[text] ?? TextPattern(text) }
}

extension SearchKey {
    /// What must be read of the message to answer.
    public var need: MessageNeed {
        switch self {
        case .all, .sequence, .uid, .flag, .recent, .before, .on, .since, .larger, .smaller: .row
        case .sentBefore, .sentOn, .sentSince: .summary
        case .header(let name, _): HeaderSummary.keeps(name) ? .summary : .content
        case .body, .text: .content
        case .not(let key): key.need
        case .or(let first, let second): max(first.need, second.need)
        case .and(let keys): keys.map(\.need).max() ?? .row
        }
    }

    /// The texts that are looked for.
    fileprivate var texts: [String] {
        switch self {
        case .header(_, let text), .body(let text), .text(let text): [text]
        case .not(let key): key.texts
        case .or(let first, let second): first.texts + second.texts
        case .and(let keys): keys.flatMap(\.texts)
        case .all, .sequence, .uid, .flag, .recent, .before, .on, .since, .larger, .smaller, .sentBefore, .sentOn, .sentSince: []
        }
    }
}

extension IMAPMessage {
    /// Whether a key of SEARCH finds the message (RFC 9051 §6.4.4).
    ///
    /// Texts are compared without the case of letters, after transfer encodings, character sets and encoded-words (RFC 2047) are decoded;
    /// composed and decomposed letters are not the same.
    public func matches(_ key: SearchKey, in context: SearchContext) -> Bool {
        if case .header(let name, let text) = key {
            // What lists of messages are searched for, nearly always by itself.
            return HeaderSection(reading: content ?? ByteBuffer()).contains(named: name, text: context.pattern(text))
        }
        var search = MessageSearch(message: self, context: context)
        return search.matches(key)
    }
}

extension HeaderSection {
    /// Whether a field of this name contains a text.
    fileprivate func contains(named name: String, text pattern: TextPattern) -> Bool {
        contains(named: name) { pattern.occurs(in: FoldedText(utf8: $0.decodedOctets)) }
    }
}

extension Set<String> {
    /// Whether a flag is among them, in whatever letters.
    func has(_ flag: String) -> Bool {
        // Nearly always they are written as they are kept.
        if contains(flag) { return true }
        let name = flag.lowercased()
        return contains { $0.lowercased() == name }
    }
}

/// One message against one key; what is decoded stays for the key's other parts.
private struct MessageSearch {
    private let message: IMAPMessage
    private let context: SearchContext
    private var reader: MessageReader
    private var foundTexts: Texts?
    private var foundSentDay: Int??

    /// What BODY looks at, and what TEXT looks at besides.
    private struct Texts {
        var body: [FoldedText] = []
        var header: [FoldedText] = []
    }

    init(message: IMAPMessage, context: SearchContext) {
        self.message = message
        self.context = context
        reader = MessageReader(octets: message.content ?? ByteBuffer())
    }

    mutating func matches(_ key: SearchKey) -> Bool {
        switch key {
        case .all: return true
        case .sequence(let set):
            return contains(set, UInt32(clamping: message.sequenceNumber), largest: UInt32(clamping: context.lastSequenceNumber))
        case .uid(let set): return contains(set, message.uid, largest: context.lastUID)
        case .flag(let name, let isSet):
            return message.flags.has(name) == isSet
        case .recent(let isRecent): return !isRecent
        case .before(let day): return IMAPDate.day(message.internalDate) < day
        case .on(let day): return IMAPDate.day(message.internalDate) == day
        case .since(let day): return IMAPDate.day(message.internalDate) >= day
        case .sentBefore(let day): return sentDay().map { $0 < day } ?? false
        case .sentOn(let day): return sentDay().map { $0 == day } ?? false
        case .sentSince(let day): return sentDay().map { $0 >= day } ?? false
        case .larger(let size): return message.size > Int(size)
        case .smaller(let size): return message.size < Int(size)
        case .header(let name, let text):
            return reader.header().contains(named: name, text: context.pattern(text))
        case .body(let text):
            let pattern = context.pattern(text)
            return pattern.isEmpty || texts().body.contains(where: pattern.occurs)
        case .text(let text):
            let pattern = context.pattern(text)
            if pattern.isEmpty { return true }
            let texts = texts()
            return texts.header.contains(where: pattern.occurs) || texts.body.contains(where: pattern.occurs)
        case .not(let key): return !matches(key)
        case .or(let first, let second): return matches(first) || matches(second)
        case .and(let keys):
            // What costs nothing first.
            for key in keys where key.need == .row && !matches(key) { return false }
            for key in keys where key.need == .summary && !matches(key) { return false }
            for key in keys where key.need == .content && !matches(key) { return false }
            return true
        }
    }

    private func contains(_ set: SequenceSet, _ number: UInt32, largest: UInt32) -> Bool {
        set.isSavedResult ? context.saved.contains(message.uid) : set.contains(number, largest: largest)
    }

    /// The day of the Date field as its sender wrote it, without regard to the zone (RFC 9051 §6.4.4).
    private mutating func sentDay() -> Int? {
        if let foundSentDay { return foundSentDay }
        let day = reader.header().first(named: "Date").flatMap { MessageDate(parsing: $0.unfoldedOctets) }.map {
            IMAPDate.day($0.date, offsetSeconds: $0.offsetSeconds)
        }
        foundSentDay = .some(day)
        return day
    }

    private mutating func texts() -> Texts {
        if let foundTexts { return foundTexts }
        var texts = Texts()
        var nested: Set<Int> = []
        for part in reader.message().allParts {
            let fields = part.header.map { FoldedText("\($0.name): \($0.decodedText)") }
            // The header of a message within the message belongs to the body.
            if nested.contains(part.headerRange.lowerBound) { texts.body += fields } else { texts.header += fields }
            if let filename = part.filename { texts.header.append(FoldedText(filename)) }
            if let inner = part.nestedMessage { nested.insert(inner.headerRange.lowerBound) }
            if let text = Self.text(of: part) { texts.body.append(FoldedText(text)) }
        }
        foundTexts = texts
        return texts
    }

    private static func text(of part: MIMEPart) -> String? {
        // RFC 9051 §6.4.4 lets a search be limited to text. What a notice says of each recipient is text for people too (message/delivery-status, RFC 3464 §2.1).
        guard part.structure == .leaf, ["text", "message"].contains(part.contentType.type) else { return nil }
        // Words of ASCII are found in character sets that are not known, too.
        return part.text() ?? String(buffer: part.decodedBody().octets)
    }
}
