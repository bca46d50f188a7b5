/// Writes JSON objects field by field, without blanks and without a tree in between: what is stored with every message is written on its
/// way. Optional fields that are absent are left out, as Swift's own coding does, so that `Codable` types read it.
///
/// Names are literals of ours, made of letters and digits, and are copied as they stand.
package struct JSONWriter: Sendable {
    /// Room, of which the first ``count`` octets are written. Octets that are appended to an array one by one cost a look at its owner and its
    /// room each.
    private var room: [UInt8]
    private var count = 0
    /// Something stands before in the same object or array.
    private var needsComma = false

    package init(reserving capacity: Int = 1024) { room = [UInt8](repeating: 0, count: max(64, capacity)) }

    /// What was written.
    package var octets: [UInt8] { Array(room.prefix(count)) }

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
        put(UInt8(ascii: ":"))
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
        if !decimals(number) { raw(String(number)) }
    }
    package mutating func field(_ name: StaticString, _ value: Bool) {
        key(name)
        raw(value ? "true" : "false")
    }

    /// A text, as an element of an array or as the value of a key.
    package mutating func text(_ text: String) {
        let comma = takesComma()
        let octets = text.utf8.span
        // Each octet takes six at most.
        unsafe write(atMost: 3 + 6 * octets.count) { target in
            var place = 0
            if comma { unsafe Self.put(UInt8(ascii: ","), target, &place) }
            unsafe Self.put(UInt8(ascii: "\""), target, &place)
            for index in octets.indices {
                let octet = octets[index]
                if octet >= 0x20, octet != UInt8(ascii: "\""), octet != UInt8(ascii: "\\") {
                    unsafe Self.put(octet, target, &place)
                } else {
                    unsafe Self.escape(octet, target, &place)
                }
            }
            unsafe Self.put(UInt8(ascii: "\""), target, &place)
            return place
        }
    }

    private static func escape(_ octet: UInt8, _ target: UnsafeMutablePointer<UInt8>, _ place: inout Int) {
        unsafe put(UInt8(ascii: "\\"), target, &place)
        guard octet < 0x20 else { return unsafe put(octet, target, &place) }
        for digit in [UInt8(ascii: "u"), UInt8(ascii: "0"), UInt8(ascii: "0"), HexDigits.lowercase(octet >> 4), HexDigits.lowercase(octet & 15)] {
            unsafe put(digit, target, &place)
        }
    }

    /// Writes a name and the colon behind it.
    package mutating func key(_ name: StaticString) {
        let comma = takesComma()
        let length = name.utf8CodeUnitCount
        unsafe write(atMost: 4 + length) { target in
            var place = 0
            if comma { unsafe Self.put(UInt8(ascii: ","), target, &place) }
            unsafe Self.put(UInt8(ascii: "\""), target, &place)
            // Safe: the literal lives as long as the program.
            unsafe (target + place).update(from: name.utf8Start, count: length)
            place += length
            unsafe Self.put(UInt8(ascii: "\""), target, &place)
            unsafe Self.put(UInt8(ascii: ":"), target, &place)
            return place
        }
        needsComma = false
    }

    /// Writes a number with up to seven decimals: a moment of this century or a duration has no more, and its shortest form takes several times as
    /// long to be found.
    /// - Returns: `false`, with nothing written, where the decimals wouldn't be read as the same number.
    private mutating func decimals(_ number: Double) -> Bool {
        let scaled = (number.magnitude * 1e7).rounded()
        guard scaled < 9e18, scaled / 1e7 == number.magnitude else { return false }
        var rest = UInt64(scaled)
        var digits = 7
        while digits > 1, rest % 10 == 0 {
            rest /= 10
            digits -= 1
        }
        let comma = takesComma()
        // A comma, a sign, twenty digits and the point.
        unsafe write(atMost: 24) { target in
            var place = 0
            if comma { unsafe Self.put(UInt8(ascii: ","), target, &place) }
            if number.sign == .minus { unsafe Self.put(UInt8(ascii: "-"), target, &place) }
            var count = 1
            var unit: UInt64 = 10
            while rest >= unit, count < 19 {
                unit *= 10
                count += 1
            }
            // From the last digit to the first; at least one stands before the point.
            count = max(count, digits + 1)
            var end = place + count + 1
            place = end
            for written in 0..<count {
                if written == digits {
                    end -= 1
                    unsafe target[end] = UInt8(ascii: ".")
                }
                end -= 1
                unsafe target[end] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            return place
        }
        return true
    }

    /// A number or a word of JSON.
    private mutating func raw(_ value: String) {
        let comma = takesComma()
        let octets = value.utf8.span
        unsafe write(atMost: 1 + octets.count) { target in
            var place = 0
            if comma { unsafe Self.put(UInt8(ascii: ","), target, &place) }
            for index in octets.indices { unsafe Self.put(octets[index], target, &place) }
            return place
        }
    }

    private mutating func nest(_ opener: UInt8, _ closer: UInt8, _ body: (inout JSONWriter) -> Void) {
        if takesComma() { put(UInt8(ascii: ",")) }
        put(opener)
        needsComma = false
        body(&self)
        put(closer)
        needsComma = true
    }

    /// Whether a comma must be written before what comes now; the next one needs one in any case.
    private mutating func takesComma() -> Bool {
        defer { needsComma = true }
        return needsComma
    }

    private mutating func put(_ octet: UInt8) {
        unsafe write(atMost: 1) { target in
            unsafe target.pointee = octet
            return 1
        }
    }

    private static func put(_ octet: UInt8, _ target: UnsafeMutablePointer<UInt8>, _ place: inout Int) {
        unsafe target[place] = octet
        place += 1
    }

    /// Lets `body` write behind what was written.
    /// - Parameters:
    ///   - most: how many octets it writes at most.
    ///   - body: gets their place, and returns how many it wrote.
    private mutating func write(atMost most: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Int) {
        if room.count - count < most { room.append(contentsOf: repeatElement(0, count: max(most, room.count))) }
        let start = count
        // Safe: there is room for so many octets behind the start.
        count += unsafe room.withUnsafeMutableBufferPointer { octets in
            guard let first = octets.baseAddress else { return 0 }
            return unsafe body(first + start)
        }
    }
}
