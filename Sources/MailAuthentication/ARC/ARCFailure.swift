/// Why a chain fails (RFC 8617 §5.2).
public enum ARCFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// The fields of a set.
    public enum Field: String, Sendable, Hashable, Codable {
        case authenticationResults = "ARC-Authentication-Results"
        case messageSignature = "ARC-Message-Signature"
        case seal = "ARC-Seal"
    }

    /// The header section is larger than what is read of it.
    case headerOverLimits
    /// There are more sets than there may be.
    case tooManySets(limit: Int)
    /// A field can't be read; its number among those of its name, from the top, is told.
    case syntax(Field, number: Int, DKIMSyntaxError)
    /// A set has a field twice.
    case repeatedField(Field, instance: Int)
    /// A set is there, and one of its fields isn't.
    case missingField(Field, instance: Int)
    /// A seal says that the chain was broken before.
    case sealedAsFailed(instance: Int)
    /// A seal says what can't be said at its place: the first one `none`, all others `pass`.
    case wrongChainStatus(ARCResult, instance: Int)
    /// The message isn't what the last one who sealed it signed.
    case messageSignature(instance: Int, DKIMFailure)
    /// A seal isn't right.
    case seal(instance: Int, DKIMFailure)

    public var description: String {
        switch self {
        case .headerOverLimits: "the header section is larger than what is read of it"
        case .tooManySets(let limit): "there are more than \(limit) ARC sets (RFC 8617 §5.2)"
        case .syntax(let field, let number, let error): "\(field.rawValue) number \(number): \(error)"
        case .repeatedField(let field, let instance): "instance \(instance) has more than one \(field.rawValue) (RFC 8617 §5.2)"
        case .missingField(let field, let instance): "instance \(instance) has no \(field.rawValue) (RFC 8617 §5.2)"
        case .sealedAsFailed(let instance): "instance \(instance) says that the chain was broken before it (RFC 8617 §5.2)"
        case .wrongChainStatus(let status, let instance): "instance \(instance) says “cv=\(status.rawValue)”, which can't be (RFC 8617 §5.2)"
        case .messageSignature(let instance, let failure): "the message signature of instance \(instance): \(failure)"
        case .seal(let instance, let failure): "the seal of instance \(instance): \(failure)"
        }
    }

    /// Whether another try might come to another result. RFC 8617 §5.2.1 has the chain fail all the same.
    public var isTemporary: Bool {
        switch self {
        case .messageSignature(_, let failure), .seal(_, let failure): failure.result == .temperror
        default: false
        }
    }
}
