/// Writes JSON objects field by field, without blanks and without a tree in between: what is stored with every message is written on its
/// way. Optional fields that are absent are left out, as Swift's own coding does, so that `Codable` types read it.
package struct JSONWriter: Sendable {
    /// What was written.
    package private(set) var octets: [UInt8] = []
    /// Something stands before in the same object or array.
    private var needsComma = false

    package init() { octets.reserveCapacity(1024) }

    /// `{…}`, as an element of an array or alone.
    package mutating func object(_ body: (inout JSONWriter) -> Void) { nest(UInt8(ascii: "{"), UInt8(ascii: "}"), body) }

    /// `[…]`, with one element for each.
    package mutating func array<Element>(_ elements: [Element], _ body: (inout JSONWriter, Element) -> Void) {
        nest(UInt8(ascii: "["), UInt8(ascii: "]")) { writer in
            for element in elements { body(&writer, element) }
        }
    }

    /// `"name":{…}`.
    package mutating func object(_ name: String, _ body: (inout JSONWriter) -> Void) {
        key(name)
        object(body)
    }

    /// `"name":[…]`.
    package mutating func array<Element>(_ name: String, _ elements: [Element], _ body: (inout JSONWriter, Element) -> Void) {
        key(name)
        array(elements, body)
    }

    package mutating func field(_ name: String, _ texts: [String]) { array(name, texts) { $0.text($1) } }
    package mutating func field(_ name: String, _ text: String?) {
        guard let text else { return }
        key(name)
        self.text(text)
    }
    package mutating func field(_ name: String, _ number: (some BinaryInteger)?) {
        guard let number else { return }
        key(name)
        raw(String(number))
    }
    /// A number that JSON can't hold (infinite, not a number) is left out.
    package mutating func field(_ name: String, _ number: Double?) {
        guard let number, number.isFinite else { return }
        key(name)
        raw(String(number))
    }
    package mutating func field(_ name: String, _ value: Bool) {
        key(name)
        raw(value ? "true" : "false")
    }

    /// A text, as an element of an array or as the value of a key.
    package mutating func text(_ text: String) {
        separate()
        octets.append(UInt8(ascii: "\""))
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            octets.append(contentsOf: text.utf8)
        } else {
            for octet in text.utf8 { escape(octet) }
        }
        octets.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ octet: UInt8) {
        switch octet {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            octets.append(UInt8(ascii: "\\"))
            octets.append(octet)
        case 0..<0x20:
            let digits = Array("0123456789abcdef".utf8)
            octets.append(contentsOf: "\\u00".utf8)
            octets.append(digits[Int(octet >> 4)])
            octets.append(digits[Int(octet & 15)])
        default: octets.append(octet)
        }
    }

    private mutating func key(_ name: String) {
        text(name)
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
