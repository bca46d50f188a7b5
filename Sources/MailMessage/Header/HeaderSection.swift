public import NIOCore

/// The header section of a message or of a part: its fields in order, as views into the message (RFC 5322 §2.2).
///
/// It never fails: what deviates from the grammar is read as far as mail programs read it, and is named in
/// ``deviations``.
public struct HeaderSection: Sendable, RandomAccessCollection {
    struct Entry: Sendable {
        var start: UInt32
        var nameEnd: UInt32
        var valueStart: UInt32
        var valueEnd: UInt32
        var end: UInt32

        /// The octets of the name.
        var name: Range<Int> { Int(start)..<Int(nameEnd) }
    }

    package let message: ByteBuffer
    let entries: [Entry]
    /// The octets of the section with the empty line that ends it: what IMAP's `BODY[HEADER]` gives.
    public let range: Range<Int>
    /// The octets of the fields, without the empty line.
    public let fieldsRange: Range<Int>
    /// What deviates from the grammar in this section.
    public let deviations: [MessageDeviation]

    /// Reads the header section at the beginning of the readable octets of `message`.
    public init(parsing message: ByteBuffer, limits: MessageLimits = MessageLimits()) {
        let message = message.slice()
        let octets = message.readableBytesUInt8Span
        var log = DeviationLog()
        let scan = HeaderScan.run(octets, 0..<octets.count, limits: limits, boundaries: [], log: &log)
        self.init(message: message, scan: scan, deviations: log.deviations)
    }

    /// Reads the header section without looking for what deviates from the grammar, for who only wants its fields.
    package init(reading message: ByteBuffer) {
        let message = message.slice()
        let octets = message.readableBytesUInt8Span
        var log = DeviationLog()
        let scan = HeaderScan.run(octets, 0..<octets.count, limits: MessageLimits(), boundaries: [], notesDeviations: false, log: &log)
        self.init(message: message, scan: scan, deviations: [])
    }

    init(message: ByteBuffer, scan: HeaderScan, deviations: [MessageDeviation]) {
        self.message = message
        self.entries = scan.entries
        self.range = scan.start..<scan.sectionEnd
        self.fieldsRange = scan.start..<scan.fieldsEnd
        self.deviations = deviations
    }

    /// Whether an empty line ends the section.
    public var endsWithEmptyLine: Bool { range.upperBound > fieldsRange.upperBound }

    public var startIndex: Int { 0 }
    public var endIndex: Int { entries.count }

    public subscript(position: Int) -> HeaderField {
        let entry = entries[position]
        return HeaderField(
            message: message,
            range: Int(entry.start)..<Int(entry.end),
            nameRange: Int(entry.start)..<Int(entry.nameEnd),
            valueRange: Int(entry.valueStart)..<Int(entry.valueEnd)
        )
    }

    /// The octets of a field.
    package func range(at position: Int) -> Range<Int> { Int(entries[position].start)..<Int(entries[position].end) }

    /// The octets of a field's name and value in ``message``.
    package func ranges(at position: Int) -> (name: Range<Int>, value: Range<Int>) {
        let entry = entries[position]
        return (entry.name, Int(entry.valueStart)..<Int(entry.valueEnd))
    }

    /// The first field of this name; the case of letters does not count.
    public func first(named name: some StringProtocol) -> HeaderField? {
        indices(named: name, limit: 1).first.map { self[$0] }
    }

    /// All fields of this name, the topmost first.
    public func all(named name: some StringProtocol) -> [HeaderField] {
        indices(named: name, limit: .max).map { self[$0] }
    }

    /// For each of these names the first field that has it, found in one look at the header; the case of letters does not count.
    package func firstFields(named names: [[UInt8]]) -> [HeaderField?] {
        let octets = message.readableBytesUInt8Span
        var found = [HeaderField?](repeating: nil, count: names.count)
        for index in entries.indices {
            let start = Int(entries[index].start)
            let count = Int(entries[index].nameEnd) - start
            for name in names.indices where found[name] == nil && names[name].count == count {
                var place = 0
                while place < count, octets[start + place].asciiLowercased == names[name][place].asciiLowercased { place += 1 }
                if place == count { found[name] = self[index] }
            }
        }
        return found
    }

    /// Whether a field of this name is as `body` says; the case of letters does not count.
    package func contains(named name: String, where body: (HeaderField) -> Bool) -> Bool {
        indices(named: name, limit: .max).contains { body(self[$0]) }
    }

    /// How many fields have this name.
    public func count(named name: some StringProtocol) -> Int { indices(named: name, limit: .max).count }

    /// The fields whose name is among `names`, in the order of the message, and an empty line: what IMAP's
    /// `BODY[HEADER.FIELDS (…)]` gives (RFC 9051 §6.4.5.1).
    public func octets(ofFieldsNamed names: [String]) -> ByteBuffer {
        let names = Set(names.map { $0.lowercased() })
        return selection { names.contains($0.name.lowercased()) }
    }

    /// The fields whose name is not among `names`, and an empty line: `BODY[HEADER.FIELDS.NOT (…)]`.
    public func octets(ofFieldsNotNamed names: [String]) -> ByteBuffer {
        let names = Set(names.map { $0.lowercased() })
        return selection { !names.contains($0.name.lowercased()) }
    }

    private func selection(_ isSelected: (HeaderField) -> Bool) -> ByteBuffer {
        var result = ByteBuffer()
        for field in self where isSelected(field) {
            result.writeImmutableBuffer(field.rawField)
            // The last field of a message may lack its line end; another line must not stick to it.
            if field.valueRange.upperBound == field.range.upperBound { result.writeStaticString("\r\n") }
        }
        result.writeStaticString("\r\n")
        return result
    }

    private func indices(named name: some StringProtocol, limit: Int) -> [Int] {
        let wanted = Array(name.utf8)
        let octets = message.readableBytesUInt8Span
        var found = [Int]()
        for index in entries.indices {
            let start = Int(entries[index].start)
            guard Int(entries[index].nameEnd) - start == wanted.count else { continue }
            var place = 0
            while place < wanted.count, octets[start + place].asciiLowercased == wanted[place].asciiLowercased { place += 1 }
            guard place == wanted.count else { continue }
            found.append(index)
            if found.count == limit { break }
        }
        return found
    }

    /// How many `Received` fields the header section at the beginning of `prefix` has: the measure of a mail loop
    /// (RFC 5321 §6.3). Cheap: it looks at line beginnings only, and stops at the empty line or at the end of `prefix`.
    public static func countReceived(inPrefix prefix: ByteBuffer) -> Int {
        let octets = prefix.readableBytesUInt8Span
        let name = Array("received".utf8)
        var count = 0
        var lineStart = 0
        while lineStart < octets.count {
            if octets[lineStart] == 0x0A { break }
            if octets[lineStart] == 0x0D, lineStart + 1 < octets.count, octets[lineStart + 1] == 0x0A { break }
            var index = lineStart + name.count
            if index < octets.count, name.indices.allSatisfy({ octets[lineStart + $0].asciiLowercased == name[$0] }) {
                while index < octets.count, octets[index].isBlank { index += 1 }
                if index < octets.count, octets[index] == UInt8(ascii: ":") { count += 1 }
            }
            guard let lineFeed = OctetScan.firstIndex(of: 0x0A, in: octets, from: lineStart, to: octets.count) else {
                break
            }
            lineStart = lineFeed + 1
        }
        return count
    }
}
