/// Writes JSON objects field by field, without blanks and without a tree in between: what is stored with every message is written on its
/// way. Optional fields that are absent are left out, as Swift's own coding does, so that `Codable` types read it.
///
/// Names are literals of ours, made of letters and digits, and are copied as they stand.
package struct JSONWriter: Sendable {
    /// What was written.
    package private(set) var octets: [UInt8] = []
    /// Something stands before in the same object or array.
    private var needsComma = false

    package init(reserving capacity: Int = 1024) { octets.reserveCapacity(capacity) }

    /// `{…}`, as an element of an array or alone.
    package mutating func object(_ body: (inout JSONWriter) -> Void) { nest(UInt8(ascii: "{"), UInt8(ascii: "}"), body) }

    /// `[…]`; the body writes the elements.
    package mutating func array(_ body: (inout JSONWriter) -> Void) { nest(UInt8(ascii: "["), UInt8(ascii: "]"), body) }

    /// `"name":{…}`.
    package mutating func object(_ name: StaticString, _ body: (inout JSONWriter) -> Void) {
        key(name)
        object(body)
    }

    /// `"name":{…}` for a name that is known only when it is written; letters and digits as well.
    package mutating func object(named name: String, _ body: (inout JSONWriter) -> Void) {
        text(name)
        octets.append(UInt8(ascii: ":"))
        needsComma = false
        object(body)
    }

    /// `"name":[…]`.
    package mutating func array(_ name: StaticString, _ body: (inout JSONWriter) -> Void) {
        key(name)
        array(body)
    }

    package mutating func field(_ name: StaticString, _ texts: [String]) {
        array(name) { writer in
            for text in texts { writer.text(text) }
        }
    }
    package mutating func field(_ name: StaticString, _ text: String?) {
        guard let text else { return }
        key(name)
        self.text(text)
    }
    package mutating func field(_ name: StaticString, _ number: Int?) {
        guard let number else { return }
        key(name)
        raw(String(number))
    }
    /// A number that JSON can't hold (infinite, not a number) is left out.
    package mutating func field(_ name: StaticString, _ number: Double?) {
        guard let number, number.isFinite else { return }
        key(name)
        raw(String(number))
    }
    package mutating func field(_ name: StaticString, _ value: Bool) {
        key(name)
        raw(value ? "true" : "false")
    }

    /// A text, as an element of an array or as the value of a key.
    package mutating func text(_ text: String) {
        separate()
        octets.append(UInt8(ascii: "\""))
        // The octets are read while they are borrowed.
        let isWritten: Void? = unsafe text.utf8.withContiguousStorageIfAvailable { unsafe append($0) }
        if isWritten == nil { for octet in text.utf8 { escape(octet) } }
        octets.append(UInt8(ascii: "\""))
    }

    /// Appends text in runs without an escape.
    private mutating func append(_ text: UnsafeBufferPointer<UInt8>) {
        var rest = unsafe text[...]
        while let special = unsafe rest.firstIndex(where: Self.isEscaped) {
            unsafe octets.append(contentsOf: rest[..<special])
            unsafe escape(rest[special])
            unsafe rest = rest[(special + 1)...]
        }
        unsafe octets.append(contentsOf: rest)
    }

    private static func isEscaped(_ octet: UInt8) -> Bool {
        octet < 0x20 || octet == UInt8(ascii: "\"") || octet == UInt8(ascii: "\\")
    }

    private mutating func escape(_ octet: UInt8) {
        switch octet {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            octets.append(UInt8(ascii: "\\"))
            octets.append(octet)
        case 0..<0x20:
            octets.append(contentsOf: "\\u00".utf8)
            octets.append(HexDigits.lowercase(octet >> 4))
            octets.append(HexDigits.lowercase(octet & 15))
        default: octets.append(octet)
        }
    }

    /// Writes a name and the colon behind it.
    package mutating func key(_ name: StaticString) {
        separate()
        octets.append(UInt8(ascii: "\""))
        // Safe: the literal lives as long as the program.
        unsafe octets.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        octets.append(UInt8(ascii: "\""))
        octets.append(UInt8(ascii: ":"))
        needsComma = false
    }

    private mutating func raw(_ value: String) {
        separate()
        octets.append(contentsOf: value.utf8)
    }

    private mutating func nest(_ opener: UInt8, _ closer: UInt8, _ body: (inout JSONWriter) -> Void) {
        separate()
        octets.append(opener)
        needsComma = false
        body(&self)
        octets.append(closer)
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { octets.append(UInt8(ascii: ",")) }
        needsComma = true
    }
}
