/// Octets as hexadecimal digits in lower case.
package enum HexDigits {
    /// The digit of a number below 16.
    package static func lowercase(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + (value & 15) - 10
    }

    /// Two digits for each octet.
    package static func text(_ octets: [UInt8]) -> String {
        let count = octets.count * 2
        return unsafe String(unsafeUninitializedCapacity: count) { target in
            var place = 0
            for octet in octets where place + 1 < count {
                // Safe: the place is below the capacity.
                unsafe target[place] = lowercase(octet >> 4)
                unsafe target[place + 1] = lowercase(octet & 15)
                place += 2
            }
            return place
        }
    }
}
