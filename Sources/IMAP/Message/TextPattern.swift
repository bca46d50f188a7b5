/// A text for comparisons without the case of letters: close to `i;unicode-casemap` (RFC 5051), but for its decomposition.
struct FoldedText: Sendable {
    let octets: [UInt8]

    init(_ text: String) {
        // Through the capitals, so that ß is as ss and ς as σ. Most text is ASCII, where small letters are enough.
        let isASCII = text.utf8.allSatisfy { $0 < 0x80 }
        octets = Array((isASCII ? text.lowercased() : text.uppercased().lowercased()).utf8)
    }
}

/// A text to look for without the case of letters.
///
/// The search of Knuth, Morris and Pratt reads each octet of the text once: its cost is that of the lengths added, whatever they hold.
struct TextPattern: Sendable {
    private let octets: [UInt8]
    /// For each place, how many octets of the pattern's beginning end there.
    private let borders: [Int]

    init(_ text: String) {
        octets = FoldedText(text).octets
        var borders = [Int](repeating: 0, count: octets.count)
        var length = 0
        for index in octets.indices.dropFirst() {
            while length > 0, octets[index] != octets[length] { length = borders[length - 1] }
            if octets[index] == octets[length] { length += 1 }
            borders[index] = length
        }
        self.borders = borders
    }

    var isEmpty: Bool { octets.isEmpty }

    /// Whether the text contains the pattern; the empty pattern is in every text.
    func occurs(in text: FoldedText) -> Bool {
        guard !octets.isEmpty else { return true }
        var length = 0
        for octet in text.octets {
            while length > 0, octet != octets[length] { length = borders[length - 1] }
            if octet == octets[length] { length += 1 }
            if length == octets.count { return true }
        }
        return false
    }
}
