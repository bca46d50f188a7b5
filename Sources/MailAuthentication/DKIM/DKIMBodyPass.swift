/// One canonicalization of a body (RFC 6376 §3.4.3, §3.4.4).
///
/// Most octets of most bodies are the same in their canonical form: whole runs of them are hashed where they are, and only the
/// places are looked for at which something changes. Line ends and blanks are held back until it is known whether something
/// follows them.
struct DKIMBodyPass: Sendable {
    private let isRelaxed: Bool
    private var sink: DKIMBodySink
    private var heldLineEnds: UInt64 = 0
    private var holdsCarriageReturn = false
    private var holdsBlank = false

    /// A longer run is hashed in parts, while the processor's caches still have it.
    private static let runLimit = 32768

    init(_ canonicalization: DKIMCanonicalization, lengths: [UInt64?]) {
        isRelaxed = canonicalization == .relaxed
        sink = DKIMBodySink(lengths: lengths)
    }

    mutating func update(_ octets: UnsafeRawBufferPointer) {
        var index = 0
        // What the octets before left open, and what follows it.
        while index < octets.count, holdsBlank || holdsCarriageReturn {
            unsafe take(octets[index])
            index += 1
        }
        unsafe index = isRelaxed ? takeRuns(octets, from: index, isRelaxed: true) : takeRuns(octets, from: index, isRelaxed: false)
        while index < octets.count {
            unsafe take(octets[index])
            index += 1
        }
    }

    mutating func finish(_ report: (DKIMBodyRequirement, DKIMBodyDigest) -> Void) {
        if holdsCarriageReturn { put(0x0D) }
        // RFC 6376 §3.4.3: an empty body is CRLF; §3.4.4: it stays empty.
        if !isRelaxed || !sink.isEmpty { sink.writeLineEnd() }
        let canonicalization = isRelaxed ? DKIMCanonicalization.relaxed : .simple
        sink.finish { length, digest in report(DKIMBodyRequirement(canonicalization, length: length), digest) }
    }
}

// MARK: - Runs

extension DKIMBodyPass {
    /// Takes octets from `start` on, where nothing but line ends is held back, and returns where the ones begin that are to be
    /// taken one by one: less than two blocks, line ends that may be those of the body, and whatever a blank at the end leaves open.
    @inline(__always)
    private mutating func takeRuns(_ octets: UnsafeRawBufferPointer, from start: Int, isRelaxed: Bool) -> Int {
        // Octets of a run are as they are in the canonical form; no run begins between CR and LF.
        var runStart = start
        var place = start
        // Safe: all places are below the count: a block and the one that begins an octet later end at `place` + 17 at most, and
        // every other look ahead is checked.
        let lastBlock = octets.count - DKIMOctetBlock.size - 1
        while true {
            // Nothing is open before `place`: an LF there has no CR.
            while runStart == place, place < octets.count, unsafe octets[place] == 0x0A {
                heldLineEnds += 1
                place += 1
                runStart = place
            }
            var change = -1
            while place <= lastBlock {
                let changes = unsafe Self.changes(DKIMOctetBlock(octets, at: place), DKIMOctetBlock(octets, at: place + 1), isRelaxed: isRelaxed)
                if !changes.isEmpty {
                    change = place + changes.first
                    break
                }
                place += DKIMOctetBlock.size
                if place - runStart >= Self.runLimit {
                    let end = unsafe octets[place - 1] == 0x0D ? place - 1 : place
                    unsafe write(octets, runStart..<end)
                    runStart = end
                }
            }
            guard change >= 0 else { break }
            guard isRelaxed, unsafe Self.isBlank(octets[change]) else {
                // An LF without CR follows.
                unsafe write(octets, runStart..<change + 1)
                heldLineEnds += 1
                place = change + 2
                runStart = place
                continue
            }
            let next = unsafe Self.endOfBlanks(octets, from: change + 1)
            guard next + 1 < octets.count else {
                unsafe write(octets, runStart..<change)
                holdsBlank = true
                return next
            }
            let endsLine = unsafe octets[next] == 0x0A || (octets[next] == 0x0D && octets[next + 1] == 0x0A)
            if endsLine {
                unsafe write(octets, runStart..<change)
            } else if unsafe octets[change] == 0x20 {
                unsafe write(octets, runStart..<change + 1)
            } else {
                unsafe write(octets, runStart..<change)
                releaseLineEnds()
                sink.write(0x20)
            }
            place = next
            runStart = next
        }
        var end = place
        // A CR here may be one of a line end.
        if end > runStart, unsafe octets[end - 1] == 0x0D { end -= 1 }
        unsafe write(octets, runStart..<end)
        return end
    }

