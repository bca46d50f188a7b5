/// A key record: the text at `selector._domainkey.domain` (RFC 6376 §3.6.1, RFC 8463 §4).
public struct DKIMKeyRecord: Sendable, Hashable {
    /// `k=`.
    public var keyType: DKIMKeyType
    /// `p=`, decoded; empty where the key is revoked.
    public var keyData: [UInt8]
    /// `h=`: the hashes that may be used; `nil` for all of them.
    public var hashes: [String]?
    /// `s=`: the services it is for; `*` for all of them.
    public var services: [String]
    /// `t=`.
    public var flags: [String]
    /// `n=`: a note for people.
    public var notes: String?
    /// Every tag, also those that mean nothing here (`g=` among them).
    public var tags: TagList

    /// Whether the key was taken back (`p=` is empty).
    public var isRevoked: Bool { keyData.isEmpty }
    /// `t=y`: the domain is trying DKIM out; a failure must not count against its mail (§3.6.1).
    public var isTesting: Bool { flags.contains("y") }
    /// `t=s`: the domain of `i=` must be that of `d=`, not one below it.
    public var isStrict: Bool { flags.contains("s") }
    /// Whether it is a key for mail.
    public var isForEmail: Bool { services.contains { $0 == "*" || $0 == "email" } }

    /// Whether signatures by SHA-256 may use it.
    public var allowsSHA256: Bool { hashes?.contains("sha256") ?? true }

    /// Reads a record.
    /// - Parameter octets: the record's strings, joined.
    /// - Throws: ``DKIMSyntaxError``.
    public init(parsing octets: some Collection<UInt8>) throws(DKIMSyntaxError) {
        let reader = try DKIMTagReader(octets, section: "RFC 6376 §3.6.1")
        if let version = reader.tags.tag("v") {
            guard version.value == "DKIM1", reader.tags.tags.first?.name == "v" else { throw reader.error(.unsupportedVersion, "v") }
        }
        guard let keyType = DKIMKeyType(rawValue: reader.optional("k") ?? "rsa") else { throw reader.error(.unsupportedAlgorithm, "k") }
        self.keyType = keyType
        let place = try reader.place("p")
        guard let data = DKIMBase64.decode(reader.tags.octets.span.extracting(place.text)) else { throw reader.error(.invalidValue, "p") }
        keyData = data
        hashes = Self.words(reader.optional("h"))
        services = Self.words(reader.optional("s")) ?? ["*"]
        flags = Self.words(reader.optional("t")) ?? []
        notes = reader.tags["n"].map { DKIMSignatureHeader.decodeQuotedPrintable($0) ?? $0 }
        tags = reader.tags
    }

    /// Reads a record that is given as text.
    public init(parsing text: some StringProtocol) throws(DKIMSyntaxError) { try self.init(parsing: Array(text.utf8)) }

    private static func words(_ text: String?) -> [String]? { text?.split(separator: ":").map(String.init) }
}
