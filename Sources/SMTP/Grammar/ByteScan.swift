import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The octets of a buffer while it is being looked through. Finds octets at the speed of `memchr`.
@safe struct ByteScan {
    private let octets: UnsafeRawBufferPointer

    /// Looks through the readable bytes of `buffer`; the scan must not leave `body`.
    static func over<Result>(_ buffer: ByteBuffer, _ body: (ByteScan) -> Result) -> Result {
        // The pointer is valid for the call of `body` only; the type is internal and no caller stores it.
        unsafe buffer.withUnsafeReadableBytes { pointer in body(unsafe ByteScan(octets: pointer)) }
    }

    private init(octets: UnsafeRawBufferPointer) { unsafe self.octets = octets }

    /// The number of octets.
    var count: Int { unsafe octets.count }

    /// The octet at an offset, or `nil` behind the end.
    subscript(offset: Int) -> UInt8? {
        guard offset >= 0, unsafe offset < octets.count else { return nil }
        return unsafe octets[offset]
    }

    /// The first offset of `octet` in `start..<end`.
    func first(_ octet: UInt8, from start: Int, to end: Int) -> Int? {
        guard start >= 0, start < end, unsafe end <= octets.count, let base = unsafe octets.baseAddress else { return nil }
        // `start..<end` lies within the buffer by the guard above, so `memchr` reads nothing else.
        guard let found = unsafe memchr(base + start, Int32(octet), end - start) else { return nil }
        return unsafe UnsafeRawPointer(found) - base
    }
}
