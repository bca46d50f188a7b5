import Crypto
public import NIOCore

/// What a signature needs to know of the body: one hash.
public struct DKIMBodyRequirement: Sendable, Hashable {
    /// How the body is brought into its canonical form (RFC 6376 §3.4.3, §3.4.4).
    public var canonicalization: DKIMCanonicalization
    /// How many octets of the canonical form are hashed (`l=`); `nil` for all of them.
    public var length: UInt64?

    /// Names a hash.
    public init(_ canonicalization: DKIMCanonicalization, length: UInt64? = nil) {
        self.canonicalization = canonicalization
        self.length = length
    }
}

/// The hash of a body, or of its beginning.
public struct DKIMBodyDigest: Sendable, Hashable {
    /// The SHA-256 of the hashed octets; 32 octets.
    public var sha256: [UInt8]
    /// The octets of the body's canonical form.
    public var canonicalOctets: UInt64
    /// The octets of it that were hashed.
    public var hashedOctets: UInt64
    /// The octets of it that nobody vouches for.
    public var unsignedOctets: UInt64 { canonicalOctets - hashedOctets }
}

/// The hashes of one body.
public struct DKIMBodyDigests: Sendable {
    private var digests: [DKIMBodyRequirement: DKIMBodyDigest]

    init(_ digests: [DKIMBodyRequirement: DKIMBodyDigest]) { self.digests = digests }

    /// The hash that was asked for; `nil` where it wasn't.
    public subscript(requirement: DKIMBodyRequirement) -> DKIMBodyDigest? { digests[requirement] }
}

/// Hashes a body for any number of signatures while it comes in, in one pass for each canonicalization and without keeping it.
///
/// Signatures with different `l=` share a pass: the state of the hash is noted where each of them ends. A line that ends in LF
/// without CR is taken as if the CR were there, as RFC 6376 §5.3 has it done before signing: a message that was kept in a file with
/// the system's line ends verifies as it was sent. A CR without LF is an octet as any other.
public struct DKIMBodyHasher: Sendable {
    private var passes: [DKIMBodyPass]

    /// A hasher for what the signatures need.
    public init(_ requirements: some Sequence<DKIMBodyRequirement>) {
        let wanted = Set(requirements)
        passes = DKIMCanonicalization.allCases.compactMap { canonicalization in
            let lengths = wanted.filter { $0.canonicalization == canonicalization }.map(\.length)
            return lengths.isEmpty ? nil : DKIMBodyPass(canonicalization, lengths: lengths)
        }
    }

    /// Takes the next octets of the body.
    public mutating func update(_ octets: ByteBuffer) {
        for index in passes.indices { passes[index].update(octets) }
    }

    /// Ends the body.
    public consuming func finish() -> DKIMBodyDigests {
        var digests: [DKIMBodyRequirement: DKIMBodyDigest] = [:]
        for index in passes.indices { passes[index].finish(into: &digests) }
        return DKIMBodyDigests(digests)
    }
}

/// One canonicalization of a body. Line ends and blanks are held back until it is known whether something follows them.
struct DKIMBodyPass: Sendable {
    private let isRelaxed: Bool
    private var sink: Sink
    private var heldLineEnds: UInt64 = 0
    private var holdsCarriageReturn = false
    private var holdsBlank = false

    init(_ canonicalization: DKIMCanonicalization, lengths: [UInt64?]) {
        isRelaxed = canonicalization == .relaxed
        sink = Sink(lengths: lengths)
    }

    mutating func update(_ octets: ByteBuffer) {
        // Safe: the octets are read while they are borrowed; every place is below their count.
        unsafe octets.withUnsafeReadableBytes { unsafe take($0) }
    }

    private mutating func take(_ octets: UnsafeRawBufferPointer) {
        var index = 0
        while index < octets.count {
            if index > 0, !holdsBlank, !holdsCarriageReturn {
                let clean = unsafe cleanRun(octets, from: index)
                if clean > index {
                    // What may be the end of a line, or of the body, is held back.
                    var end = clean
                    while end > index, unsafe isHeldBack(octets[end - 1]) { end -= 1 }
                    if end > index {
                        releaseLineEnds()
                        unsafe sink.write(UnsafeRawBufferPointer(rebasing: octets[index..<end]))
                    }
                    while end < clean {
                        unsafe take(octets[end])
                        end += 1
                    }
                    index = clean
                    continue
                }
            }
            // Some octets one by one, past whatever made the run end.
            let stop = min(octets.count, index + (index == 0 ? 1 : Self.blockSize))
            while index < stop {
                unsafe take(octets[index])
                index += 1
            }
        }
    }

