/// The identity of a message's journey, the same on every host that the message passes: 128 random bits, written as 32
/// hexadecimal digits in lower case. It is handed on by authenticated peers only.
public struct TraceID: Hashable, Sendable, Codable, CustomStringConvertible, LosslessStringConvertible {
    private let high: UInt64
    private let low: UInt64

    /// A new identity from the given source of randomness.
    public init(using generator: inout some RandomNumberGenerator) {
        high = generator.next()
        low = generator.next()
    }

    /// A new identity from the system's source of randomness.
    public static func random() -> TraceID {
        var generator = SystemRandomNumberGenerator()
        return TraceID(using: &generator)
    }

    /// Reads 32 hexadecimal digits; `nil` for anything else.
    public init?(_ description: String) {
        let digits = Array(description.utf8)
        guard digits.count == 32 else { return nil }
        func half(_ part: ArraySlice<UInt8>) -> UInt64? {
            var value: UInt64 = 0
            for digit in part {
                switch digit {
                case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
                case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
                default: return nil
                }
            }
            return value
        }
        guard let high = half(digits[..<16]), let low = half(digits[16...]) else { return nil }
        self.high = high
        self.low = low
    }

    public var description: String {
        unsafe String(unsafeUninitializedCapacity: 32) { target in
            for place in 0..<32 {
                let half = place < 16 ? high : low
                // Safe: 32 places, as many as there is room for.
                unsafe target[place] = HexDigits.lowercase(UInt8(truncatingIfNeeded: half >> UInt64(60 - 4 * (place & 15))) & 15)
            }
            return 32
        }
    }

    /// The 16 octets of the identity.
    public var octets: [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: 16) { target, count in
            for place in 0..<16 {
                let half = place < 8 ? high : low
                // Safe: 16 places, as many as there is room for.
                unsafe target[place] = UInt8(truncatingIfNeeded: half >> (56 - 8 * UInt64(place & 7)))
            }
            count = 16
        }
    }

    /// Takes 16 octets; `nil` for another number of them.
    public init?(octets: [UInt8]) {
        guard octets.count == 16 else { return nil }
        high = octets[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = octets[8...].reduce(0) { $0 << 8 | UInt64($1) }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let identity = TraceID(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "a trace identity has 32 hexadecimal digits")
        }
        self = identity
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
