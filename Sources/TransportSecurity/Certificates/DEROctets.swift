/// Walks over DER one element at a time (X.690 §8.1) without judging what is inside: a digest needs the octets as they were sent, also of a
/// certificate that nobody here could use.
struct DEROctets {
    /// One element.
    struct Element {
        var tag: UInt8
        /// The element with its tag and length.
        var whole: ArraySlice<UInt8>
        var content: ArraySlice<UInt8>
    }

    private(set) var rest: ArraySlice<UInt8>

    init(_ octets: ArraySlice<UInt8>) { rest = octets }

    /// The next element; `nil` at the end, and for what isn't one: tags of several octets, lengths without an end or beyond the end.
    mutating func next() -> Element? {
        let start = rest.startIndex
        guard rest.count >= 2, rest[start] & 0x1F != 0x1F else { return nil }
        var length = Int(rest[start + 1])
        var position = start + 2
        if length >= 0x80 {
            let count = length & 0x7F
            guard (1...4).contains(count), rest.endIndex - position >= count else { return nil }
            length = rest[position..<position + count].reduce(0) { $0 << 8 | Int($1) }
            position += count
        }
        guard length <= rest.endIndex - position else { return nil }
        let end = position + length
        defer { rest = rest[end...] }
        return Element(tag: rest[start], whole: rest[start..<end], content: rest[position..<end])
    }

    /// As ``next()``, where it has this tag.
    mutating func next(_ tag: UInt8) -> Element? {
        guard rest.first == tag else { return nil }
        return next()
    }

    static let sequence: UInt8 = 0x30
    static let integer: UInt8 = 0x02
    static let bitString: UInt8 = 0x03
}

extension DEROctets {
    /// The public key's octets within a certificate (RFC 5280 §4.1); `nil` where the octets are no certificate, or not one alone.
    static func subjectPublicKeyInfo(inCertificate octets: [UInt8]) -> ArraySlice<UInt8>? {
        var outer = DEROctets(octets[...])
        guard let certificate = outer.next(sequence), outer.rest.isEmpty else { return nil }
        var parts = DEROctets(certificate.content)
        guard let signed = parts.next(sequence), parts.next(sequence) != nil, parts.next(bitString) != nil, parts.rest.isEmpty else { return nil }
        var fields = DEROctets(signed.content)
        // The version of a first version's certificate isn't written.
        _ = fields.next(0xA0)
        guard fields.next(integer) != nil else { return nil }
        // Signature algorithm, issuer, validity, subject.
        for _ in 0..<4 { guard fields.next(sequence) != nil else { return nil } }
        guard let key = fields.next(sequence), isSubjectPublicKeyInfo(key.whole) else { return nil }
        return key.whole
    }

    /// Whether the octets are an algorithm with a key, and nothing else (RFC 5280 §4.1).
    static func isSubjectPublicKeyInfo(_ octets: ArraySlice<UInt8>) -> Bool {
        var outer = DEROctets(octets)
        guard let key = outer.next(sequence), outer.rest.isEmpty else { return false }
        var parts = DEROctets(key.content)
        return parts.next(sequence) != nil && parts.next(bitString) != nil && parts.rest.isEmpty
    }
}
