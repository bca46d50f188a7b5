/// Sixty-four octets of a body, and what becomes of each of them in the canonical form (RFC 6376 §3.4.3, §3.4.4).
///
/// Whether an octet stays depends on it and on the two behind it only: a blank goes where a blank or a line end follows. So a block is
/// decided by comparing all of it at once, and what stays is copied run by run: how long blanks and words are is nothing that a
/// processor could guess.
struct DKIMBodyBlock {
    static let size = 64
    /// The octets from the block's first one that are read, if only to be copied and overwritten.
    static let reach = 96
    /// The octets from where a block is written to on that may be written: a CR before each octet, and a run that is copied whole.
    static let room = 192

    /// Spaces that go, in each quarter; of a block that isn't odd these are the blanks that go.
    private let first: DKIMOctetBlock.Octets
    private let second: DKIMOctetBlock.Octets
    private let third: DKIMOctetBlock.Octets
    private let fourth: DKIMOctetBlock.Octets
    /// Whether there is more than spaces that go: a tab, LF without CR, or CR without LF.
    private let isOdd: Bool

    /// - Parameter place: at most ``reach`` octets before the end of `octets`; an LF there is one of a line end.
    @inline(__always)
    @unsafe
    init(_ octets: UnsafeRawBufferPointer, at place: Int, isRelaxed: Bool) {
        var odd = DKIMOctetBlock.Octets()
        // Safe: all that is read lies within ``reach``.
        first = unsafe Self.spaces(octets, at: place, &odd, isRelaxed: isRelaxed)
        second = unsafe Self.spaces(octets, at: place &+ 16, &odd, isRelaxed: isRelaxed)
        third = unsafe Self.spaces(octets, at: place &+ 32, &odd, isRelaxed: isRelaxed)
        fourth = unsafe Self.spaces(octets, at: place &+ 48, &odd, isRelaxed: isRelaxed)
        // A space at the end of the block goes before a tab, and stays before a CR without LF.
        let next = unsafe octets[place &+ 64]
        isOdd = unsafe !DKIMBlockMask(odd).isEmpty || (isRelaxed && (next == 0x09 || (next == 0x0D && octets[place &+ 65] != 0x0A)))
    }

    /// The spaces before spaces and line ends, as long as nothing odd is there.
    @inline(__always)
    private static func spaces(
        _ octets: UnsafeRawBufferPointer, at place: Int, _ odd: inout DKIMOctetBlock.Octets, isRelaxed: Bool
    ) -> DKIMOctetBlock.Octets {
        let (block, next) = unsafe (DKIMOctetBlock(octets, at: place), DKIMOctetBlock(octets, at: place &+ 1))
        let (carriageReturns, lineFeeds) = (block.places(of: 0x0D), next.places(of: 0x0A))
        guard isRelaxed else {
            odd |= lineFeeds & ~carriageReturns
            return DKIMOctetBlock.Octets()
        }
        odd |= (lineFeeds ^ carriageReturns) | block.places(of: 0x09)
        return block.places(of: 0x20) & (next.places(of: 0x20) | next.places(of: 0x0D) | lineFeeds)
    }

    /// Writes the canonical form of the block.
    /// - Parameters:
    ///   - octets: and `place`: those that it was made of.
    ///   - room: where to, from `start` on; ``room`` octets there, and ``reach`` at its end, which are for nothing else.
    /// - Returns: where the canonical form ends; `nil` where a CR without LF is about, and octet after octet must be looked at.
    @inline(__always)
    @unsafe
    func write(
        _ octets: UnsafeRawBufferPointer, at place: Int, to room: UnsafeMutableRawBufferPointer, at start: Int, isRelaxed: Bool
    ) -> Int? {
        // Safe, here and below: `octets` and `room` are as large as the parameters say.
        guard !isOdd else { return unsafe Self.writeOdd(octets, place, room, start, isRelaxed: isRelaxed) }
        guard DKIMBlockMask(first | second | third | fourth).isEmpty else {
            let deletions =
                DKIMBlockMask(first).bits | DKIMBlockMask(second).bits &<< 16 | DKIMBlockMask(third).bits &<< 32
                | DKIMBlockMask(fourth).bits &<< 48
            return unsafe Self.writeRuns(octets, place, room, start, deletions)
        }
        unsafe Self.copy(octets, place, room, start, count: Self.size)
        return start &+ Self.size
    }

