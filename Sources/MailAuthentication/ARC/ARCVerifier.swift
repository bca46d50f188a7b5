import Crypto
public import DNS
public import FoundationEssentials
public import MailMessage
public import NIOCore

/// What came of one seal.
public struct ARCSealEvaluation: Sendable {
    /// Whether it is right.
    public internal(set) var isValid = false
    /// Why it isn't; `nil` where it is.
    public internal(set) var failure: DKIMFailure?
    /// What was found where its key should be.
    public internal(set) var key: DKIMKeyAnswer?
    /// The size of the key that was used.
    public internal(set) var keyBits: Int?
}

/// One set of a chain, and what came of it.
public struct ARCInstanceEvaluation: Sendable {
    /// `i=`.
    public var instance: Int
    /// What the sealer says that it found.
    public var authenticationResults: ARCAuthenticationResults
    /// What the seal says.
    public var sealHeader: ARCSealHeader
    /// What the message signature says.
    public var messageSignatureHeader: ARCMessageSignatureHeader
    /// What came of the message signature; `nil` where it didn't matter any more.
    public internal(set) var messageSignature: DKIMEvaluation?
    /// What came of the seal; `nil` where it didn't matter any more.
    public internal(set) var seal: ARCSealEvaluation?
}

/// What came of a chain, and why.
public struct ARCEvaluation: Sendable {
    /// The chain validation status.
    public internal(set) var result: ARCResult
    /// Why it fails.
    public internal(set) var failure: ARCFailure?
    /// The sets, instance 1 first; none where they can't be told apart.
    public internal(set) var instances: [ARCInstanceEvaluation] = []
    /// The oldest instance whose message signature still passes; 0 where all of them do, `nil` where the chain doesn't pass
    /// (RFC 8617 §5.2, step 5).
    public internal(set) var oldestPass: Int?

    /// Whether another try might come to another result (RFC 8617 §5.2.1: the chain fails all the same).
    public var isTemporary: Bool { failure?.isTemporary ?? false }

    /// The result in words.
    public var reason: String {
        if let failure { return "\(failure)" }
        return result == .none ? "there is no chain" : "all \(instances.count) seals are right, and so is the last message signature"
    }

    /// The domains that sealed, the first one first.
    public var sealers: [DomainName] { instances.map(\.sealHeader.domain) }
}

/// Validates Authenticated Received Chains (RFC 8617 §5.2).
///
/// The steps are taken in the order of the standard and end at the first failure, unless everything is asked for.
public struct ARCVerifier: Sendable {
    let dkim: DKIMVerifier
    /// Whether signatures that don't matter any more are evaluated as well: for tools that explain.
    public let evaluatesEverything: Bool

    /// A verifier that looks keys up with `resolver`, and keeps them in `keyCache` where there is one.
    public init(resolver: any Resolver, keyCache: DKIMKeyCache? = nil, limits: DKIMLimits = DKIMLimits(), evaluatesEverything: Bool = false) {
        dkim = DKIMVerifier(resolver: resolver, keyCache: keyCache, limits: limits)
        self.evaluatesEverything = evaluatesEverything
    }

    /// Validates the chain of a message whose body is in memory.
    public func verify(header: HeaderSection, body: ByteBuffer, at time: Date) async -> ARCEvaluation {
        let examination = ARCExamination(header)
        var hasher = DKIMBodyHasher(examination.bodyRequirements)
        hasher.update(body)
        return await verify(examination, body: hasher.finish(), at: time)
    }

    /// Validates the chain of a message that is read piece by piece.
    /// - Parameter header: its header section, which begins at the content's first octet.
    /// - Throws: what the content throws when it can't be read.
    public func verify(header: HeaderSection, content: any MessageContent, at time: Date) async throws -> ARCEvaluation {
        let examination = ARCExamination(header)
        var hasher = DKIMBodyHasher(examination.bodyRequirements)
        if !examination.bodyRequirements.isEmpty {
            try await hasher.update(content, from: header.range.upperBound, octets: dkim.limits.readOctets)
        }
        return await verify(examination, body: hasher.finish(), at: time)
    }

    /// Validates the chain of a message whose body was hashed already.
    /// - Parameter body: the hashes; those of ``ARCExamination/bodyRequirements`` must be among them.
    public func verify(_ examination: ARCExamination, body: DKIMBodyDigests, at time: Date) async -> ARCEvaluation {
        switch examination.structure {
        case .none: return ARCEvaluation(result: .none)
        case .failure(let failure): return ARCEvaluation(result: .fail, failure: failure)
        case .sets(let sets): return await verify(sets, examination.fields, body, time)
        }
    }

