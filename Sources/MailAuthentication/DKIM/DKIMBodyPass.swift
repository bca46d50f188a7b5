/// One canonicalization of a body (RFC 6376 §3.4.3, §3.4.4).
///
/// Octets are taken in blocks as long as there are enough of them; a body's end, and CR without LF, are taken octet by octet. The
/// canonical form is collected and hashed in large parts. Line ends at the end of a part are held back until it is known whether
/// something follows them.
struct DKIMBodyPass: Sendable {
    private let isRelaxed: Bool
    private var sink = DKIMBodySink()
    /// Canonical octets that aren't hashed yet, the first `filled` of it.
    private var room: [UInt8]
    private var filled = 0
    /// Line ends before those in the room.
    private var heldLineEnds: UInt64 = 0
    private var holdsCarriageReturn = false
    private var holdsBlank = false

    /// As many octets are hashed at once: they stay in the processor's nearest cache.
    private static let partSize = 4096

    init(_ canonicalization: DKIMCanonicalization) {
        isRelaxed = canonicalization == .relaxed
        room = Array(repeating: 0, count: Self.partSize + DKIMBodyBlock.room + DKIMBodyBlock.reach)
    }

    /// Asks for the hash of so many octets, or of all, before there is any.
    mutating func require(_ length: UInt64?) { sink.require(length) }

    mutating func update(_ octets: UnsafeRawBufferPointer) {
        var index = 0
        while index < octets.count {
            // Nothing is open where blocks begin: an LF there has no CR, and is left to the loop below.
            if octets.count - index >= DKIMBodyBlock.reach, !holdsCarriageReturn, !holdsBlank, unsafe octets[index] != 0x0A {
                unsafe index = isRelaxed ? takeBlocks(octets, from: index, isRelaxed: true) : takeBlocks(octets, from: index, isRelaxed: false)
            }
            let stop = min(octets.count, index + DKIMBodyBlock.size)
            unsafe take(octets, index..<stop)
            index = stop
        }
    }

    mutating func finish(_ report: (DKIMBodyRequirement, DKIMBodyDigest) -> Void) {
        if holdsCarriageReturn {
            var room = room
            self.room = []
            var end = room.mutableSpan
            put(0x0D, to: &end)
            self.room = room
        }
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
    /// Takes as many octets as a block has, or fewer: what becomes of them fits behind a part.
    private mutating func take(_ octets: UnsafeRawBufferPointer, _ places: Range<Int>) {
        if filled >= Self.partSize { flushRoom(isEnd: false) }
        // Out of here, so that it is known once that nobody else has it.
        var room = room
        self.room = []
        var end = room.mutableSpan
        // Safe: the caller has octets there; those that are written are checked one by one.
        for index in places { unsafe take(octets[index], to: &end) }
        self.room = room
    }

    private mutating func take(_ octet: UInt8, to room: inout MutableSpan<UInt8>) {
        if holdsCarriageReturn {
            holdsCarriageReturn = false
            if octet == 0x0A {
                endLine(&room)
                return
            }
            put(0x0D, to: &room)
        }
        switch octet {
        case 0x0D: holdsCarriageReturn = true
        case 0x0A: endLine(&room)
        case 0x20 where isRelaxed, 0x09 where isRelaxed: holdsBlank = true
        default: put(octet, to: &room)
        }
    }

    private mutating func endLine(_ room: inout MutableSpan<UInt8>) {
        holdsBlank = false
        room[filled] = 0x0D
        room[filled + 1] = 0x0A
        filled += 2
    }

    private mutating func put(_ octet: UInt8, to room: inout MutableSpan<UInt8>) {
        if holdsBlank {
            room[filled] = 0x20
            filled += 1
            holdsBlank = false
        }
        room[filled] = octet
        filled += 1
    }
}
