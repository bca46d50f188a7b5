import NIOCore

/// The fields of a header section by their names, without a text for each name: one table, made in one look at the names.
///
/// Fields of the same name, whatever the case of its letters, are a group.
package final class HeaderNameIndex: Sendable {
    package let header: HeaderSection
    /// How many groups there are: they are numbered from 0.
    package let groupCount: Int
    /// One piece of memory for three tables, one behind the other:
    /// - the groups by the hash of their name, each at the first free place from there; -1 where there is none;
    /// - for each field its group, and the field of the same name above it; -1 where there is none;
    /// - for each group its first field, its last one and how many there are.
    @usableFromInline let cells: [Int32]
    private let hashedCount: Int
    @usableFromInline let linksStart: Int
    @usableFromInline let groupsStart: Int

    package init(_ header: HeaderSection) {
        let count = header.count
        var size = 16
        while size < count * 2 { size *= 2 }
        let (linksStart, groupsStart) = (size, size + 2 * count)
        var cells = [Int32](repeating: -1, count: groupsStart + 3 * count)
        var groupCount = 0
        let octets = header.message.readableBytesUInt8Span
        let entries = header.entries.span
        var table = cells.mutableSpan
        for place in entries.indices {
            let name = entries[place].name
            var slot = Int(truncatingIfNeeded: FieldNameOctets.hash(octets, name)) & (size - 1)
            // There are at most half as many groups as places.
            while table[slot] >= 0 {
                let first = Int(table[groupsStart + 3 * Int(table[slot])])
                if FieldNameOctets.areEqual(octets, name, octets, entries[first].name) { break }
                slot = (slot + 1) & (size - 1)
            }
            if table[slot] < 0 {
                table[slot] = Int32(groupCount)
                table[groupsStart + 3 * groupCount] = Int32(place)
                table[groupsStart + 3 * groupCount + 2] = 0
                groupCount += 1
            }
            let group = Int(table[slot])
            table[linksStart + 2 * place] = Int32(group)
            table[linksStart + 2 * place + 1] = table[groupsStart + 3 * group + 1]
            table[groupsStart + 3 * group + 1] = Int32(place)
            table[groupsStart + 3 * group + 2] += 1
        }
        self.header = header
        self.groupCount = groupCount
        self.cells = cells
        self.hashedCount = size
        self.linksStart = linksStart
        self.groupsStart = groupsStart
    }

    /// The group of a name; the case of its letters doesn't count.
    package func group(named name: String) -> Int? {
        let (message, name) = (header.message, name.utf8Span.span)
        return group(of: name, 0..<name.count, in: message.readableBytesUInt8Span)
    }

    /// As above, for who asks often.
    /// - Parameters:
    ///   - list: octets among which the name is, and where.
    ///   - octets: those of the header's message.
    package func group(of list: Span<UInt8>, _ name: Range<Int>, in octets: Span<UInt8>) -> Int? {
        var slot = Int(truncatingIfNeeded: FieldNameOctets.hash(list, name)) & (hashedCount - 1)
        while cells[slot] >= 0 {
            let first = Int(cells[groupsStart + 3 * Int(cells[slot])])
            if FieldNameOctets.areEqual(list, name, octets, header.entries[first].name) { return Int(cells[slot]) }
            slot = (slot + 1) & (hashedCount - 1)
        }
        return nil
    }

    /// The place of the topmost field of a group.
    @inlinable package func first(of group: Int) -> Int { Int(cells[groupsStart + 3 * group]) }
    /// The place of the lowest field of a group.
    @inlinable package func last(of group: Int) -> Int { Int(cells[groupsStart + 3 * group + 1]) }
    /// How many fields a group has.
    @inlinable package func count(of group: Int) -> Int { Int(cells[groupsStart + 3 * group + 2]) }
    /// The group of a field.
    @inlinable package func group(at place: Int) -> Int { Int(cells[linksStart + 2 * place]) }
    /// The place of the next field of the same name above one; -1 where there is none.
    @inlinable package func above(_ place: Int) -> Int { Int(cells[linksStart + 2 * place + 1]) }

    /// The places of the fields of a name, the topmost first.
    package func places(named name: String) -> [Int] {
        guard let group = group(named: name) else { return [] }
        var places = [Int](repeating: 0, count: count(of: group))
        var place = last(of: group)
        for index in places.indices.reversed() {
            places[index] = place
            place = above(place)
        }
        return places
    }
}
