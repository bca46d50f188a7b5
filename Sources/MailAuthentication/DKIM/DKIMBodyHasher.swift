public import NIOCore

/// What a signature needs to know of the body: one hash.
public struct DKIMBodyRequirement: Sendable, Hashable {
    /// How the body is brought into its canonical form (RFC 6376 §3.4.3, §3.4.4).
    public var canonicalization: DKIMCanonicalization
    /// How many octets of the canonical form are hashed (`l=`); `nil` for all of them.
    public var length: UInt64?

    /// Names a hash.
    public init(_ canonicalization: DKIMCanonicalization, length: UInt64? = nil) {
        self.canonicalization = canonicalization
        self.length = length
    }
}

/// The hash of a body, or of its beginning.
public struct DKIMBodyDigest: Sendable, Hashable {
    /// The SHA-256 of the hashed octets; 32 octets.
    public var sha256: [UInt8]
    /// The octets of the body's canonical form.
    public var canonicalOctets: UInt64
    /// The octets of it that were hashed.
    public var hashedOctets: UInt64
    /// The octets of it that nobody vouches for.
    public var unsignedOctets: UInt64 { canonicalOctets - hashedOctets }
}

/// The hashes of one body.
public struct DKIMBodyDigests: Sendable {
    private let digests: [(requirement: DKIMBodyRequirement, digest: DKIMBodyDigest)]

    init(_ digests: [(requirement: DKIMBodyRequirement, digest: DKIMBodyDigest)]) { self.digests = digests }

    /// The hash that was asked for; `nil` where it wasn't.
    public subscript(requirement: DKIMBodyRequirement) -> DKIMBodyDigest? {
        // A handful at most: a search is cheaper than a table.
        digests.first { $0.requirement == requirement }?.digest
    }
}

/// Hashes a body for any number of signatures while it comes in, in one pass for each canonicalization and without keeping it.
///
/// Signatures with different `l=` share a pass: the state of the hash is noted where each of them ends. A line that ends in LF
/// without CR is taken as if the CR were there, as RFC 6376 §5.3 has it done before signing: a message that was kept in a file with
/// the system's line ends verifies as it was sent. A CR without LF is an octet as any other.
public struct DKIMBodyHasher: Sendable {
    private var simple: DKIMBodyPass?
    private var relaxed: DKIMBodyPass?

    /// A hasher for what the signatures need.
    public init(_ requirements: some Sequence<DKIMBodyRequirement>) {
        for requirement in requirements {
            switch requirement.canonicalization {
            case .simple: Self.require(requirement, of: &simple)
            case .relaxed: Self.require(requirement, of: &relaxed)
            }
        }
    }

    private static func require(_ requirement: DKIMBodyRequirement, of pass: inout DKIMBodyPass?) {
        if pass == nil { pass = DKIMBodyPass(requirement.canonicalization) }
        pass?.require(requirement.length)
    }

    /// Takes the next octets of the body.
    public mutating func update(_ octets: ByteBuffer) {
        // Safe: the octets are read while they are borrowed.
        unsafe octets.withUnsafeReadableBytes { memory in
            unsafe simple?.update(memory)
            unsafe relaxed?.update(memory)
        }
    }

    /// Ends the body.
    ///
    /// Deliberate: this isn't consuming, as the caller's variable would keep a copy, and the octets and the hash's state be copied.
    public mutating func finish() -> DKIMBodyDigests {
        var digests: [(requirement: DKIMBodyRequirement, digest: DKIMBodyDigest)] = []
        simple?.finish { digests.append(($0, $1)) }
        relaxed?.finish { digests.append(($0, $1)) }
        return DKIMBodyDigests(digests)
    }
}
