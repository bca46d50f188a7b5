public import MailMessage
import NIOCore

/// One set of a chain.
struct ARCSet: Sendable {
    var resultsPlace: Int
    var results: ARCAuthenticationResults
    var signaturePlace: Int
    var signature: ARCMessageSignatureHeader
    var sealPlace: Int
    var seal: ARCSealHeader
}

/// The chain of a message, read from its header section before its body comes in (RFC 8617 §5.2, steps 1 to 3).
public struct ARCExamination: Sendable {
    /// The most sets (RFC 8617 §4.2.1).
    public static let instanceLimit = 50

    /// What was seen.
    enum Structure: Sendable {
        case none
        /// The sets from instance 1 on.
        case sets([ARCSet])
        case failure(ARCFailure)
    }

    let fields: DKIMFieldIndex
    let structure: Structure
    /// The highest instance that any field names; 0 where none does.
    public let highestInstance: Int
    /// Whether the seal of the highest instance says `cv=fail`: nobody seals such a message again (RFC 8617 §5.1).
    public let isSealedAsFailed: Bool

    /// What the chain needs to know of the body.
    public let bodyRequirements: Set<DKIMBodyRequirement>

    /// Reads the chain of a header section.
    public init(_ header: HeaderSection) { self.init(DKIMFieldIndex(header)) }

    init(_ fields: DKIMFieldIndex) {
        self.fields = fields
        var collector = Collector(fields)
        structure = collector.collect()
        highestInstance = collector.highestInstance
        isSealedAsFailed = collector.seals[collector.highestInstance]?.value.chainStatus == .fail
        if case .sets(let sets) = structure {
            bodyRequirements = Set(sets.flatMap(\.signature.readings).map(\.bodyRequirement))
        } else {
            bodyRequirements = []
        }
    }

    /// Whether there is no chain: `arc=none`.
    public var isEmpty: Bool { if case .none = structure { true } else { false } }
}

extension ARCExamination {
    /// Puts the fields into sets.
    private struct Collector {
        let fields: DKIMFieldIndex
        var highestInstance = 0
        var seals: [Int: (place: Int, value: ARCSealHeader)] = [:]
        var signatures: [Int: (place: Int, value: ARCMessageSignatureHeader)] = [:]
        var results: [Int: (place: Int, value: ARCAuthenticationResults)] = [:]
        private var failure: ARCFailure?

        init(_ fields: DKIMFieldIndex) { self.fields = fields }

        mutating func collect() -> Structure {
            guard !fields.isTruncated else { return .failure(.headerOverLimits) }
            let counts = ["arc-seal", "arc-message-signature", "arc-authentication-results"].map { fields[$0].count }
            guard counts.contains(where: { $0 > 0 }) else { return .none }
            guard counts.allSatisfy({ $0 <= ARCExamination.instanceLimit }) else { return .failure(.tooManySets(limit: ARCExamination.instanceLimit)) }
            seals = read(.seal, "arc-seal", \.instance) { octets throws(DKIMSyntaxError) in try ARCSealHeader(parsing: octets) }
            signatures = read(.messageSignature, "arc-message-signature", \.instance) { octets throws(DKIMSyntaxError) in
                try ARCMessageSignatureHeader(parsing: octets)
            }
            results = read(.authenticationResults, "arc-authentication-results", \.instance) { octets throws(DKIMSyntaxError) in
                try ARCAuthenticationResults(parsing: octets)
            }
            // Step 2 comes before the structure: what was broken before needs no other reason.
            if seals[highestInstance]?.value.chainStatus == .fail { return .failure(.sealedAsFailed(instance: highestInstance)) }
            if let failure { return .failure(failure) }
            do throws(ARCFailure) { return .sets(try sets()) } catch { return .failure(error) }
        }

        private mutating func read<Value>(
            _ field: ARCFailure.Field, _ name: String, _ instance: (Value) -> Int, _ parse: ([UInt8]) throws(DKIMSyntaxError) -> Value
        ) -> [Int: (place: Int, value: Value)] {
            var found: [Int: (place: Int, value: Value)] = [:]
            for (number, place) in fields[name].enumerated() {
                do throws(DKIMSyntaxError) {
                    let value = try parse(Array(fields.header[place].rawValue.readableBytesView))
                    let key = instance(value)
                    highestInstance = max(highestInstance, key)
                    if found[key] != nil { failure = failure ?? .repeatedField(field, instance: key) }
                    found[key] = (place, value)
                } catch { failure = failure ?? .syntax(field, number: number + 1, error) }
            }
            return found
        }

        private func sets() throws(ARCFailure) -> [ARCSet] {
            var sets: [ARCSet] = []
            for instance in 1...max(1, highestInstance) {
                guard let result = results[instance] else { throw .missingField(.authenticationResults, instance: instance) }
                guard let signature = signatures[instance] else { throw .missingField(.messageSignature, instance: instance) }
                guard let seal = seals[instance] else { throw .missingField(.seal, instance: instance) }
                guard seal.value.chainStatus == (instance == 1 ? .none : .pass) else {
                    throw .wrongChainStatus(seal.value.chainStatus, instance: instance)
                }
                sets.append(
                    ARCSet(
                        resultsPlace: result.place, results: result.value, signaturePlace: signature.place, signature: signature.value,
                        sealPlace: seal.place, seal: seal.value))
            }
            return sets
        }
    }
}
