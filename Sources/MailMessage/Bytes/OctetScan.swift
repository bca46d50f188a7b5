import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Searches in octets at the speed of the C library's `memchr`.
enum OctetScan {
    /// The first index of `octet` within `start..<end`; `nil` where it is absent or the range lies outside of the span.
    static func firstIndex(of octet: UInt8, in octets: Span<UInt8>, from start: Int, to end: Int) -> Int? {
        guard start >= 0, start < end, end <= octets.count else { return nil }
        // Proof: `start..<end` was just checked to lie within the span, whose memory lives as long as the closure runs;
        // memchr reads only those octets, and what it returns is nil or points into them.
        return unsafe octets.withUnsafeBytes { memory -> Int? in
            guard let base = memory.baseAddress, let found = unsafe memchr(base + start, CInt(octet), end - start)
            else { return nil }
            return unsafe base.distance(to: UnsafeRawPointer(found))
        }
    }
}

extension UInt8 {
    /// The octet with `A` to `Z` made small.
    var asciiLowercased: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }

    /// SP or HTAB.
    var isBlank: Bool { self == 0x20 || self == 0x09 }

    /// The value of a hexadecimal digit of either case.
    var hexadecimalValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

extension ByteBuffer {
    /// The octets of `range`, counted from the first readable one and cut to what exists.
    func octets(in range: Range<Int>) -> [UInt8] {
        let part = range.clamped(to: 0..<readableBytes)
        return getBytes(at: readerIndex + part.lowerBound, length: part.count) ?? []
    }

    /// A slice without a copy of `range`, counted from the first readable octet and cut to what exists.
    func slice(in range: Range<Int>) -> ByteBuffer {
        let part = range.clamped(to: 0..<readableBytes)
        return getSlice(at: readerIndex + part.lowerBound, length: part.count) ?? ByteBuffer()
    }
}

extension StringProtocol {
    /// Whether both are the same but for the case of ASCII letters.
    func equalsIgnoringASCIICase(_ other: some StringProtocol) -> Bool {
        utf8.elementsEqual(other.utf8) { $0.asciiLowercased == $1.asciiLowercased }
    }
}
