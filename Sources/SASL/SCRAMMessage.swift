/// The attributes of a SCRAM message, `name=value` with commas between (RFC 5802 §5.1, §7).
struct SCRAMMessage {
    private let attributes: [(name: Character, value: Substring)]

    init(parsing text: Substring) throws(SASLError) {
        var attributes: [(name: Character, value: Substring)] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let name = part.first, name.isASCII, name.isLetter, part.dropFirst().first == "=" else {
                throw SASLError(.malformed, "an attribute without a name (RFC 5802 §7)")
            }
            attributes.append((name, part.dropFirst(2)))
        }
        // RFC 5802 §5.1: an extension that must be understood, and isn't.
        guard attributes.first?.name != "m" else { throw SASLError(.malformed, "a mandatory extension (RFC 5802 §5.1)") }
        self.attributes = attributes
    }

    /// The attribute that must stand at a place.
    func value(_ name: Character, at index: Int) throws(SASLError) -> Substring {
        guard attributes.indices.contains(index), attributes[index].name == name else {
            throw SASLError(.malformed, "the attribute “\(name)” isn't where it must be (RFC 5802 §7)")
        }
        return attributes[index].value
    }

    /// The last attribute.
    func lastValue(_ name: Character) throws(SASLError) -> Substring { try value(name, at: attributes.count - 1) }

    /// A user's name with `=2C` and `=3D` decoded (RFC 5802 §5.1).
    static func decodeName(_ text: Substring) throws(SASLError) -> String {
        var name = ""
        var rest = text
        while let character = rest.first {
            guard character == "=" else {
                name.append(character)
                rest = rest.dropFirst()
                continue
            }
            switch rest.prefix(3) {
            case "=2C": name.append(",")
            case "=3D": name.append("=")
            default: throw SASLError(.malformed, "an unescaped “=” in a name (RFC 5802 §5.1)")
            }
            rest = rest.dropFirst(3)
        }
        return name
    }

    /// A user's name with comma and equals sign encoded.
    static func encodeName(_ name: String) -> String {
        name.reduce(into: "") { $0 += $1 == "," ? "=2C" : $1 == "=" ? "=3D" : String($1) }
    }
}
