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

    /// Whether octets begin with a word in upper case, in whatever case they are written themselves.
    static func begins(_ octets: some Sequence<UInt8>, with word: StaticString) -> Bool {
        word.withUTF8Buffer { word in
            var place = 0
            for octet in octets where place < word.count {
                // Safe: the place is within the word.
                let expected = unsafe word[place]
                guard octet == expected || ((0x61...0x7A).contains(octet) && octet - 0x20 == expected) else { return false }
                place += 1
                if place == word.count { return true }
            }
            return false
        }
    }

    /// The number of octets.
    var count: Int { unsafe octets.count }

    /// The octet at an offset, or `nil` behind the end.
    subscript(offset: Int) -> UInt8? {
        guard offset >= 0, unsafe offset < octets.count else { return nil }
        return unsafe octets[offset]
    }

    /// Whether an octet over 127 stands in `start..<end`; eight octets are looked at together.
    func hasEightBit(from start: Int, to end: Int) -> Bool {
        guard start >= 0, start < end, unsafe end <= octets.count else { return false }
        var position = start
        while position + 8 <= end {
            // `start..<end` lies within the buffer by the guard above.
            guard unsafe octets.loadUnaligned(fromByteOffset: position, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 else { return true }
            position += 8
        }
        while position < end {
            guard unsafe octets[position] < 0x80 else { return true }
            position += 1
        }
        return false
    }

    /// The first offset of `octet` in `start..<end`.
    func first(_ octet: UInt8, from start: Int, to end: Int) -> Int? {
        guard start >= 0, start < end, unsafe end <= octets.count, let base = unsafe octets.baseAddress else { return nil }
        // `start..<end` lies within the buffer by the guard above, so `memchr` reads nothing else.
        guard let found = unsafe memchr(base + start, Int32(octet), end - start) else { return nil }
        return unsafe UnsafeRawPointer(found) - base
    }
}
