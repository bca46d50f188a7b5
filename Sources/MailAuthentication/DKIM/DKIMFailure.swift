public import DNS

/// Why a signature doesn't pass.
public enum DKIMFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// The step at which it ended, in the order of RFC 6376 §6.1.
    public enum Phase: String, Sendable, Hashable, Codable { case header, signature, key, body, verification, policy }

    /// There are more signatures than are looked at.
    case tooManySignatures(limit: Int)
    /// The header section is larger than what is read of it.
    case headerOverLimits
    /// The field can't be used.
    case syntax(DKIMSyntaxError)
    /// `a=` is an algorithm that mustn't be used any more (RFC 8301 §3.1).
    case forbiddenAlgorithm(DKIMAlgorithm)
    /// `x=` is past.
    case expired(UInt64)
    /// `t=` is yet to come.
    case inTheFuture(UInt64)
    /// `s=` and `d=` together are no domain name.
    case invalidKeyName
    /// The DNS gives no answer.
    case lookup(DNSError)
    /// There is no key.
    case noKey(DomainName)
    /// The key record can't be used.
    case keyRecord(DKIMSyntaxError)
    /// The key can't be used.
    case key(DKIMKeyError)
    /// The key is of another type than the algorithm's.
    case keyOfOtherType(DKIMKeyType)
    /// `h=` of the key record doesn't allow SHA-256.
    case hashNotAllowed
    /// `s=` of the key record doesn't allow mail.
    case keyNotForEmail
    /// `t=s` of the key record forbids the domain of `i=`.
    case identityIsSubdomain
    /// `l=` is more than there is (RFC 6376 §3.5).
    case bodyShorterThanSigned
    /// The body isn't what was signed.
    case bodyHash
    /// The header isn't what was signed, or the key isn't what it was signed with.
    case signature
    /// Octets of the body are unsigned, and the limits don't allow that.
    case unsignedBody(UInt64)

    /// The step at which it ended.
    public var phase: Phase {
        switch self {
        case .tooManySignatures, .headerOverLimits: .header
        case .syntax, .forbiddenAlgorithm, .expired, .inTheFuture: .signature
        case .invalidKeyName, .lookup, .noKey, .keyRecord, .key, .keyOfOtherType, .hashNotAllowed, .keyNotForEmail, .identityIsSubdomain: .key
        case .bodyShorterThanSigned, .bodyHash: .body
        case .signature: .verification
        case .unsignedBody: .policy
        }
    }

    /// The word of RFC 8601 §2.7.1.
    public var result: DKIMResult {
        switch self {
        case .tooManySignatures, .headerOverLimits, .unsignedBody: .policy
        case .syntax(let error): error.result
        case .lookup(let error): error.code == .invalidQuestion ? .permerror : .temperror
        case .expired, .inTheFuture, .bodyHash, .signature: .fail
        case .forbiddenAlgorithm, .invalidKeyName, .noKey, .keyRecord, .key, .keyOfOtherType, .hashNotAllowed, .keyNotForEmail,
            .identityIsSubdomain, .bodyShorterThanSigned:
            .permerror
        }
    }

    public var description: String {
        switch self {
        case .tooManySignatures(let limit): "only the first \(limit) signatures are looked at (RFC 6376 §6.1)"
        case .headerOverLimits: "the header section is larger than what is read of it"
        case .syntax(let error): "the signature: \(error)"
        case .forbiddenAlgorithm(let algorithm): "\(algorithm.rawValue) must not be used any more (RFC 8301 §3.1)"
        case .expired(let time): "the signature expired at \(time) (RFC 6376 §3.5)"
        case .inTheFuture(let time): "the signature was made at \(time), which is yet to come (RFC 6376 §3.5)"
        case .invalidKeyName: "“s=” and “d=” together are no domain name (RFC 6376 §3.6.2.1)"
        case .lookup(let error): "the key can't be looked up: \(error) (RFC 6376 §6.1.2)"
        case .noKey(let name): "there is no key at \(name) (RFC 6376 §6.1.2)"
        case .keyRecord(let error): "the key record: \(error)"
        case .key(let error): "\(error)"
        case .keyOfOtherType(let type): "the key is of the type \(type.rawValue), which isn't the algorithm's (RFC 6376 §6.1.2)"
        case .hashNotAllowed: "the key record doesn't allow SHA-256 (RFC 6376 §6.1.2)"
        case .keyNotForEmail: "the key isn't for mail (RFC 6376 §3.6.1)"
        case .identityIsSubdomain: "the key forbids “i=” below “d=” (RFC 6376 §3.6.1)"
        case .bodyShorterThanSigned: "“l=” is more than the body has (RFC 6376 §3.5)"
        case .bodyHash: "the body isn't what was signed (RFC 6376 §6.1.3)"
        case .signature: "the signature doesn't fit the header fields and the key (RFC 6376 §6.1.3)"
        case .unsignedBody(let octets): "\(octets) octets of the body are unsigned (RFC 6376 §8.2)"
        }
    }
}
