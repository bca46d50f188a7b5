/// A signing algorithm: the value of `a=` (RFC 6376 §3.3, RFC 8463 §3).
public enum DKIMAlgorithm: String, Sendable, Hashable, Codable, CaseIterable {
    case rsaSHA256 = "rsa-sha256"
    case ed25519SHA256 = "ed25519-sha256"
    /// Known so that it can be named; nothing is signed with it, and nothing passes by it (RFC 8301 §3.1).
    case rsaSHA1 = "rsa-sha1"

    /// The type of key it needs.
    public var keyType: DKIMKeyType {
        switch self {
        case .rsaSHA256, .rsaSHA1: .rsa
        case .ed25519SHA256: .ed25519
        }
    }
}

/// A type of key: the value of `k=` (RFC 6376 §3.6.1, RFC 8463 §4).
public enum DKIMKeyType: String, Sendable, Hashable, Codable, CaseIterable {
    case rsa
    case ed25519
}

/// How much a header section or a body may change on its way without breaking a signature (RFC 6376 §3.4).
public enum DKIMCanonicalization: String, Sendable, Hashable, Codable, CaseIterable {
    /// Not at all.
    case simple
    /// In its blanks, its folds, and the case of field names.
    case relaxed
}
