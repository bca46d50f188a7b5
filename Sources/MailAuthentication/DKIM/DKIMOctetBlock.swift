/// Sixteen octets that are looked at together: what every processor that this runs on has registers for.
struct DKIMOctetBlock {
    typealias Octets = SIMD16<UInt8>

    static let size = 16

    let octets: Octets

    @inline(__always) init(_ octets: Octets) { self.octets = octets }

    /// - Parameter place: at most ``size`` octets before the end of `memory`.
    @inline(__always)
    @unsafe
    init(_ memory: UnsafeRawBufferPointer, at place: Int) {
        // Safe as long as the caller keeps the precondition above; it is checked in debug builds only, as this is the inner loop.
        unsafe octets = memory.loadUnaligned(fromByteOffset: place, as: Octets.self)
    }

    @inline(__always) func equals(_ octet: UInt8) -> SIMDMask<SIMD16<Int8>> { octets .== Octets(repeating: octet) }
    /// All bits at the places of an octet, none at others: for masks that are put together, as these stay what the processor compares to.
    @inline(__always) func places(of octet: UInt8) -> Octets {
        // Safe: both are 16 octets without padding, and every bit pattern is a value of the integers.
        unsafe unsafeBitCast(equals(octet), to: Octets.self)
    }
    /// The same for octets up to one of them.
    @inline(__always) func places(upTo octet: UInt8) -> Octets {
        // Safe: as above.
        unsafe unsafeBitCast(isAtMost(octet), to: Octets.self)
    }
    @inline(__always) func isAtMost(_ octet: UInt8) -> SIMDMask<SIMD16<Int8>> { octets .<= Octets(repeating: octet) }
    @inline(__always) func isAtLeast(_ octet: UInt8) -> SIMDMask<SIMD16<Int8>> { octets .>= Octets(repeating: octet) }
}

/// The places in a block at which something is true.
///
/// The standard library's `any` looks at a mask lane by lane; two words tell the same in one comparison.
struct DKIMBlockMask {
    private let low: UInt64
    private let high: UInt64

    @inline(__always)
    init(_ mask: SIMDMask<SIMD16<Int8>>) {
        // Safe: both are 16 octets without padding, and every bit pattern is a value of the integers.
        self.init(unsafe unsafeBitCast(mask, to: DKIMOctetBlock.Octets.self))
    }

    /// - Parameter mask: all bits or none in each octet.
    @inline(__always)
    init(_ mask: DKIMOctetBlock.Octets) {
        // Safe: as above.
        let words = unsafe unsafeBitCast(mask, to: SIMD2<UInt64>.self)
        low = words[0].littleEndian
        high = words[1].littleEndian
    }

    @inline(__always) var isEmpty: Bool { low | high == 0 }
    /// The first place; 16 where there is none.
    @inline(__always) var first: Int { low != 0 ? low.trailingZeroBitCount >> 3 : 8 + high.trailingZeroBitCount >> 3 }
    /// The last place; -1 where there is none.
    @inline(__always) var last: Int { high != 0 ? 15 - high.leadingZeroBitCount >> 3 : 7 - low.leadingZeroBitCount >> 3 }
    /// A bit for each place, the first one lowest.
    @inline(__always) var bits: UInt64 {
        // The product has the lowest bits of the eight octets side by side in its highest octet; no two sums meet.
        let (octets, gather): (UInt64, UInt64) = (0x0101_0101_0101_0101, 0x0102_0408_1020_4080)
        return ((low & octets) &* gather) &>> 56 | (((high & octets) &* gather) &>> 48) & 0xFF00
    }
}
