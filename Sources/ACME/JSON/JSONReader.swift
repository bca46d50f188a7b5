/// Reads JSON in one pass: UTF-8 only, no comments, no trailing commas, no second value, limited depth and number of values.
struct JSONReader {
    /// Arrays and objects within each other: ACME's have four.
    static let depthLimit = 16
    static let valueLimit = 20_000

    private let octets: [UInt8]
    private var offset = 0
    private var valueCount = 0

    /// Reads a whole text.
    static func value(_ octets: [UInt8]) throws(ACMEError) -> JSONValue {
        var reader = JSONReader(octets)
        let value = try reader.value(depth: 0)
        reader.skipBlanks()
        guard reader.offset == octets.count else { throw reader.fault("something behind the value") }
        return value
    }

    private init(_ octets: [UInt8]) { self.octets = octets }

    private func fault(_ what: String) -> ACMEError { ACMEError(.protocolViolation, "no JSON: \(what) at octet \(offset) (RFC 8259)") }

    private var next: UInt8? { offset < octets.count ? octets[offset] : nil }

    private mutating func skipBlanks() {
        while let octet = next, octet == 0x20 || octet == 0x0A || octet == 0x0D || octet == 0x09 { offset += 1 }
    }

    private mutating func take(_ octet: UInt8) -> Bool {
        guard next == octet else { return false }
        offset += 1
        return true
    }

    private mutating func value(depth: Int) throws(ACMEError) -> JSONValue {
        valueCount += 1
        guard depth <= Self.depthLimit, valueCount <= Self.valueLimit else {
            throw ACMEError(.limitExceeded, "JSON that is nested or long beyond all need, at octet \(offset)")
        }
        skipBlanks()
        guard let octet = next else { throw fault("no value") }
        switch octet {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw fault("no value")
        }
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(ACMEError) -> JSONValue {
        for octet in word.utf8 { guard take(octet) else { throw fault("no value") } }
        return value
    }

    private mutating func digits() -> Int {
        let start = offset
        while let octet = next, (0x30...0x39).contains(octet) { offset += 1 }
        return offset - start
    }

    private mutating func number() throws(ACMEError) -> JSONValue {
        let start = offset
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { guard digits() > 0 else { throw fault("no number") } }
        if take(UInt8(ascii: ".")) { guard digits() > 0 else { throw fault("no number") } }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            guard digits() > 0 else { throw fault("no number") }
        }
        guard offset - start <= 64 else { throw fault("a number of \(offset - start) digits") }
        return .number(String(decoding: octets[start..<offset], as: UTF8.self))
    }

    private mutating func array(depth: Int) throws(ACMEError) -> JSONValue {
        offset += 1
        var values: [JSONValue] = []
        skipBlanks()
        if take(UInt8(ascii: "]")) { return .array(values) }
        while true {
            values.append(try value(depth: depth + 1))
            skipBlanks()
            if take(UInt8(ascii: "]")) { return .array(values) }
            guard take(UInt8(ascii: ",")) else { throw fault("neither a comma nor the array's end") }
        }
    }

    private mutating func object(depth: Int) throws(ACMEError) -> JSONValue {
        offset += 1
        var members: [String: JSONValue] = [:]
        skipBlanks()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipBlanks()
            guard next == UInt8(ascii: "\"") else { throw fault("no member's name") }
            let name = try string()
            skipBlanks()
            guard take(UInt8(ascii: ":")) else { throw fault("no colon") }
            let value = try value(depth: depth + 1)
            guard members.updateValue(value, forKey: name) == nil else { throw fault("a second member of the same name") }
            skipBlanks()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw fault("neither a comma nor the object's end") }
        }
    }

    private mutating func string() throws(ACMEError) -> String {
        offset += 1
        var text: [UInt8] = []
        while true {
            guard let octet = next else { throw fault("a string without an end") }
            offset += 1
            switch octet {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else { throw fault("a string that is no UTF-8") }
                return string
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw fault("a control character in a string")
            default: text.append(octet)
            }
        }
    }

    private mutating func escape(into text: inout [UInt8]) throws(ACMEError) {
        guard let octet = next else { throw fault("a string without an end") }
        offset += 1
        switch octet {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(octet)
        case UInt8(ascii: "b"): text.append(8)
        case UInt8(ascii: "f"): text.append(12)
        case UInt8(ascii: "n"): text.append(10)
        case UInt8(ascii: "r"): text.append(13)
        case UInt8(ascii: "t"): text.append(9)
        case UInt8(ascii: "u"):
            var scalar = UInt32(try codeUnit())
            if (0xD800...0xDBFF).contains(scalar) {
                guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw fault("half a surrogate pair") }
                let low = UInt32(try codeUnit())
                guard (0xDC00...0xDFFF).contains(low) else { throw fault("half a surrogate pair") }
                scalar = 0x1_0000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(scalar) else { throw fault("half a surrogate pair") }
            text += UTF8.encode(scalar).map(Array.init) ?? []
        default: throw fault("an unknown escape")
        }
    }

    private mutating func codeUnit() throws(ACMEError) -> UInt16 {
        guard octets.count - offset >= 4 else { throw fault("a string without an end") }
        var unit: UInt16 = 0
        for _ in 0..<4 {
            let octet = octets[offset]
            let digit: UInt8
            switch octet {
            case 0x30...0x39: digit = octet - 0x30
            case 0x41...0x46: digit = octet - 0x41 + 10
            case 0x61...0x66: digit = octet - 0x61 + 10
            default: throw fault("no hexadecimal digit")
            }
            unit = unit << 4 | UInt16(digit)
            offset += 1
        }
        return unit
    }
}
