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
        isSealedAsFailed = collector.isSealedAsFailed
        if case .sets(let sets) = structure {
            var requirements: Set<DKIMBodyRequirement> = []
            for set in sets {
                requirements.insert(set.signature.signature.bodyRequirement)
                if set.signature.hasTwoReadings { requirements.insert(DKIMBodyRequirement(.relaxed, length: set.signature.signature.bodyLength)) }
            }
            bodyRequirements = requirements
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
        /// A field that could be read, and where it is. There are so few that they are searched one by one.
        struct Found<Value> {
            var instance: Int
            var place: Int
            var value: Value
        }

        let fields: DKIMFieldIndex
        var highestInstance = 0
        private var seals: [Found<ARCSealHeader>] = []
        private var signatures: [Found<ARCMessageSignatureHeader>] = []
        private var results: [Found<ARCAuthenticationResults>] = []
        private var failure: ARCFailure?

        init(_ fields: DKIMFieldIndex) { self.fields = fields }

        mutating func collect() -> Structure {
            guard !fields.isTruncated else { return .failure(.headerOverLimits) }
            let (sealPlaces, signaturePlaces, resultsPlaces) = (
                fields["arc-seal"], fields["arc-message-signature"], fields["arc-authentication-results"]
            )
            let most = max(sealPlaces.count, signaturePlaces.count, resultsPlaces.count)
            guard most > 0 else { return .none }
            guard most <= ARCExamination.instanceLimit else { return .failure(.tooManySets(limit: ARCExamination.instanceLimit)) }
            seals = read(.seal, sealPlaces, \.instance) { octets throws(DKIMSyntaxError) in try ARCSealHeader(parsing: octets) }
            signatures = read(.messageSignature, signaturePlaces, \.instance) { octets throws(DKIMSyntaxError) in
                try ARCMessageSignatureHeader(parsing: octets)
            }
            results = read(.authenticationResults, resultsPlaces, \.instance) { octets throws(DKIMSyntaxError) in
                try ARCAuthenticationResults(parsing: octets)
            }
            // Step 2 comes before the structure: what was broken before needs no other reason.
            if isSealedAsFailed { return .failure(.sealedAsFailed(instance: highestInstance)) }
            if let failure { return .failure(failure) }
            do throws(ARCFailure) { return .sets(try sets()) } catch { return .failure(error) }
        }

        /// Whether the seal of the highest instance says so.
        var isSealedAsFailed: Bool { Self.find(highestInstance, in: seals)?.value.chainStatus == .fail }

        private static func find<Value>(_ instance: Int, in found: [Found<Value>]) -> Found<Value>? {
            found.first { $0.instance == instance }
        }

        private mutating func read<Value>(
            _ field: ARCFailure.Field, _ places: [Int], _ instance: (Value) -> Int, _ parse: (ByteBufferView) throws(DKIMSyntaxError) -> Value
        ) -> [Found<Value>] {
            var found: [Found<Value>] = []
            found.reserveCapacity(places.count)
            for (number, place) in places.enumerated() {
                do throws(DKIMSyntaxError) {
                    let value = try parse(fields.header[place].rawValue.readableBytesView)
                    let key = instance(value)
                    highestInstance = max(highestInstance, key)
                    if let other = found.firstIndex(where: { $0.instance == key }) {
                        failure = failure ?? .repeatedField(field, instance: key)
                        found[other] = Found(instance: key, place: place, value: value)
                    } else {
                        found.append(Found(instance: key, place: place, value: value))
                    }
                } catch { failure = failure ?? .syntax(field, number: number + 1, error) }
            }
            return found
        }

        private func sets() throws(ARCFailure) -> [ARCSet] {
            var sets: [ARCSet] = []
            for instance in 1...max(1, highestInstance) {
                guard let result = Self.find(instance, in: results) else { throw .missingField(.authenticationResults, instance: instance) }
                guard let signature = Self.find(instance, in: signatures) else { throw .missingField(.messageSignature, instance: instance) }
                guard let seal = Self.find(instance, in: seals) else { throw .missingField(.seal, instance: instance) }
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