    /// Where something changes: at a blank that another blank or a line end may follow, at a tab, and at an octet that isn't CR and
    /// that LF follows. A blank before another control octet is among them, and handled as what it is.
    @inline(__always)
    private static func changes(_ block: DKIMOctetBlock, _ next: DKIMOctetBlock, isRelaxed: Bool) -> DKIMBlockMask {
        let bareLineFeed = next.equals(0x0A) .& .!block.equals(0x0D)
        guard isRelaxed else { return DKIMBlockMask(bareLineFeed) }
        return DKIMBlockMask(bareLineFeed .| block.equals(0x09) .| (block.equals(0x20) .& next.isAtMost(0x20)))
    }

    /// Where the blanks end that `start` may be among. Blocks, as the length of an indentation is hard to guess for a processor.
    @inline(__always)
    private static func endOfBlanks(_ octets: UnsafeRawBufferPointer, from start: Int) -> Int {
        var place = start
        // Safe: the blocks and the octets end within the count.
        while place + DKIMOctetBlock.size <= octets.count {
            let block = unsafe DKIMOctetBlock(octets, at: place)
            let others = DKIMBlockMask(.!(block.equals(0x20) .| block.equals(0x09)))
            guard others.isEmpty else { return place + others.first }
            place += DKIMOctetBlock.size
        }
        while place < octets.count, unsafe isBlank(octets[place]) { place += 1 }
        return place
    }

    @inline(__always) private static func isBlank(_ octet: UInt8) -> Bool { octet == 0x20 || octet == 0x09 }

    /// Writes a run, and holds back the line ends at its end.
    @inline(__always)
    private mutating func write(_ octets: UnsafeRawBufferPointer, _ run: Range<Int>) {
        var end = run.upperBound
        var lineEnds: UInt64 = 0
        // An LF within a run follows a CR within it.
        while end - run.lowerBound >= 2, unsafe octets[end - 1] == 0x0A {
            end -= 2
            lineEnds += 1
        }
        if end > run.lowerBound {
            releaseLineEnds()
            unsafe sink.write(octets, run.lowerBound..<end)
        }
        heldLineEnds += lineEnds
    }
}

// MARK: - One octet after the other

extension DKIMBodyPass {
    private mutating func take(_ octet: UInt8) {
        if holdsCarriageReturn {
            holdsCarriageReturn = false
            if octet == 0x0A {
                holdsBlank = false
                heldLineEnds += 1
                return
            }
            put(0x0D)
        }
        switch octet {
        case 0x0D: holdsCarriageReturn = true
        case 0x0A:
            holdsBlank = false
            heldLineEnds += 1
        case 0x20 where isRelaxed, 0x09 where isRelaxed: holdsBlank = true
        default: put(octet)
        }
    }

    private mutating func put(_ octet: UInt8) {
        releaseLineEnds()
        if holdsBlank {
            sink.write(0x20)
            holdsBlank = false
        }
        sink.write(octet)
    }

    @inline(__always)
    private mutating func releaseLineEnds() {
        while heldLineEnds > 0 {
            heldLineEnds -= 1
            sink.writeLineEnd()
        }
    }
}
