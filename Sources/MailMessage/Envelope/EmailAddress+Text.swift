extension EmailAddress: CustomStringConvertible, Codable {
    public var description: String { "\(localPart)@\(domain)" }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let at = text.lastIndex(of: "@") else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an address: \(text)")
        }
        self.init(localPart: String(text[..<at]), domain: String(text[text.index(after: at)...]))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
