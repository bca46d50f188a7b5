import Crypto

/// Hashes the canonical form of a body, and notes the hash at each length that is asked for.
struct DKIMBodySink: Sendable {
    private var hash = SHA256()
    /// Octets that were hashed or counted.
    private var position: UInt64 = 0
    /// The lengths that aren't reached yet, the smallest last.
    private var lengths: [UInt64] = []
    private var wantsWhole = false
    private var reached: [(length: UInt64, sha256: [UInt8])] = []

    /// Asks for the hash of so many octets, or of all.
    mutating func require(_ length: UInt64?) {
        guard let length else {
            wantsWhole = true
            return
        }
        var (low, high) = (0, lengths.count)
        while low < high {
            let middle = (low + high) / 2
            if lengths[middle] > length { low = middle + 1 } else { high = middle }
        }
        guard low == lengths.count || lengths[low] != length else { return }
        lengths.insert(length, at: low)
    }

    var isEmpty: Bool { position == 0 }

    mutating func write(_ octets: UnsafeRawBufferPointer) {
        let count = octets.count
        var start = 0
        while let length = lengths.last, length <= position + UInt64(count - start) {
            let end = start + Int(length - position)
            unsafe hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: octets[start..<end]))
            start = end
            position = length
            reached.append((length, DKIMDigest.octets(hash.finalize())))
            lengths.removeLast()
        }
        if wantsWhole || !lengths.isEmpty { unsafe hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: octets[start...])) }
        position += UInt64(count - start)
    }

    /// Writes line ends, as many as a body may have.
    mutating func writeLineEnds(_ count: UInt64) {
        var left = count
        while left > 0 {
            let part = min(left, UInt64(Self.lineEnds.count / 2))
            // Safe: twice `part` is at most the count of the octets, which are read while they are borrowed.
            unsafe Self.lineEnds.withUnsafeBytes { unsafe write(UnsafeRawBufferPointer(rebasing: $0[..<(2 * Int(part))])) }
            left -= part
        }
    }

    private static let lineEnds: [UInt8] = (0..<512).map { $0 & 1 == 0 ? 0x0D : 0x0A }

    mutating func finish(_ report: (UInt64?, DKIMBodyDigest) -> Void) {
        // A length of zero is reached by an empty body too.
        unsafe write(UnsafeRawBufferPointer(start: nil, count: 0))
        for (length, sha256) in reached { report(length, DKIMBodyDigest(sha256: sha256, canonicalOctets: position, hashedOctets: length)) }
        guard wantsWhole || !lengths.isEmpty else { return }
        let whole = DKIMBodyDigest(sha256: DKIMDigest.octets(hash.finalize()), canonicalOctets: position, hashedOctets: position)
        if wantsWhole { report(nil, whole) }
        // More octets were asked for than there are.
        for length in lengths { report(length, whole) }
    }
}

/// The octets of hashes.
enum DKIMDigest {
    static func octets(_ digest: SHA256.Digest) -> [UInt8] {
        // Safe: the octets are copied while they are borrowed; a sequence of them would be read one by one.
        unsafe digest.withUnsafeBytes { unsafe Array($0) }
    }
}