    /// Writes what is between the octets that go, a bit for each of these.
    @inline(__always)
    private static func writeRuns(
        _ octets: UnsafeRawBufferPointer, _ place: Int, _ room: UnsafeMutableRawBufferPointer, _ start: Int, _ deletions: UInt64
    ) -> Int {
        var end = start
        var kept = ~deletions
        while kept != 0 {
            let run = kept.trailingZeroBitCount
            let count = (~(kept &>> UInt64(run))).trailingZeroBitCount
            unsafe copy(octets, place &+ run, room, end, count: count)
            end &+= count
            kept &= (~1 as UInt64) &<< UInt64(run &+ count &- 1)
        }
        return end
    }

    /// Copies 32 octets, or 64 where `count` is above 32.
    @inline(__always)
    private static func copy(
        _ octets: UnsafeRawBufferPointer, _ place: Int, _ room: UnsafeMutableRawBufferPointer, _ start: Int, count: Int
    ) {
        unsafe copy(octets, place, room, start)
        if count > 32 { unsafe copy(octets, place &+ 32, room, start &+ 32) }
    }

    @inline(__always)
    private static func copy(_ octets: UnsafeRawBufferPointer, _ place: Int, _ room: UnsafeMutableRawBufferPointer, _ start: Int) {
        let (low, high) = unsafe (DKIMOctetBlock(octets, at: place), DKIMOctetBlock(octets, at: place &+ 16))
        unsafe room.storeBytes(of: low.octets, toByteOffset: start, as: DKIMOctetBlock.Octets.self)
        unsafe room.storeBytes(of: high.octets, toByteOffset: start &+ 16, as: DKIMOctetBlock.Octets.self)
    }
}

// MARK: - Blocks with tabs, and with LF without CR

extension DKIMBodyBlock {
    /// As `write`, for any block.
    @inline(never)
    private static func writeOdd(
        _ octets: UnsafeRawBufferPointer, _ place: Int, _ room: UnsafeMutableRawBufferPointer, _ start: Int, isRelaxed: Bool
    ) -> Int? {
        // The block with spaces for tabs is put at the room's end; what is copied behind it doesn't count.
        let copied = room.count - reach
        var (deletions, insertions): (UInt64, UInt64) = (0, 0)
        var bareCarriageReturns = DKIMOctetBlock.Octets()
        for offset in stride(from: 0, to: size, by: DKIMOctetBlock.size) {
            // Safe, here and below: as for `write`.
            let (block, next) = unsafe (DKIMOctetBlock(octets, at: place + offset), DKIMOctetBlock(octets, at: place + offset + 1))
            let (carriageReturns, lineFeeds) = (block.places(of: 0x0D), next.places(of: 0x0A))
            let bareLineFeeds = DKIMBlockMask(lineFeeds & ~carriageReturns)
            if !bareLineFeeds.isEmpty { insertions |= bareLineFeeds.bits << UInt64(offset) }
            var octets = block.octets
            if isRelaxed {
                bareCarriageReturns |= carriageReturns & ~lineFeeds
                let tabs = block.equals(0x09)
                let blanks = block.places(of: 0x20) | block.places(of: 0x09)
                let gone = blanks & (next.places(of: 0x20) | next.places(of: 0x09) | next.places(of: 0x0D) | lineFeeds)
                deletions |= DKIMBlockMask(gone).bits << UInt64(offset)
                octets.replace(with: 0x20, where: tabs)
            }
            unsafe room.storeBytes(of: octets, toByteOffset: copied + offset, as: DKIMOctetBlock.Octets.self)
        }
        if isRelaxed {
            guard DKIMBlockMask(bareCarriageReturns).isEmpty, unsafe octets[place + size] != 0x0D || octets[place + size + 1] == 0x0A else { return nil }
        }
        let source = UnsafeRawBufferPointer(room)
        guard insertions != 0 else { return unsafe writeRuns(source, copied, room, start, deletions) }
        return unsafe writeLines(source, copied, room, start, deletions, insertions)
    }

    /// Writes what is between the octets that go, and CR behind those of `insertions`.
    private static func writeLines(
        _ octets: UnsafeRawBufferPointer, _ place: Int, _ room: UnsafeMutableRawBufferPointer, _ start: Int, _ deletions: UInt64,
        _ insertions: UInt64
    ) -> Int {
        var end = start
        var run = 0
        var changes = deletions | insertions
        while changes != 0 {
            let change = changes.trailingZeroBitCount
            changes &= changes &- 1
            let count = change - run + (deletions >> UInt64(change) & 1 == 0 ? 1 : 0)
            unsafe copy(octets, place + run, room, end, count: count)
            end += count
            if insertions >> UInt64(change) & 1 == 1 {
                unsafe room[end] = 0x0D
                end += 1
            }
            run = change + 1
        }
        unsafe copy(octets, place + run, room, end, count: size - run)
        return end + size - run
    }
}