    private static let blockSize = 64

    private func isHeldBack(_ octet: UInt8) -> Bool { octet == 0x0D || octet == 0x0A || (isRelaxed && octet == 0x20) }

    /// Where the blocks end that are the same in their canonical form, seen from `start`, of which the octet before is known.
    private func cleanRun(_ octets: UnsafeRawBufferPointer, from start: Int) -> Int {
        typealias Block = SIMD64<UInt8>
        var index = start
        let lineFeed = Block(repeating: 0x0A)
        let carriageReturn = Block(repeating: 0x0D)
        let space = Block(repeating: 0x20)
        let tab = Block(repeating: 0x09)
        while index + Self.blockSize <= octets.count {
            // Safe: `index` is at least 1, and the block ends within the octets.
            let block = unsafe octets.loadUnaligned(fromByteOffset: index, as: Block.self)
            let before = unsafe octets.loadUnaligned(fromByteOffset: index - 1, as: Block.self)
            let isLineFeed = block .== lineFeed
            let isBareLineFeed = isLineFeed .& (before .!= carriageReturn)
            if any(isBareLineFeed) { break }
            if isRelaxed {
                let endsBlank = isLineFeed .| (block .== carriageReturn) .| (block .== space)
                let isChanged = (block .== tab) .| ((before .== space) .& endsBlank)
                if any(isChanged) { break }
            }
            index += Self.blockSize
        }
        return index
    }

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

    private mutating func releaseLineEnds() {
        while heldLineEnds > 0 {
            heldLineEnds -= 1
            sink.write(0x0D)
            sink.write(0x0A)
        }
    }

    mutating func finish(into digests: inout [DKIMBodyRequirement: DKIMBodyDigest]) {
        if holdsCarriageReturn { put(0x0D) }
        // RFC 6376 §3.4.3: an empty body is CRLF; §3.4.4: it stays empty.
        if !isRelaxed || !sink.isEmpty {
            sink.write(0x0D)
            sink.write(0x0A)
        }
        let canonicalization = isRelaxed ? DKIMCanonicalization.relaxed : .simple
        sink.finish { length, digest in digests[DKIMBodyRequirement(canonicalization, length: length)] = digest }
    }
}

extension DKIMBodyPass {
    /// Collects small pieces, hashes, and notes the hash at each length that is asked for.
    struct Sink: Sendable {
        private var hash = SHA256()
        private var pending: [UInt8] = []
        /// Octets that were hashed or counted, without those pending.
        private var position: UInt64 = 0
        /// The lengths that aren't reached yet, the smallest last.
        private var lengths: [UInt64]
        private let wantsWhole: Bool
        private var reached: [(length: UInt64, sha256: [UInt8])] = []

        private static let pendingLimit = 16384
        /// Shorter runs are cheaper to copy than to hash on their own.
        private static let directMinimum = 1024

        init(lengths: [UInt64?]) {
            self.lengths = Set(lengths.compactMap { $0 }).sorted(by: >)
            wantsWhole = lengths.contains(nil)
            pending.reserveCapacity(Self.pendingLimit)
        }

        var isEmpty: Bool { position == 0 && pending.isEmpty }

        mutating func write(_ octet: UInt8) {
            pending.append(octet)
            if pending.count >= Self.pendingLimit { flush() }
        }

        mutating func write(_ octets: UnsafeRawBufferPointer) {
            if octets.count < Self.directMinimum {
                unsafe pending.append(contentsOf: octets)
                if pending.count >= Self.pendingLimit { flush() }
            } else {
                flush()
                unsafe absorb(octets)
            }
        }

        private mutating func flush() {
            guard !pending.isEmpty else { return }
            let octets = pending
            pending.removeAll()
            // Safe: the octets are read while they are borrowed.
            unsafe octets.withUnsafeBytes { unsafe absorb($0) }
            pending = octets
            pending.removeAll(keepingCapacity: true)
        }

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
}
