import MailMessage
import NIOCore

/// The places of a header's fields by their names.
struct DKIMFieldIndex: Sendable {
    private let names: HeaderNameIndex
    var header: HeaderSection { names.header }
    /// Whether fields may be hidden behind a limit of the header's: what is there then can't be told, nor verified.
    let isTruncated: Bool

    init(_ header: HeaderSection) {
        names = HeaderNameIndex(header)
        isTruncated = !header.isEmpty && header.range(at: header.count - 1).upperBound < header.fieldsRange.upperBound
    }

    /// The places of the fields of a name, the topmost first.
    subscript(name: String) -> [Int] { names.places(named: name) }

    /// What becomes of the fields of a name, the topmost first.
    /// - Parameter body: gets the number of the field among those of its name, and its place.
    func map<Result>(named name: String, _ body: (_ number: Int, _ place: Int) -> Result) -> [Result] {
        guard let group = names.group(named: name) else { return [] }
        var results: [Result] = []
        results.reserveCapacity(names.count(of: group))
        var place = names.last(of: group)
        for number in (0..<names.count(of: group)).reversed() {
            results.append(body(number, place))
            place = names.above(place)
        }
        results.reverse()
        return results
    }

    /// Puts the fields that a list of names selects into their canonical form (RFC 6376 §5.4.2: of several with the same name the
    /// lowest first; a name without a field left is nothing).
    /// - Parameter own: the place of the signature itself, which never signs itself; -1 where there is none.
    func select(_ list: DKIMFieldNames, except own: Int, into canonicalizer: inout DKIMHeaderCanonicalizer) -> DKIMFieldSelection {
        let octets = header.message.readableBytesUInt8Span
        let listed = list.octets.span
        var parts: [DKIMFieldSelection.Part] = []
        parts.reserveCapacity(names.groupCount + 8)
        for _ in 0..<names.groupCount { parts.append(DKIMFieldSelection.Part()) }
        var absent = DKIMAbsentNames(from: names.groupCount)
        var order: Int32 = 0
        var cursor = DKIMFieldNames.Cursor()
        // Names that are signed against being added come twice in a row.
        var previous: (name: Range<Int>, group: Int?) = (0..<0, nil)
        while let name = cursor.next(listed) {
            if name.isEmpty || !FieldNameOctets.areEqual(listed, previous.name, listed, name) {
                previous = (name, names.group(of: listed, name, in: octets))
            }
            guard let group = previous.group else {
                if absent.append(name, of: listed, order, to: &parts) { order += 1 }
                continue
            }
            var part = parts[group]
            if part.order < 0 {
                part = DKIMFieldSelection.Part(
                    order: order, nameStart: UInt32(name.lowerBound), nameEnd: UInt32(name.upperBound),
                    unsignedCount: Int32(names.count(of: group)), next: Int32(names.last(of: group)))
                order += 1
            }
            if part.next == own, own >= 0 { part.next = Int32(names.above(own)) }
            if part.next >= 0 {
                let place = Int(part.next)
                let (name, value) = header.ranges(at: place)
                canonicalizer.append(octets, name: name, value: value)
                part.next = Int32(names.above(place))
                part.signedCount += 1
                part.unsignedCount -= 1
            }
            parts[group] = part
        }
        // It is neither signed nor left unsigned.
        if own >= 0, parts[names.group(at: own)].order >= 0 { parts[names.group(at: own)].unsignedCount -= 1 }
        return DKIMFieldSelection(names: list, parts: parts)
    }

    /// Which of some names have fields that a selection leaves out, and how many of these it takes; in the order of the names.
    func leftOut(of selection: DKIMFieldSelection, among wanted: DKIMFieldNames) -> [(name: Range<Int>, signedCount: Int)] {
        let octets = header.message.readableBytesUInt8Span
        let listed = wanted.octets.span
        var found: [(name: Range<Int>, signedCount: Int)] = []
        for group in 0..<names.groupCount where selection.parts[group].signedCount == 0 || selection.parts[group].unsignedCount > 0 {
            let name = header.ranges(at: names.first(of: group)).name
            guard wanted.hasName(ofLength: name.count) else { continue }
            var cursor = DKIMFieldNames.Cursor()
            while let place = cursor.next(listed) {
                guard FieldNameOctets.areEqual(listed, place, octets, name) else { continue }
                found.append((place, Int(selection.parts[group].signedCount)))
            }
        }
        return found.sorted { $0.name.lowerBound < $1.name.lowerBound }
    }
}

/// Names in a list that no field has, each of which counts once.
private struct DKIMAbsentNames {
    /// The first of them among the parts of a selection.
    let start: Int
    /// Those behind the first ones.
    private var more: Set<[UInt8]> = []

    /// As many are searched one by one: a signature has a handful for the most part.
    private static let searchLimit = 16

    init(from start: Int) { self.start = start }

    /// Takes a name unless it was there before.
    mutating func append(_ name: Range<Int>, of listed: Span<UInt8>, _ order: Int32, to parts: inout [DKIMFieldSelection.Part]) -> Bool {
        for index in start..<min(parts.count, start + Self.searchLimit) {
            if FieldNameOctets.areEqual(listed, parts[index].name, listed, name) { return false }
        }
        if parts.count >= start + Self.searchLimit {
            // Safe: the octets are copied while they are borrowed.
            let octets = unsafe listed.extracting(name).withUnsafeBytes { unsafe Array($0) }
            guard more.insert(octets).inserted else { return false }
        }
        parts.append(DKIMFieldSelection.Part(order: order, nameStart: UInt32(name.lowerBound), nameEnd: UInt32(name.upperBound)))
        return true
    }
}
