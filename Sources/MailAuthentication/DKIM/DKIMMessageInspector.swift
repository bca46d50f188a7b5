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
    private static let blockSize = 64

    mutating func update(_ octets: ByteBuffer) {
        // Safe: the octets are read while they are borrowed; every place is below their count.
        unsafe octets.withUnsafeReadableBytes { unsafe take($0) }
    }

    private mutating func take(_ octets: UnsafeRawBufferPointer) {
        let base = position
        var index = 0
        while index < octets.count {
            if index > 0, index + Self.blockSize <= octets.count, unsafe isPlain(octets, index) {
                unsafe noteLines(octets, index, base)
                index += Self.blockSize
                unsafe previous = octets[index - 1]
                continue
            }
            let stop = min(octets.count, index + (index == 0 ? 1 : Self.blockSize))
            while index < stop {
                unsafe take(octets[index], at: base + index)
                index += 1
            }
        }
        position = base + octets.count
    }

    /// No fault in this block, if its lines aren't too long; a CR at its end is for the next one.
    private func isPlain(_ octets: UnsafeRawBufferPointer, _ index: Int) -> Bool {
        typealias Block = SIMD64<UInt8>
        // Safe: `index` is at least 1, and the block ends within the octets.
        let block = unsafe octets.loadUnaligned(fromByteOffset: index, as: Block.self)
        let before = unsafe octets.loadUnaligned(fromByteOffset: index - 1, as: Block.self)
        let isLineFeed = block .== Block(repeating: 0x0A)
        let followsReturn = before .== Block(repeating: 0x0D)
        let faults = (isLineFeed .^ followsReturn) .| (block .>= Block(repeating: 0x80)) .| (block .== Block(repeating: 0))
        return !any(faults)
    }

    private mutating func noteLines(_ octets: UnsafeRawBufferPointer, _ index: Int, _ base: Int) {
        var place = index
        let end = index + Self.blockSize
        while place < end {
            if unsafe octets[place] == 0x0A { endLine(at: base + place) }
            place += 1
        }
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
