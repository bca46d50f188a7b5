import FoundationEssentials

/// Writes values as JSON without blanks, several times faster than Foundation's encoder, which builds a tree first. What it writes, every JSON
/// decoder reads; `Date` is written as seconds since 1970, octets as an array of numbers.
package enum CompactJSON {
    /// The value as JSON text in UTF-8.
    /// - Throws: `EncodingError` for a number that JSON can't hold, and what the value's own `encode(to:)` throws.
    package static func encode(_ value: some Encodable) throws -> [UInt8] {
        let output = JSONOutput()
        try output.write(value, path: [])
        return output.octets
    }

    /// Appends the value to JSON text; where it throws, the text stays as it was.
    package static func append(_ value: some Encodable, to octets: inout [UInt8]) throws {
        let output = JSONOutput()
        try output.write(value, path: [])
        octets += output.octets
    }
}

/// The text that grows, with the objects and arrays that are open at its end. An object is closed when its value has been written, or when
/// something is written into one around it.
private final class JSONOutput {
    private(set) var octets: [UInt8]
    private var open: [Level] = []

    private struct Level {
        var closer: UInt8
        var isEmpty = true
    }

    init() {
        octets = []
        octets.reserveCapacity(512)
    }

    var depth: Int { open.count }

    func begin(isObject: Bool) -> Int {
        octets.append(UInt8(ascii: isObject ? "{" : "["))
        open.append(Level(closer: UInt8(ascii: isObject ? "}" : "]")))
        return open.count
    }

    func close(to depth: Int) {
        while open.count > depth, let level = open.popLast() { octets.append(level.closer) }
    }

    /// Begins the next element of the container at `depth`.
    func element(at depth: Int) {
        close(to: depth)
        guard let last = open.indices.last else { return }
        if !open[last].isEmpty { octets.append(UInt8(ascii: ",")) }
        open[last].isEmpty = false
    }

    func key(_ name: String, at depth: Int) {
        element(at: depth)
        write(name)
        octets.append(UInt8(ascii: ":"))
    }

    func write<T: Encodable>(_ value: T, path: [any CodingKey]) throws {
        if T.self == String.self, let text = value as? String { return write(text) }
        if T.self == Date.self, let date = value as? Date { return try write(date.timeIntervalSince1970, path: path) }
        let before = (depth: depth, count: octets.count)
        try value.encode(to: JSONValueEncoder(output: self, codingPath: path))
        close(to: before.depth)
        // A value without anything in it.
        if octets.count == before.count { octets += "{}".utf8 }
    }

    func write(_ text: String) {
        octets.append(UInt8(ascii: "\""))
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            octets.append(contentsOf: text.utf8)
        } else {
            for octet in text.utf8 { escape(octet) }
        }
        octets.append(UInt8(ascii: "\""))
    }

    private func escape(_ octet: UInt8) {
        switch octet {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            octets.append(UInt8(ascii: "\\"))
            octets.append(octet)
        case 0..<0x20:
            let digits = Array("0123456789abcdef".utf8)
            octets += "\\u00".utf8
            octets.append(digits[Int(octet >> 4)])
            octets.append(digits[Int(octet & 15)])
        default: octets.append(octet)
        }
    }

    func write(_ value: Bool) { octets += (value ? "true" : "false").utf8 }
    func write(_ number: some BinaryInteger) { octets += String(number).utf8 }
    func writeNull() { octets += "null".utf8 }

    func write<Number: BinaryFloatingPoint & LosslessStringConvertible>(_ number: Number, path: [any CodingKey]) throws {
        guard number.isFinite else {
            throw EncodingError.invalidValue(number, .init(codingPath: path, debugDescription: "JSON has no such number"))
        }
        octets += String(number).utf8
    }
}

