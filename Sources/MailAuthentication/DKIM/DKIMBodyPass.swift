/// One canonicalization of a body (RFC 6376 §3.4.3, §3.4.4).
///
/// Octets are taken in blocks as long as there are enough of them; a body's end, and CR without LF, are taken octet by octet. The
/// canonical form is collected and hashed in large parts. Line ends at the end of a part are held back until it is known whether
/// something follows them.
struct DKIMBodyPass: Sendable {
    private let isRelaxed: Bool
    private var sink: DKIMBodySink
    /// Canonical octets that aren't hashed yet, the first `filled` of it.
    private var room: [UInt8]
    private var filled = 0
    /// Line ends before those in the room.
    private var heldLineEnds: UInt64 = 0
    private var holdsCarriageReturn = false
    private var holdsBlank = false

    /// As many octets are hashed at once: they stay in the processor's nearest cache.
    private static let partSize = 4096

    init(_ canonicalization: DKIMCanonicalization, lengths: [UInt64?]) {
        isRelaxed = canonicalization == .relaxed
        sink = DKIMBodySink(lengths: lengths)
        room = Array(repeating: 0, count: Self.partSize + DKIMBodyBlock.room + DKIMBodyBlock.reach)
    }

    mutating func update(_ octets: UnsafeRawBufferPointer) {
        var index = 0
        while index < octets.count {
            // Nothing is open where blocks begin: an LF there has no CR, and is left to the loop below.
            if octets.count - index >= DKIMBodyBlock.reach, !holdsCarriageReturn, !holdsBlank, unsafe octets[index] != 0x0A {
                unsafe index = isRelaxed ? takeBlocks(octets, from: index, isRelaxed: true) : takeBlocks(octets, from: index, isRelaxed: false)
            }
            let stop = min(octets.count, index + DKIMBodyBlock.size)
            while index < stop {
                unsafe take(octets[index])
                index += 1
            }
        }
    }

    mutating func finish(_ report: (DKIMBodyRequirement, DKIMBodyDigest) -> Void) {
        if holdsCarriageReturn { put(0x0D) }
        flushRoom(isEnd: true)
        // RFC 6376 §3.4.3: an empty body is CRLF; §3.4.4: it stays empty.
        if !isRelaxed || !sink.isEmpty { sink.writeLineEnds(1) }
        let canonicalization = isRelaxed ? DKIMCanonicalization.relaxed : .simple
        sink.finish { length, digest in report(DKIMBodyRequirement(canonicalization, length: length), digest) }
    }
}

// MARK: - Blocks

extension DKIMBodyPass {
    /// Takes blocks from `start` on, where no LF is and nothing is held back, and returns where the octets begin that are to be taken
    /// one by one.
    @inline(__always)
    private mutating func takeBlocks(_ octets: UnsafeRawBufferPointer, from start: Int, isRelaxed: Bool) -> Int {
        let last = octets.count - DKIMBodyBlock.reach
        var place = start
        var end = filled
        // Out of here, so that it can be written to while the rest is changed.
        var room = room
        self.room = []
        // Safe: a block is made where ``DKIMBodyBlock/reach`` octets follow, and written where the room has the rest of its part.
        unsafe room.withUnsafeMutableBytes { room in
            while place <= last {
                if end >= Self.partSize { unsafe end = flush(room, end, isEnd: false) }
                let block = unsafe DKIMBodyBlock(octets, at: place, isRelaxed: isRelaxed)
                guard let next = unsafe block.write(octets, at: place, to: room, at: end, isRelaxed: isRelaxed) else { break }
                end = next
                place += DKIMBodyBlock.size
            }
        }
        self.room = room
        if place > start {
            // A CR at the end may be one of a line end, or was put there for an LF that follows: the LF is taken with its CR.
            if unsafe octets[place - 1] == 0x0D {
                place -= 1
                end -= 1
            } else if unsafe octets[place] == 0x0A {
                end -= 1
            }
        }
        filled = end
        return place
    }

    /// Hashes what is in the room but for the line ends at its end.
    /// - Parameter isEnd: whether a CR at the end is known to be none of a line end.
    /// - Returns: how many octets are left in the room.
    @inline(never)
    private mutating func flush(_ room: UnsafeMutableRawBufferPointer, _ filled: Int, isEnd: Bool) -> Int {
        // Safe: `filled` is at most the count, and `end` never above `filled`.
        let leavesCarriageReturn = unsafe !isEnd && filled > 0 && room[filled - 1] == 0x0D
        var end = leavesCarriageReturn ? filled - 1 : filled
        var lineEnds: UInt64 = 0
        while unsafe end >= 2 && room[end - 1] == 0x0A && room[end - 2] == 0x0D {
            end -= 2
            lineEnds += 1
        }
        if end > 0 {
            sink.writeLineEnds(heldLineEnds)
            heldLineEnds = 0
            unsafe sink.write(UnsafeRawBufferPointer(rebasing: room[..<end]))
        }
        heldLineEnds += lineEnds
        guard leavesCarriageReturn else { return 0 }
        unsafe room[0] = 0x0D
        return 1
    }

    private mutating func flushRoom(isEnd: Bool) {
        var room = room
        self.room = []
        // Safe: `filled` octets of it are in use.
        unsafe room.withUnsafeMutableBytes { unsafe filled = flush($0, filled, isEnd: isEnd) }
        self.room = room
    }
}

// MARK: - One octet after the other

extension DKIMBodyPass {
    private mutating func take(_ octet: UInt8) {
        if holdsCarriageReturn {
            holdsCarriageReturn = false
            if octet == 0x0A {
                endLine()
                return
            }
            put(0x0D)
        }
        switch octet {
        case 0x0D: holdsCarriageReturn = true
        case 0x0A: endLine()
        case 0x20 where isRelaxed, 0x09 where isRelaxed: holdsBlank = true
        default: put(octet)
        }
    }

    private mutating func endLine() {
        holdsBlank = false
        write(0x0D)
        write(0x0A)
    }

    private mutating func put(_ octet: UInt8) {
        if holdsBlank {
            write(0x20)
            holdsBlank = false
        }
        write(octet)
    }

    private mutating func write(_ octet: UInt8) {
        room[filled] = octet
        filled += 1
        if filled >= Self.partSize { flushRoom(isEnd: false) }
    }
}
