extension String {
    /// The text with a backslash before some characters of ASCII (`quoted-pair`, RFC 5322 §3.2.1).
    func escaping(_ needsBackslash: (UInt8) -> Bool) -> String {
        guard utf8.contains(where: needsBackslash) else { return self }
        var octets: [UInt8] = []
        octets.reserveCapacity(utf8.count + 16)
        for octet in utf8 {
            if needsBackslash(octet) { octets.append(UInt8(ascii: "\\")) }
            octets.append(octet)
        }
        return String(decoding: octets, as: UTF8.self)
    }

    /// Octets without line ends; what is no UTF-8 is replaced.
    init(withoutLineEnds octets: Span<UInt8>) {
        // Safe: no more octets are written than there are.
        self = unsafe String(unsafeUninitializedCapacity: octets.count) { room in
            var filled = 0
            for index in octets.indices where octets[index] != 0x0D && octets[index] != 0x0A {
                unsafe room[filled] = octets[index]
                filled += 1
            }
            return filled
        }
    }

    /// Whether there is nothing but letters, digits, blanks and other printable characters of ASCII.
    var isPrintableASCII: Bool {
        let octets = utf8Span.span
        for index in octets.indices where !(0x20...0x7E).contains(octets[index]) { return false }
        return true
    }
}
