/// The names of header fields as octets, looked at eight at a time and in lower case.
package enum FieldNameOctets {
    /// Of this process: nobody can choose names that all come to the same hash.
    @usableFromInline static let seed = UInt64(truncatingIfNeeded: Hasher().finalize())

    /// The hash of a name, whatever the case of its letters.
    /// - Parameter name: where it is in `octets`.
    @inlinable package static func hash(_ octets: Span<UInt8>, _ name: Range<Int>) -> UInt64 {
        var hash = seed ^ UInt64(truncatingIfNeeded: name.count)
        var index = name.lowerBound
        while index < name.upperBound {
            let product = (hash ^ word(octets, at: index, to: name.upperBound)).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
            hash = product.high ^ product.low
            index += 8
        }
        return hash
    }

    /// Whether two names are the same but for the case of their letters.
    @inlinable package static func areEqual(_ first: Span<UInt8>, _ name: Range<Int>, _ second: Span<UInt8>, _ other: Range<Int>) -> Bool {
        guard name.count == other.count else { return false }
        var index = 0
        while index < name.count {
            let word = word(first, at: name.lowerBound + index, to: name.upperBound)
            guard word == Self.word(second, at: other.lowerBound + index, to: other.upperBound) else { return false }
            index += 8
        }
        return true
    }

    /// Eight octets in lower case, or as many as there are before `end`.
    @inlinable
    @inline(__always)
    static func word(_ octets: Span<UInt8>, at index: Int, to end: Int) -> UInt64 {
        var word: UInt64 = 0
        if octets.count - index >= 8 {
            // Safe: the octets are there, and every bit pattern is a value of the integer.
            word = unsafe octets.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self).littleEndian
            // What is behind the name doesn't count.
            if end - index < 8 { word &= (1 &<< UInt64(8 &* (end &- index))) &- 1 }
        } else {
            for place in index..<end { word |= UInt64(octets[place]) &<< UInt64(8 &* (place &- index)) }
        }
        return word.asciiLowercased
    }
}

extension UInt64 {
    /// Eight octets, `A` to `Z` among them made small.
    @inlinable package var asciiLowercased: UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let low = self & (0x7F &* ones)
        // The highest bit of an octet of the sums says whether it is `A` or above, and whether it is above `Z`.
        let capitals = ~self & ((low &+ (0x80 - 0x41) &* ones) ^ (low &+ (0x80 - 0x5B) &* ones)) & (0x80 &* ones)
        return self | capitals &>> 2
    }
}
