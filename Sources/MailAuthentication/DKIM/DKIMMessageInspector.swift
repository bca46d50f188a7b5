import NIOCore

/// Looks at the octets of a message for what RFC 5322 doesn't allow, piece by piece.
struct DKIMMessageInspector: Sendable {
    /// The first place of each fault, from the beginning of what was looked at.
    private(set) var bareLineFeed: Int?
    private(set) var bareCarriageReturn: Int?
    private(set) var nul: Int?
    private(set) var eightBit: Int?
    private(set) var longLine: Int?

    private var position = 0
    /// Whether nothing was looked at.
    var isEmpty: Bool { position == 0 }
    private var lineStart = 0
    private var previous: UInt8 = 0

    /// RFC 5322 §2.1.1
    private static let lineLimit = 998

    mutating func update(_ octets: ByteBuffer) {
        // Safe: the octets are read while they are borrowed; every place is below their count.
        unsafe octets.withUnsafeReadableBytes { unsafe take($0) }
    }

    private mutating func take(_ octets: UnsafeRawBufferPointer) {
        let base = position
        // What is behind the last octet of the piece before is known with the first of this one.
        var index = 0
        let lastBlock = octets.count - DKIMOctetBlock.size - 1
        while index < octets.count {
            if index > 0, index <= lastBlock {
                // Safe: the blocks end at `index` + 15 and `index` + 16, which are below the count.
                let block = unsafe DKIMOctetBlock(octets, at: index)
                let before = unsafe DKIMOctetBlock(octets, at: index - 1)
                let lineFeeds = block.equals(0x0A)
                let faults = (lineFeeds .^ before.equals(0x0D)) .| block.isAtLeast(0x80) .| block.equals(0)
                if DKIMBlockMask(faults).isEmpty {
                    let lines = DKIMBlockMask(lineFeeds)
                    if !lines.isEmpty {
                        // The lines between these two are short.
                        endLine(at: base + index + lines.first)
                        lineStart = base + index + lines.last + 1
                    }
                    index += DKIMOctetBlock.size
                    unsafe previous = octets[index - 1]
                    continue
                }
            }
            let stop = index == 0 ? 1 : min(octets.count, index + DKIMOctetBlock.size)
            while index < stop {
                unsafe take(octets[index], at: base + index)
                index += 1
            }
        }
        position = base + octets.count
    }

    private mutating func endLine(at place: Int) {
        if longLine == nil, place - 1 - lineStart > Self.lineLimit { longLine = lineStart }
        lineStart = place + 1
    }

    private mutating func take(_ octet: UInt8, at place: Int) {
        if previous == 0x0D, octet != 0x0A, bareCarriageReturn == nil { bareCarriageReturn = place - 1 }
        if octet == 0x0A {
            if previous != 0x0D, bareLineFeed == nil { bareLineFeed = place }
            endLine(at: place)
        }
        if octet == 0, nul == nil { nul = place }
        if octet >= 0x80, eightBit == nil { eightBit = place }
        previous = octet
    }

    mutating func finish() {
        if previous == 0x0D, bareCarriageReturn == nil { bareCarriageReturn = position - 1 }
        if longLine == nil, position - lineStart > Self.lineLimit { longLine = lineStart }
        previous = 0
    }
}
