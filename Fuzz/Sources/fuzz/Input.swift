/// An input taken apart: its first octet chooses options, the others are what the peer sends.
struct Input {
    let options: UInt8
    let octets: [UInt8]

    /// The first octet is printable in seeds: `@` sets no option, `A` the first, `B` the second, `D` the third…
    init(_ input: [UInt8]) {
        options = input.first ?? 0
        octets = Array(input.dropFirst())
    }

    func has(_ bit: Int) -> Bool { options & (1 << UInt8(bit)) != 0 }
}

/// SplitMix64: the same numbers for the same input.
struct Generator: RandomNumberGenerator {
    var state: UInt64

    /// Depends on every octet, so that a replay cuts as the first run did.
    init(_ octets: [UInt8]) {
        state = octets.reduce(14_695_981_039_346_656_037) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// The octets in pieces: all at once, each alone, or cut at random.
enum Cut {
    case whole, single, random

    func pieces(_ octets: [UInt8]) -> [ArraySlice<UInt8>] {
        switch self {
        case .whole: return octets.isEmpty ? [] : [octets[...]]
        case .single: return octets.indices.map { octets[$0...$0] }
        case .random:
            var generator = Generator(octets)
            var rest = octets[...]
            var pieces: [ArraySlice<UInt8>] = []
            // Small pieces for small inputs; a long one in about a hundred.
            let largest = max(1, octets.count < 600 ? 7 : octets.count / 50)
            while !rest.isEmpty {
                let piece = rest.prefix(.random(in: 1...largest, using: &generator))
                pieces.append(piece)
                rest = rest.dropFirst(piece.count)
            }
            return pieces
        }
    }
}

extension Sequence<UInt8> {
    /// Every CR has its LF and every LF its CR.
    var hasWholeLineEnds: Bool {
        var previous: UInt8 = 0
        for octet in self {
            if (octet == 0x0A) != (previous == 0x0D) { return false }
            previous = octet
        }
        return previous != 0x0D
    }
}