    private func verify(_ sets: [ARCSet], _ fields: DKIMFieldIndex, _ body: DKIMBodyDigests, _ time: Date) async -> ARCEvaluation {
        var evaluation = ARCEvaluation(result: .pass)
        evaluation.instances = sets.map { set in
            ARCInstanceEvaluation(
                instance: set.seal.instance, authenticationResults: set.results, sealHeader: set.seal, messageSignatureHeader: set.signature)
        }
        let last = sets.count - 1
        let newest = await messageSignature(sets[last], dkim, fields, body, time)
        evaluation.instances[last].messageSignature = newest
        if let failure = newest.failure { evaluation.fail(.messageSignature(instance: sets.count, failure)) }
        guard newest.failure == nil || evaluatesEverything else { return evaluation }

        // The chain is worth the other keys now.
        var dkim = dkim
        dkim.known = await keys(sets, known: newest.key, time)
        var oldestPass = sets.count
        for index in sets.indices.dropLast().reversed() {
            let signature = await messageSignature(sets[index], dkim, fields, body, time)
            evaluation.instances[index].messageSignature = signature
            if signature.failure == nil, oldestPass == index + 2 { oldestPass = index + 1 }
            if signature.failure != nil, !evaluatesEverything { break }
        }
        let states = Self.hashStates(sets, fields)
        for index in sets.indices.reversed() {
            let seal = await evaluate(sets[index], dkim, states[index], fields, time)
            evaluation.instances[index].seal = seal
            if let failure = seal.failure {
                evaluation.fail(.seal(instance: index + 1, failure))
                if !evaluatesEverything { break }
            }
        }
        if evaluation.result == .pass { evaluation.oldestPass = oldestPass == 1 ? 0 : oldestPass }
        return evaluation
    }

    /// How many keys are looked up at the same time.
    private static let lookupLimit = 10

    /// The keys of all sets, each looked up once.
    private func keys(_ sets: [ARCSet], known: DKIMKeyAnswer?, _ time: Date) async -> [DomainName: DKIMKeyAnswer] {
        var missing: Set<DomainName> = []
        for set in sets {
            if let name = set.seal.keyName, name != known?.lookup.name { missing.insert(name) }
            if let name = set.signature.signature.keyName, name != known?.lookup.name { missing.insert(name) }
        }
        let first = known.map { [$0.lookup.name: $0] } ?? [:]
        // Most sealers have one key.
        guard !missing.isEmpty else { return first }
        return await withTaskGroup(of: DKIMKeyAnswer?.self) { group in
            var answers = first
            for (number, name) in missing.enumerated() {
                if number >= Self.lookupLimit, let answer = await group.next() ?? nil { answers[answer.lookup.name] = answer }
                group.addTask { try? await dkim.key(for: name, at: time) }
            }
            for await answer in group { if let answer { answers[answer.lookup.name] = answer } }
            return answers
        }
    }

    private func messageSignature(
        _ set: ARCSet, _ dkim: DKIMVerifier, _ fields: DKIMFieldIndex, _ body: DKIMBodyDigests, _ time: Date
    ) async -> DKIMEvaluation {
        let first = await dkim.evaluate(DKIMShared(set.signature.signature), at: set.signaturePlace, fields, body, time)
        guard first.failure == .signature || first.failure == .bodyHash else { return first }
        for reading in set.signature.readings.dropFirst() {
            let other = await dkim.evaluate(DKIMShared(reading), at: set.signaturePlace, fields, body, time)
            if other.result == .pass { return other }
        }
        return first
    }

    /// The hash before each seal: of all sets before its own, and of the other fields of its own (RFC 8617 §5.1.1).
    private static func hashStates(_ sets: [ARCSet], _ fields: DKIMFieldIndex) -> [SHA256] {
        var hash = SHA256()
        var states: [SHA256] = []
        states.reserveCapacity(sets.count)
        for (index, set) in sets.enumerated() {
            var canonicalizer = DKIMHeaderCanonicalizer(.relaxed)
            // A seal is hashed before the set that follows, and by none as it stands after the last one.
            if index > 0 { canonicalizer.append(fields.header, at: sets[index - 1].sealPlace) }
            canonicalizer.append(fields.header, at: set.resultsPlace)
            canonicalizer.append(fields.header, at: set.signaturePlace)
            hash.update(data: canonicalizer.octets)
            states.append(hash)
        }
        return states
    }

    private func evaluate(
        _ set: ARCSet, _ dkim: DKIMVerifier, _ state: SHA256, _ fields: DKIMFieldIndex, _ time: Date
    ) async -> ARCSealEvaluation {
        var evaluation = ARCSealEvaluation()
        do throws(DKIMFailure) {
            guard set.seal.algorithm != .rsaSHA1 else { throw .forbiddenAlgorithm(.rsaSHA1) }
            let answer = try await dkim.key(for: set.seal.keyName, at: time)
            evaluation.key = answer
            var canonicalizer = DKIMHeaderCanonicalizer(.relaxed)
            canonicalizer.append(fields.header, at: set.sealPlace, cutting: set.seal.signatureRange, isTerminated: false)
            var hash = state
            hash.update(data: canonicalizer.octets)
            let digest = hash.finalize()
            try dkim.tryKeys(of: answer, set.seal.algorithm) { _, key in
                let isRight = key.isValidSignature(set.seal.signature, for: digest)
                evaluation.keyBits = key.bits
                evaluation.isValid = isRight
                return isRight
            }
            guard evaluation.isValid else { throw .signature }
        } catch { evaluation.failure = error }
        return evaluation
    }
}

extension ARCEvaluation {
    /// The first failure is the reason.
    fileprivate mutating func fail(_ failure: ARCFailure) {
        self.failure = self.failure ?? failure
        result = .fail
    }
}
