import MailMessage
import NIOCore

/// The places of a header's fields by their names.
struct DKIMFieldIndex: Sendable {
    /// Passed on by one reference.
    private let shared: DKIMShared<HeaderNameIndex>
    private var names: HeaderNameIndex { shared.value }
    var header: HeaderSection { shared.value.header }
    /// Whether fields may be hidden behind a limit of the header's: what is there then can't be told, nor verified.
    let isTruncated: Bool

    init(_ header: HeaderSection) {
        shared = DKIMShared(HeaderNameIndex(header))
        isTruncated = (header.last?.range.upperBound ?? header.fieldsRange.lowerBound) < header.fieldsRange.upperBound && !header.isEmpty
    }

    /// The places of the fields of a name, the topmost first.
    subscript(name: String) -> [Int] { names.places(named: name) }

    /// Whether there is a field of a name.
    func contains(_ name: String) -> Bool { names.group(named: name) != nil }

    /// How far a selection has come in the fields of one name.
    private struct Progress {
        /// Where the name is in the result.
        var order: Int
        /// The lowest field that isn't taken.
        var next: Int?
        /// How many aren't taken, that field and those above it.
        var left: Int
    }

    /// Puts the fields that a list of names selects into their canonical form (RFC 6376 §5.4.2: of several with the same name the
    /// lowest first; a name without a field left is nothing).
    /// - Parameters:
    ///   - list: names in lower case.
    ///   - own: the place of the signature itself, which never signs itself; -1 where there is none.
    func select(_ list: [String], except own: Int, into canonicalizer: inout DKIMHeaderCanonicalizer) -> [DKIMSignedField] {
        let names = shared.value
        let octets = names.header.message.readableBytesUInt8Span
        var fields: [DKIMSignedField] = []
        fields.reserveCapacity(list.count)
        // A handful for the most part, which is searched faster than a table.
        var absent: [String] = []
        var moreAbsent: Set<String> = []
        var progress = [Progress?](repeating: nil, count: names.groupCount)
        // Names that are signed against being added come twice in a row.
        var previous: (name: String, group: Int?) = ("", nil)
        for name in list {
            if name != previous.name || name.isEmpty { previous = (name, names.group(named: name, in: octets)) }
            guard let group = previous.group else {
                guard !absent.contains(name) else { continue }
                if absent.count < 16 { absent.append(name) } else if !moreAbsent.insert(name).inserted { continue }
                fields.append(DKIMSignedField(name: name, signedCount: 0, unsignedCount: 0))
                continue
            }
            var state: Progress
            if let known = progress[group] {
                state = known
            } else {
                state = Progress(order: fields.count, next: names.last(of: group), left: names.count(of: group))
                fields.append(DKIMSignedField(name: name, signedCount: 0, unsignedCount: 0))
            }
            if let place = state.next, place == own {
                state.next = names.above(place)
                state.left -= 1
            }
            if let place = state.next {
                let (name, value) = names.header.ranges(at: place)
                canonicalizer.append(octets, name: name, value: value)
                state.next = names.above(place)
                state.left -= 1
                fields[state.order].signedCount += 1
            }
            progress[group] = state
        }
        let ownGroup = own >= 0 ? names.group(at: own) : -1
        for (group, state) in progress.enumerated() {
            guard let state else { continue }
            let hasOwn = group == ownGroup && (state.next ?? -1) >= own
            fields[state.order].unsignedCount = state.left - (hasOwn ? 1 : 0)
        }
        return fields
    }
}
