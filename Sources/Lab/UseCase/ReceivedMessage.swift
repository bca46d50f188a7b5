public import Foundation

/// A message as it was read from a mailbox.
public struct ReceivedMessage: Sendable {
    public let content: Data

    public init(_ content: Data) { self.content = content }

    /// Whether it is the original, octet for octet, with nothing but header fields put before it.
    ///
    /// Each server on the way may add trace fields at the top (RFC 5321 §4.4); everything below must be what was submitted.
    public func isUnchanged(_ original: Data) -> Bool {
        guard content.count >= original.count, content.suffix(original.count).elementsEqual(original) else { return false }
        return Self.areFields(content.prefix(content.count - original.count))
    }

    /// Where it begins to differ from the original, for a report; `nil` where nothing but fields were put before it.
    public func firstDifference(from original: Data) -> String? {
        guard !isUnchanged(original) else { return nil }
        guard let start = content.range(of: original.prefix(64))?.lowerBound else { return "the original's first octets aren't in it" }
        let rest = content[start...]
        let sizes = "\(rest.count) octets instead of \(original.count)"
        guard let place = zip(rest, original).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset else {
            return "\(sizes), the same as far as both go; ends with \(String(decoding: rest.suffix(40), as: UTF8.self).debugDescription)"
        }
        func excerpt(_ octets: Data) -> String { String(decoding: octets.dropFirst(max(0, place - 40)).prefix(80), as: UTF8.self).debugDescription }
        return "\(sizes); octet \(place): \(excerpt(original)) became \(excerpt(Data(rest)))"
    }

    /// Whether these octets are whole header fields (folded lines included), each ending in CRLF.
    private static func areFields(_ octets: Data) -> Bool {
        if octets.isEmpty { return true }
        let text = String(decoding: octets, as: UTF8.self)
        guard text.hasSuffix("\r\n") else { return false }
        var lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
        lines.removeLast()
        return lines.enumerated().allSatisfy { index, line in
            if line.first == " " || line.first == "\t" { return index > 0 }
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else { return false }
            return line[..<colon].utf8.allSatisfy { (0x21...0x7E).contains($0) }
        }
    }
}
