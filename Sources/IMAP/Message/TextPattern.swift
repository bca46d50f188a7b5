/// A text to look for without the case of letters: close to `i;unicode-casemap` (RFC 5051), but for its decomposition.
///
/// The search of Knuth, Morris and Pratt reads each octet of the text once: its cost is that of the lengths added, whatever they hold.
struct TextPattern: Sendable {
    private let octets: [UInt8]
    private let isASCII: Bool
    /// For each place, how many octets of the pattern's beginning end there.
    private let borders: [Int]

    init(_ text: String) {
        octets = Array(Self.folded(text).utf8)
        isASCII = octets.allSatisfy { $0 < 0x80 }
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
    func occurs(in text: String) -> Bool {
        guard !octets.isEmpty else { return true }
        // ASCII is folded octet by octet while it is compared, without making another text.
        return occurs(inOctets: (isASCII ? text : Self.folded(text)).utf8)
    }

    private func occurs(inOctets text: String.UTF8View) -> Bool {
        var length = 0
        for octet in text {
            let octet = (0x41...0x5a).contains(octet) ? octet | 0x20 : octet
            while length > 0, octet != octets[length] { length = borders[length - 1] }
            if octet == octets[length] { length += 1 }
            if length == octets.count { return true }
        }
        return false
    }

    /// Through the capitals, so that ß is as ss and ς as σ.
    private static func folded(_ text: String) -> String {
        text.utf8.allSatisfy { $0 < 0x80 } ? text.lowercased() : text.uppercased().lowercased()
    }
}
