/// A text for comparisons without the case of letters: close to `i;unicode-casemap` (RFC 5051), but for its decomposition.
struct FoldedText: Sendable {
    let octets: [UInt8]

    init(_ text: String) { self.init(utf8: Array(text.utf8)) }

    /// Folds a text of valid UTF-8.
    init(utf8 source: [UInt8]) {
        // Up to the first octet that isn't ASCII, where there is one, nothing changes its length.
        let ascii = source.firstIndex { $0 >= 0x80 } ?? source.count
        var octets = source
        var place = 0
        while place < ascii {
            if octets[place] &- 0x41 < 26 { octets[place] |= 0x20 }
            place += 1
        }
        if ascii < source.count {
            octets.removeLast(source.count - ascii)
            Self.fold(source, from: ascii, into: &octets)
        }
        self.octets = octets
    }

    /// Folds the rest of a text, which is valid UTF-8.
    private static func fold(_ source: [UInt8], from start: Int, into octets: inout [UInt8]) {
        var place = start
        while place < source.count {
            let first = source[place]
            switch first {
            case ..<0x80:
                octets.append(first &- 0x41 < 26 ? first | 0x20 : first)
                place += 1
            case 0xC2..<0xE0 where place + 1 < source.count:
                let packed = twoOctetFolds[Int(first & 0x1F) << 6 | Int(source[place + 1] & 0x3F)]
                var rest = packed >> 8
                for _ in 0..<packed & 0xFF {
                    octets.append(UInt8(truncatingIfNeeded: rest))
                    rest >>= 8
                }
                place += 2
            default:
                let end = min(source.count, place + (first < 0xF0 ? 3 : 4))
                for scalar in String(decoding: source[place..<end], as: UTF8.self).unicodeScalars { octets += fold(scalar) }
                place = end
            }
        }
    }

    /// Those of Latin, Greek, Cyrillic, Hebrew and Arabic, which are asked for again and again: the count of octets, and the octets above
    /// it. The first 128 are never asked for.
    private static let twoOctetFolds: [UInt64] = (0..<0x800).map { value in
        guard value >= 0x80, let scalar = Unicode.Scalar(UInt32(value)) else { return 0 }
        // None of these has more than six octets.
        let folded = fold(scalar).prefix(7)
        return folded.reversed().reduce(0) { $0 << 8 | UInt64($1) } << 8 | UInt64(folded.count)
    }

    /// Through the capitals, so that ß is as ss and ς as σ.
    private static func fold(_ scalar: Unicode.Scalar) -> [UInt8] { Array(String(Character(scalar)).uppercased().lowercased().utf8) }
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
        let first = octets[0]
        for octet in text.octets {
            // Most octets begin nothing.
            if length == 0, octet != first { continue }
            while length > 0, octet != octets[length] { length = borders[length - 1] }
            if octet == octets[length] { length += 1 }
            if length == octets.count { return true }
        }
        return false
    }
}
