import NIOCore

/// The fields of a header section by their names, without a text for each name: one table, made in one look at the names.
///
/// Fields of the same name, whatever the case of its letters, are a group.
package struct HeaderNameIndex: Sendable {
    private struct Group {
        var first: Int
        var last: Int
        var count: Int
    }

    package let header: HeaderSection
    private var groups: [Group] = []
    /// For each field its group, and the field of the same name above it; -1 where there is none.
    private var links: [(group: Int, above: Int)] = []
    /// The groups by the hash of their name, each at the first free place from there; -1 where there is none.
    private var table: [Int]
    /// Of this process: nobody can choose names that all come to the same place.
    private let seed = UInt64(truncatingIfNeeded: Hasher().finalize())

    package init(_ header: HeaderSection) {
        self.header = header
        var size = 16
        while size < header.count * 2 { size *= 2 }
        table = Array(repeating: -1, count: size)
        links.reserveCapacity(header.count)
        groups.reserveCapacity(min(header.count, 32))
        let octets = header.message.readableBytesUInt8Span
        for (place, entry) in header.entries.enumerated() {
            let name = octets.extracting(Int(entry.start)..<Int(entry.nameEnd))
            let slot = slot(of: name, octets)
            let group = table[slot]
            if group >= 0 {
                links.append((group, groups[group].last))
                groups[group].last = place
                groups[group].count += 1
            } else {
                table[slot] = groups.count
                links.append((groups.count, -1))
                groups.append(Group(first: place, last: place, count: 1))
            }
        }
    }

    /// How many groups there are: they are numbered from 0.
    package var groupCount: Int { groups.count }

    /// The group of a name; the case of its letters doesn't count.
    package func group(named name: String) -> Int? { group(named: name, in: header.message.readableBytesUInt8Span) }

    /// As above, for who asks often.
    /// - Parameter octets: those of the header's message.
    package func group(named name: String, in octets: Span<UInt8>) -> Int? {
        guard !groups.isEmpty else { return nil }
        let group = table[slot(of: name.utf8Span.span, octets)]
        return group >= 0 ? group : nil
    }

    /// How many fields a group has.
    package func count(of group: Int) -> Int { groups[group].count }
    /// The place of the topmost field of a group.
    package func first(of group: Int) -> Int { groups[group].first }
    /// The place of the lowest field of a group.
    package func last(of group: Int) -> Int { groups[group].last }
    /// The group of a field.
    package func group(at place: Int) -> Int { links[place].group }
    /// The place of the next field of the same name above one.
    package func above(_ place: Int) -> Int? { links[place].above >= 0 ? links[place].above : nil }

    /// The places of the fields of a name, the topmost first.
    package func places(named name: String) -> [Int] {
        guard let group = group(named: name) else { return [] }
        var places: [Int] = []
        places.reserveCapacity(groups[group].count)
        var place: Int? = groups[group].last
        while let current = place {
            places.append(current)
            place = above(current)
        }
        places.reverse()
        return places
    }

    /// The place in the table at which the group of a name is, or would be.
    private func slot(of name: Span<UInt8>, _ octets: Span<UInt8>) -> Int {
        var hash = seed ^ UInt64(truncatingIfNeeded: name.count)
        var index = 0
        while index < name.count {
            let product = (hash ^ Self.word(name, at: index)).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
            hash = product.high ^ product.low
            index += 8
        }
        var slot = Int(truncatingIfNeeded: hash) & (table.count - 1)
        // There are at most half as many groups as places.
        while table[slot] >= 0, !isName(name, of: groups[table[slot]].first, octets) { slot = (slot + 1) & (table.count - 1) }
        return slot
    }

    private func isName(_ name: Span<UInt8>, of place: Int, _ octets: Span<UInt8>) -> Bool {
        let entry = header.entries[place]
        let start = Int(entry.start)
        guard Int(entry.nameEnd) - start == name.count else { return false }
        let other = octets.extracting(start..<start + name.count)
        var index = 0
        while index < name.count {
            guard Self.word(name, at: index) == Self.word(other, at: index) else { return false }
            index += 8
        }
        return true
    }

    /// Eight octets in lower case, or as many as there are.
    @inline(__always)
    private static func word(_ octets: Span<UInt8>, at index: Int) -> UInt64 {
        var word: UInt64 = 0
        if octets.count - index >= 8 {
            // Safe: the octets are there, and every bit pattern is a value of the integer.
            word = unsafe octets.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self).littleEndian
        } else {
            for place in index..<octets.count { word |= UInt64(octets[place]) &<< UInt64(8 &* (place &- index)) }
        }
        return word.asciiLowercased
    }
}

extension UInt64 {
    /// Eight octets, `A` to `Z` among them made small.
    fileprivate var asciiLowercased: UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let low = self & (0x7F &* ones)
        // The highest bit of an octet of the sums says whether it is `A` or above, and whether it is above `Z`.
        let capitals = ~self & ((low &+ (0x80 - 0x41) &* ones) ^ (low &+ (0x80 - 0x5B) &* ones)) & (0x80 &* ones)
        return self | capitals &>> 2
    }
}
