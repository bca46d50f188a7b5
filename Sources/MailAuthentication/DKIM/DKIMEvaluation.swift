public import DNS

/// A name in `h=`.
public struct DKIMSignedField: Sendable, Hashable, Codable {
    /// The name in lower case.
    public var name: String
    /// How many fields of this name are signed; 0 where only their absence is.
    public var signedCount: Int
    /// How many fields of this name the message has beyond those.
    public var unsignedCount: Int
}

/// What a signature that passes doesn't protect from.
public enum DKIMRisk: Sendable, Hashable, CustomStringConvertible {
    /// Octets behind the signed ones, which anybody may have added (RFC 6376 §8.2).
    case unsignedBody(octets: UInt64)
    /// A field that people see, or that says how the body is shown, is there and not signed (RFC 6376 §5.4.1).
    case unsignedField(String)
    /// More fields of a name than are signed: which of them is shown is up to the mail program (RFC 6376 §8.15).
    case addedField(String)
    /// An RSA key below 2048 bits (RFC 8301 §3.2).
    case smallKey(bits: Int)

    public var description: String {
        switch self {
        case .unsignedBody(let octets): "\(octets) octets at the end of the body are unsigned (RFC 6376 §8.2)"
        case .unsignedField(let name): "\(name) isn't signed (RFC 6376 §5.4.1)"
        case .addedField(let name): "there are more fields \(name) than were signed (RFC 6376 §8.15)"
        case .smallKey(let bits): "the key has \(bits) bits only (RFC 8301 §3.2)"
        }
    }
}

/// What came of one signature, and why: evidence for logs, reports and later questions.
public struct DKIMEvaluation: Sendable {
    /// The word of RFC 8601 §2.7.1.
    public internal(set) var result: DKIMResult
    /// Why it doesn't pass; `nil` where it does.
    public internal(set) var failure: DKIMFailure?
    /// The place of the field among the header's.
    public internal(set) var fieldIndex: Int
    /// The octets of the field, from the beginning of the message.
    public internal(set) var fieldRange: Range<Int>
    /// What the field says; `nil` where it can't be read.
    public var signature: DKIMSignatureHeader? { sharedSignature?.value }
    var sharedSignature: DKIMShared<DKIMSignatureHeader>?
    /// What was found where the key should be; `nil` where nobody looked.
    public internal(set) var key: DKIMKeyAnswer?
    /// The key record that was used.
    public var keyRecord: DKIMKeyRecord? { keyRecordPlace.flatMap { place in key.flatMap { try? $0.candidates[place].record.get() } } }
    /// Which of the records at the key's name was used.
    var keyRecordPlace: Int?
    /// The size of the key that was used.
    public internal(set) var keyBits: Int?
    /// The names of `h=`, each once.
    public var signedFields: [DKIMSignedField] { selection?.fields ?? [] }
    /// What `h=` selects; `nil` where nobody looked.
    var selection: DKIMFieldSelection?
    /// The hash of the body as it is; `nil` where it wasn't needed.
    public internal(set) var bodyDigest: DKIMBodyDigest?
    /// Whether the body is what was signed.
    public internal(set) var bodyMatches: Bool?
    /// Whether the header fields are what was signed: where they are and the body isn't, somebody changed the body on the way.
    public internal(set) var headerMatches: Bool?
    /// What the signature doesn't protect from; empty unless it passes.
    public internal(set) var risks: [DKIMRisk] = []

    init(fieldIndex: Int, fieldRange: Range<Int>) {
        result = .neutral
        self.fieldIndex = fieldIndex
        self.fieldRange = fieldRange
    }

    /// The result in words.
    public var reason: String {
        if let failure { return "\(failure)" }
        let size = keyBits.map { " (\($0)-bit key)" } ?? ""
        return "the signature of \(domain?.ascii ?? "")\(size) is right"
    }

    /// `d=`.
    public var domain: DomainName? { sharedSignature?.value.domain }
    /// `s=`.
    public var selector: DomainName? { sharedSignature?.value.selector }
    /// `i=`, or `@` and the domain where it is absent (RFC 6376 §3.5).
    public var identity: String? { signature.map { $0.identity ?? "@\($0.domain.ascii)" } }
    /// The question for the key and its answer.
    public var keyLookup: DNSLookup? { key?.lookup }
    /// `t=y` of the key: the domain is trying DKIM out (RFC 6376 §3.6.1).
    public var isTesting: Bool { keyRecord?.isTesting ?? false }
    /// Octets of the body that the signature leaves to anybody.
    public var unsignedOctets: UInt64 { bodyDigest?.unsignedOctets ?? 0 }
    /// Whether it passes and still doesn't protect from something.
    public var isRisky: Bool { !risks.isEmpty }

    mutating func fail(_ failure: DKIMFailure) {
        self.failure = failure
        result = failure.result
    }
}