private struct JSONValueEncoder: Encoder {
    let output: JSONOutput
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(JSONObjectContainer<Key>(output: output, depth: output.begin(isObject: true), codingPath: codingPath))
    }
    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        JSONArrayContainer(output: output, depth: output.begin(isObject: false), codingPath: codingPath)
    }
    func singleValueContainer() -> any SingleValueEncodingContainer { JSONSingleContainer(output: output, codingPath: codingPath) }
}

private struct JSONObjectContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let output: JSONOutput
    let depth: Int
    let codingPath: [any CodingKey]

    private func begin(_ key: Key) { output.key(key.stringValue, at: depth) }

    func encodeNil(forKey key: Key) {
        begin(key)
        output.writeNull()
    }
    func encode(_ value: Bool, forKey key: Key) {
        begin(key)
        output.write(value)
    }
    func encode(_ value: String, forKey key: Key) {
        begin(key)
        output.write(value)
    }
    func encode(_ value: Double, forKey key: Key) throws {
        begin(key)
        try output.write(value, path: codingPath)
    }
    func encode(_ value: Int, forKey key: Key) {
        begin(key)
        output.write(value)
    }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        begin(key)
        try output.write(value, path: codingPath)
    }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
        begin(key)
        return KeyedEncodingContainer(
            JSONObjectContainer<Nested>(output: output, depth: output.begin(isObject: true), codingPath: codingPath))
    }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        begin(key)
        return JSONArrayContainer(output: output, depth: output.begin(isObject: false), codingPath: codingPath)
    }
    func superEncoder() -> any Encoder {
        output.key("super", at: depth)
        return JSONValueEncoder(output: output, codingPath: codingPath)
    }
    func superEncoder(forKey key: Key) -> any Encoder {
        begin(key)
        return JSONValueEncoder(output: output, codingPath: codingPath)
    }
}

private struct JSONArrayContainer: UnkeyedEncodingContainer {
    let output: JSONOutput
    let depth: Int
    let codingPath: [any CodingKey]
    private(set) var count = 0

    init(output: JSONOutput, depth: Int, codingPath: [any CodingKey]) {
        self.output = output
        self.depth = depth
        self.codingPath = codingPath
    }

    private mutating func begin() {
        output.element(at: depth)
        count += 1
    }
    mutating func encodeNil() {
        begin()
        output.writeNull()
    }
    mutating func encode<T: Encodable>(_ value: T) throws {
        begin()
        try output.write(value, path: codingPath)
    }
    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        begin()
        return KeyedEncodingContainer(
            JSONObjectContainer<Nested>(output: output, depth: output.begin(isObject: true), codingPath: codingPath))
    }
    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        begin()
        return JSONArrayContainer(output: output, depth: output.begin(isObject: false), codingPath: codingPath)
    }
    mutating func superEncoder() -> any Encoder {
        begin()
        return JSONValueEncoder(output: output, codingPath: codingPath)
    }
}

private struct JSONSingleContainer: SingleValueEncodingContainer {
    let output: JSONOutput
    let codingPath: [any CodingKey]

    func encodeNil() { output.writeNull() }
    func encode(_ value: Bool) { output.write(value) }
    func encode(_ value: String) { output.write(value) }
    func encode(_ value: Double) throws { try output.write(value, path: codingPath) }
    func encode(_ value: Float) throws { try output.write(value, path: codingPath) }
    func encode(_ value: Int) { output.write(value) }
    func encode(_ value: Int8) { output.write(value) }
    func encode(_ value: Int16) { output.write(value) }
    func encode(_ value: Int32) { output.write(value) }
    func encode(_ value: Int64) { output.write(value) }
    func encode(_ value: UInt) { output.write(value) }
    func encode(_ value: UInt8) { output.write(value) }
    func encode(_ value: UInt16) { output.write(value) }
    func encode(_ value: UInt32) { output.write(value) }
    func encode(_ value: UInt64) { output.write(value) }
    func encode<T: Encodable>(_ value: T) throws { try output.write(value, path: codingPath) }
}
