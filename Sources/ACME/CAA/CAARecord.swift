/// One property of a CAA record set (RFC 8659 §4.1).
public struct CAARecord: Hashable, Sendable, Codable {
    /// Whether an authority that doesn't know the tag may issue nothing.
    public var isCritical: Bool
    /// What it is about, in lower case: `issue`, `issuewild`, `iodef`, …
    public var tag: String
    /// What it says, as it stands in the record.
    public var value: [UInt8]

    /// Puts a property together.
    public init(isCritical: Bool = false, tag: String, value: [UInt8]) {
        self.isCritical = isCritical
        self.tag = tag
        self.value = value
    }

    /// Reads a record's data; `nil` for what has another form (RFC 8659 §4.1).
    public init?(octets: [UInt8]) {
        guard octets.count >= 2 else { return nil }
        let length = Int(octets[1])
        let tag = octets.dropFirst(2).prefix(length)
        guard length > 0, tag.count == length, tag.allSatisfy(Self.isAlphanumeric) else { return nil }
        isCritical = octets[0] & 0x80 != 0
        self.tag = String(decoding: tag, as: UTF8.self).lowercased()
        value = Array(octets.dropFirst(2 + length))
    }

    static func isAlphanumeric(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }
}

/// The value of `issue` and `issuewild`: an authority, or none, with parameters (RFC 8659 §4.2).
public struct CAAIssuer: Hashable, Sendable, Codable {
    /// The authority's name in lower case; empty for nobody.
    public var domain: String
    /// The parameters in their order; names in lower case.
    public var parameters: [Parameter]

    /// One parameter.
    public struct Parameter: Hashable, Sendable, Codable {
        /// The name, in lower case.
        public var name: String
        /// The value.
        public var value: String
    }

    /// Reads a value; `nil` for what has another form, which allows nobody (RFC 8659 §4.2).
    public init?(_ octets: [UInt8]) {
        guard octets.count <= 2048, octets.allSatisfy({ $0 == 0x09 || (0x20...0x7E).contains($0) }) else { return nil }
        let parts = String(decoding: octets, as: UTF8.self).split(separator: ";", omittingEmptySubsequences: false)
        domain = (parts.first ?? "").trimmed.lowercased()
        guard domain.isEmpty || Self.isDomain(domain) else { return nil }
        parameters = []
        let texts = parts.dropFirst().map(\.trimmed)
        // A semicolon at the end has nothing behind it; anywhere else, nothing is a mistake.
        for (index, text) in texts.enumerated() {
            if text.isEmpty, texts.count == 1 { continue }
            guard let equals = text.firstIndex(of: "=") else {
                guard text.isEmpty, index == texts.count - 1 else { return nil }
                continue
            }
            let name = text[..<equals].trimmed.lowercased()
            let value = text[text.index(after: equals)...].trimmed
            guard !name.isEmpty, name.utf8.allSatisfy(CAARecord.isAlphanumeric), !value.utf8.contains(where: { $0 <= 0x20 }) else { return nil }
            parameters.append(Parameter(name: name, value: value))
        }
    }

    private static func isDomain(_ text: String) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            !label.isEmpty && !label.hasPrefix("-") && !label.hasSuffix("-")
                && label.utf8.allSatisfy { CAARecord.isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
        }
    }

    func values(_ name: String) -> [String] { parameters.filter { $0.name == name }.map(\.value) }
}
