/// The attributes of a SCRAM message, `name=value` with commas between (RFC 5802 §5.1, §7).
///
/// Commas and equals signs are looked for among the octets: to `Character`, a comma with a combining mark behind it is none.
struct SCRAMMessage {
    private let attributes: [(name: UInt8, value: String)]

    init(parsing text: some StringProtocol) throws(SASLError) {
        var attributes: [(name: UInt8, value: String)] = []
        for part in Array(text.utf8).split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            guard let name = part.first, Self.isLetter(name), part.dropFirst().first == UInt8(ascii: "=") else {
                throw SASLError(.malformed, "an attribute without a name (RFC 5802 §7)")
            }
            attributes.append((name, String(decoding: part.dropFirst(2), as: UTF8.self)))
        }
        // RFC 5802 §5.1: an extension that must be understood, and isn't.
        guard attributes.first?.name != UInt8(ascii: "m") else { throw SASLError(.malformed, "a mandatory extension (RFC 5802 §5.1)") }
        self.attributes = attributes
    }

    private static func isLetter(_ octet: UInt8) -> Bool { (0x41...0x5A).contains(octet & 0xDF) }

    /// The attribute that must stand at a place.
    func value(_ name: Unicode.Scalar, at index: Int) throws(SASLError) -> String {
        guard attributes.indices.contains(index), UInt32(attributes[index].name) == name.value else {
            throw SASLError(.malformed, "the attribute “\(name)” isn't where it must be (RFC 5802 §7)")
        }
        return attributes[index].value
    }

    /// The last attribute.
    func lastValue(_ name: Unicode.Scalar) throws(SASLError) -> String { try value(name, at: attributes.count - 1) }

    /// A user's name with `=2C` and `=3D` decoded (RFC 5802 §5.1).
    static func decodeName(_ text: some StringProtocol) throws(SASLError) -> String {
        var name: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let octet = rest.popFirst() {
            guard octet == UInt8(ascii: "=") else {
                name.append(octet)
                continue
            }
            switch String(decoding: rest.prefix(2), as: UTF8.self) {
            case "2C": name.append(UInt8(ascii: ","))
            case "3D": name.append(UInt8(ascii: "="))
            default: throw SASLError(.malformed, "an unescaped “=” in a name (RFC 5802 §5.1)")
            }
            rest = rest.dropFirst(2)
        }
        return String(decoding: name, as: UTF8.self)
    }

    /// A user's name with comma and equals sign encoded.
    static func encodeName(_ name: String) -> String {
        var encoded = String.UnicodeScalarView()
        for scalar in name.unicodeScalars {
            switch scalar {
            case ",": encoded += "=2C".unicodeScalars
            case "=": encoded += "=3D".unicodeScalars
            default: encoded.append(scalar)
            }
        }
        return String(encoded)
    }

    /// Whether a text can be a nonce: printable ASCII without a comma (RFC 5802 §7), of a length that has a use.
    static func isNonce(_ text: String) -> Bool {
        (1...1024).contains(text.utf8.count) && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ",") }
    }
}
