/// A text for comparisons without the case of letters: close to `i;unicode-casemap` (RFC 5051), but for its decomposition.
struct FoldedText: Sendable {
    let octets: [UInt8]

    init(_ text: String) {
        var octets: [UInt8] = []
        octets.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x41...0x5A: octets.append(UInt8(truncatingIfNeeded: scalar.value) | 0x20)
            case 0..<0x80: octets.append(UInt8(truncatingIfNeeded: scalar.value))
            case 0x80..<0x800: octets += Self.twoOctetFolds[Int(scalar.value) - 0x80]
            default: octets += Self.fold(scalar)
            }
        }
        self.octets = octets
    }

    /// Those of Latin, Greek, Cyrillic, Hebrew and Arabic, which are asked for again and again.
    private static let twoOctetFolds: [[UInt8]] = (0x80..<0x800).map { value in Unicode.Scalar(UInt32(value)).map(fold) ?? [] }

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
