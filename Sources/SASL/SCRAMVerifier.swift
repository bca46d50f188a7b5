/// What a server keeps of a password: enough to verify it, not enough to log in elsewhere (RFC 5802 §2.2, RFC 7677).
/// Text form (RFC 5803 §2, with ":" and "$" as PostgreSQL writes it): `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
public struct SCRAMVerifier: Hashable, Sendable {
    public let salt: [UInt8]
    public let iterations: Int
    public let storedKey: [UInt8]
    public let serverKey: [UInt8]

    public init(salt: [UInt8], iterations: Int, storedKey: [UInt8], serverKey: [UInt8]) {
        self.salt = salt
        self.iterations = iterations
        self.storedKey = storedKey
        self.serverKey = serverKey
    }
}
