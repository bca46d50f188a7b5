import FoundationEssentials
import MailMessage
import NIOCore

/// What a search needs to know beside the message.
public struct SearchContext: Sendable {
    let lastSequenceNumber: Int
    let lastUID: UInt32
    let saved: Set<UInt32>

    /// - Parameters:
    ///   - lastSequenceNumber: what `*` is among sequence numbers.
    ///   - lastUID: what `*` is among UIDs.
    ///   - saved: the UIDs of the last SEARCH with SAVE, which `$` stands for (RFC 9051 §6.4.4.1).
    public init(lastSequenceNumber: Int, lastUID: UInt32, saved: Set<UInt32>) {
        self.lastSequenceNumber = lastSequenceNumber
        self.lastUID = lastUID
        self.saved = saved
    }
}

extension SearchKey {
    /// Whether the octets of the message are needed to tell.
    public var needsContent: Bool {
        switch self {
        case .all, .sequence, .uid, .flag, .recent, .before, .on, .since, .larger, .smaller: false
        case .sentBefore, .sentOn, .sentSince, .header, .body, .text: true
        case .not(let key): key.needsContent
        case .or(let first, let second): first.needsContent || second.needsContent
        case .and(let keys): keys.contains(where: \.needsContent)
        }
    }
}

extension IMAPMessage {
    /// Whether the message is one that the search looks for (RFC 9051 §6.4.4). Texts are compared without regard to case, decoded from
    /// encoded-words, transfer encodings and character sets.
    public func matches(_ key: SearchKey, in context: SearchContext) -> Bool {
        var search = MessageSearch(message: self, context: context)
        return search.matches(key)
    }
}

/// One message under search; what is parsed and decoded once serves all keys.
private struct MessageSearch {
    let message: IMAPMessage
    let context: SearchContext
    private lazy var parsed = Message(parsing: message.content ?? ByteBuffer())
    private lazy var headerText = parsed.allParts.map { part in
        part.header.map { folded("\($0.name): \($0.decodedText)") }
    }
    private lazy var bodyTexts = parsed.allParts.compactMap { $0.text().map(folded) }
    private lazy var sentDay = parsed.date.map { IMAPDate.day($0.date, offsetSeconds: $0.offsetSeconds) }

    init(message: IMAPMessage, context: SearchContext) {
        self.message = message
        self.context = context
    }

    mutating func matches(_ key: SearchKey) -> Bool {
        switch key {
        case .all: return true
        case .sequence(let set): return contains(set, UInt32(clamping: message.sequenceNumber), UInt32(clamping: context.lastSequenceNumber))
        case .uid(let set): return contains(set, message.uid, context.lastUID)
        case .flag(let flag, let isSet):
            let wanted = flag.lowercased()
            return message.flags.contains { $0.lowercased() == wanted } == isSet
        case .recent(let isRecent): return !isRecent
        case .before(let day): return IMAPDate.day(message.internalDate) < day
        case .on(let day): return IMAPDate.day(message.internalDate) == day
        case .since(let day): return IMAPDate.day(message.internalDate) >= day
        case .sentBefore(let day): return sentDay.map { $0 < day } ?? false
        case .sentOn(let day): return sentDay.map { $0 == day } ?? false
        case .sentSince(let day): return sentDay.map { $0 >= day } ?? false
        case .larger(let size): return message.size > Int(size)
        case .smaller(let size): return message.size < Int(size)
        case .header(let name, let text): return hasField(name, with: text)
        case .body(let text): return hasBody(with: folded(text))
        case .text(let text):
            let wanted = folded(text)
            return headerText.contains { $0.contains { $0.contains(octets: wanted) } } || hasBody(with: wanted)
        case .not(let key): return !matches(key)
        case .or(let first, let second):
            return matches(first) || matches(second)
        case .and(let keys):
            for key in keys where !matches(key) { return false }
            return true
        }
    }

    private func contains(_ set: SequenceSet, _ number: UInt32, _ largest: UInt32) -> Bool {
        if set.isSavedResult { return context.saved.contains(message.uid) }
        return set.ranges(largest: largest).contains { $0.contains(number) }
    }

    /// An empty text asks for the field alone.
    private mutating func hasField(_ name: String, with text: String) -> Bool {
        let wanted = folded(text)
        return parsed.header.all(named: name).contains { folded($0.decodedText).contains(octets: wanted) }
    }

    private mutating func hasBody(with wanted: [UInt8]) -> Bool {
        bodyTexts.contains { $0.contains(octets: wanted) }
    }
}

/// Text for a comparison without regard to case.
private func folded(_ text: String) -> [UInt8] { Array(text.lowercased().utf8) }

extension [UInt8] {
    /// Whether the octets occur, found by Horspool's method: long texts are not looked at octet by octet.
    fileprivate func contains(octets wanted: [UInt8]) -> Bool {
        guard let last = wanted.last else { return true }
        guard wanted.count <= count else { return false }
        var shift = [Int](repeating: wanted.count, count: 256)
        for (index, octet) in wanted.dropLast().enumerated() { shift[Int(octet)] = wanted.count - 1 - index }
        var end = wanted.count - 1
        while end < count {
            if self[end] == last, self[(end - wanted.count + 1)...end].elementsEqual(wanted) { return true }
            end += shift[Int(self[end])]
        }
        return false
    }
}
