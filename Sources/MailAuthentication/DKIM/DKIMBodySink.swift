import Crypto

/// Collects small pieces, hashes, and notes the hash at each length that is asked for.
struct DKIMBodySink: Sendable {
    private var hash = SHA256()
    /// Room for small pieces, of which the first `filled` octets are in use.
    private var room: [UInt8]
    private var filled = 0
    /// Octets that were hashed or counted, without those in the room.
    private var position: UInt64 = 0
    /// The lengths that aren't reached yet, the smallest last.
    private var lengths: [UInt64]
    private let wantsWhole: Bool
    private var reached: [(length: UInt64, sha256: [UInt8])] = []

    private static let roomSize = 8192
    /// Shorter runs are cheaper to copy than to hash on their own.
    private static let directMinimum = 1024

    init(lengths: [UInt64?]) {
        self.lengths = lengths.contains { $0 != nil } ? Set(lengths.compactMap { $0 }).sorted(by: >) : []
        wantsWhole = lengths.contains(nil)
        room = Array(repeating: 0, count: Self.roomSize)
    }

    var isEmpty: Bool { position == 0 && filled == 0 }

    @inline(__always)
    mutating func write(_ octet: UInt8) {
        room[filled] = octet
        filled += 1
        if filled == Self.roomSize { flush() }
    }

    mutating func writeLineEnd() {
        write(0x0D)
        write(0x0A)
    }

    /// - Parameter range: the octets of `memory` that are meant, not empty.
    @inline(__always)
    mutating func write(_ memory: UnsafeRawBufferPointer, _ range: Range<Int>) {
        let count = range.count
        guard count < Self.directMinimum else {
            flush()
            unsafe absorb(UnsafeRawBufferPointer(rebasing: memory[range]))
            return
        }
        let slack = 2 * DKIMOctetBlock.size
        if filled + count + slack > Self.roomSize { flush() }
        let start = filled
        // Safe: after the flush `start` + `count` + 32 is at most the size of the room. Blocks are copied whole, two at a time, where
        // they end within `memory`: up to 31 octets behind the range, which the room has space for and the next piece overwrites.
        unsafe room.withUnsafeMutableBytes { room in
            if range.lowerBound + count + slack <= memory.count, count <= 128 {
                var done = 0
                repeat {
                    let first = unsafe DKIMOctetBlock(memory, at: range.lowerBound + done)
                    let second = unsafe DKIMOctetBlock(memory, at: range.lowerBound + done + DKIMOctetBlock.size)
                    unsafe room.storeBytes(of: first.octets, toByteOffset: start + done, as: DKIMOctetBlock.Octets.self)
                    unsafe room.storeBytes(of: second.octets, toByteOffset: start + done + DKIMOctetBlock.size, as: DKIMOctetBlock.Octets.self)
                    done += slack
                } while done < count
            } else {
                let target = unsafe UnsafeMutableRawBufferPointer(rebasing: room[start..<start + count])
                unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[range]))
            }
        }
        filled = start + count
    }

    @inline(never)
    private mutating func flush() {
        guard filled > 0 else { return }
        let octets = room
        let count = filled
        room = []
        filled = 0
        // Safe: `count` octets are in use, and they are read while they are borrowed.
        unsafe octets.withUnsafeBytes { unsafe absorb(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        room = octets
    }

    @inline(never)
    private mutating func absorb(_ octets: UnsafeRawBufferPointer) {
        let count = octets.count
        var start = 0
        while let length = lengths.last, length <= position + UInt64(count - start) {
            let end = start + Int(length - position)
            unsafe hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: octets[start..<end]))
            start = end
            position = length
            reached.append((length, Array(hash.finalize())))
            lengths.removeLast()
        }
        if wantsWhole || !lengths.isEmpty { unsafe hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: octets[start...])) }
        position += UInt64(count - start)
    }

    mutating func finish(_ report: (UInt64?, DKIMBodyDigest) -> Void) {
        flush()
        // A length of zero is reached by an empty body too.
        unsafe absorb(UnsafeRawBufferPointer(start: nil, count: 0))
        for (length, sha256) in reached { report(length, DKIMBodyDigest(sha256: sha256, canonicalOctets: position, hashedOctets: length)) }
        guard wantsWhole || !lengths.isEmpty else { return }
        let whole = DKIMBodyDigest(sha256: Array(hash.finalize()), canonicalOctets: position, hashedOctets: position)
        if wantsWhole { report(nil, whole) }
        // More octets were asked for than there are.
        for length in lengths { report(length, whole) }
    }
}
