import Crypto
import DNS
import FoundationEssentials
import MailMessage

extension DKIMVerifier {
    /// The steps of RFC 6376 §6.1 for a signature that could be read; those of ARC-Message-Signature are the same (RFC 8617 §4.1.2).
    func evaluate(
        _ shared: DKIMShared<DKIMSignatureHeader>, at place: Int, _ fields: DKIMFieldIndex, _ body: DKIMBodyDigests, _ time: Date
    ) async -> DKIMEvaluation {
        var evaluation = DKIMEvaluation(fieldIndex: place, fieldRange: fields.header[place].range)
        guard let digest = begin(&evaluation, shared, at: place, fields, body, time) else { return evaluation }
        do throws(DKIMFailure) {
            let answer: DKIMKeyAnswer
            let name = shared.value.keyName
            // A key that is at hand needs nobody to wait.
            if let known = try knownKey(for: name, at: time) { answer = known } else { answer = try await key(for: name, at: time) }
            evaluation.key = answer
            try finish(&evaluation, shared, answer, digest, fields)
        } catch { evaluation.fail(error) }
        return evaluation
    }

    /// What is done before the key is known.
    /// - Returns: the hash of the signed fields; `nil` where the evaluation has failed.
    private func begin(
        _ evaluation: inout DKIMEvaluation, _ shared: DKIMShared<DKIMSignatureHeader>, at place: Int, _ fields: DKIMFieldIndex, _ body: DKIMBodyDigests,
        _ time: Date
    ) -> SHA256.Digest? {
        evaluation.sharedSignature = shared
        evaluation.bodyDigest = body[shared.value.bodyRequirement]
        evaluation.bodyMatches = evaluation.bodyDigest.map { $0.sha256 == shared.value.bodyHash }
        do throws(DKIMFailure) {
            guard shared.value.algorithm != .rsaSHA1 else { throw .forbiddenAlgorithm(.rsaSHA1) }
            try check(times: shared.value, time)
        } catch {
            evaluation.fail(error)
            return nil
        }
        var canonicalizer = DKIMHeaderCanonicalizer(shared.value.headerCanonicalization)
        evaluation.signedFields = fields.select(shared.value.signedFields, except: place, into: &canonicalizer)
        canonicalizer.append(fields.header, at: place, cutting: shared.value.signatureRange, isTerminated: false)
        return SHA256.hash(data: canonicalizer.octets)
    }

    /// What is done with what is where the key should be.
    private func finish(
        _ evaluation: inout DKIMEvaluation, _ shared: DKIMShared<DKIMSignatureHeader>, _ answer: DKIMKeyAnswer, _ digest: SHA256.Digest,
        _ fields: DKIMFieldIndex
    ) throws(DKIMFailure) {
        evaluation.keyRecordPlace = answer.readablePlace
        let keys = try usable(answer, shared.value.algorithm) { isStrict in
            isStrict && shared.value.identityDomain != shared.value.domain ? .identityIsSubdomain : nil
        }
        for (place, key) in keys {
            evaluation.keyRecordPlace = place
            evaluation.keyBits = key.bits
            evaluation.headerMatches = key.isValidSignature(shared.value.signature, for: digest)
            if evaluation.headerMatches == true { break }
        }
        // RFC 6376 §3.5
        if let length = shared.value.bodyLength, let digest = evaluation.bodyDigest, length > digest.canonicalOctets { throw .bodyShorterThanSigned }
        guard evaluation.bodyMatches == true else { throw .bodyHash }
        guard evaluation.headerMatches == true else { throw .signature }
        evaluation.result = .pass
        evaluation.risks = risks(of: evaluation, fields)
        if !limits.allowsUnsignedBody, evaluation.unsignedOctets > 0 { throw .unsignedBody(evaluation.unsignedOctets) }
    }

    private func check(times signature: DKIMSignatureHeader, _ time: Date) throws(DKIMFailure) {
        let now = time.timeIntervalSince1970
        if let expiration = signature.expiration, now > TimeInterval(expiration) + limits.clockSkewSeconds { throw .expired(expiration) }
        if limits.refusesFutureSignatures, let timestamp = signature.timestamp, TimeInterval(timestamp) > now + limits.clockSkewSeconds {
            throw .inTheFuture(timestamp)
        }
    }

    /// What was found before where a key should be.
    private func knownKey(for name: DomainName?, at time: Date) throws(DKIMFailure) -> DKIMKeyAnswer? {
        guard let name else { throw .invalidKeyName }
        return known.isEmpty ? keyCache?.answer(for: name, at: time) : known[name] ?? keyCache?.answer(for: name, at: time)
    }

    /// Looks up what is where a key should be, unless it is known.
    func key(for name: DomainName?, at time: Date) async throws(DKIMFailure) -> DKIMKeyAnswer {
        guard let name else { throw .invalidKeyName }
        if let answer = try knownKey(for: name, at: time) { return answer }
        let answer = DKIMKeyAnswer(await DNSLookup(name, .txt, using: resolver), limits: limits)
        keyCache?.keep(answer, at: time)
        return answer
    }

    /// The keys that may have made a signature with their places among the candidates, or why there is none: what is wrong with the record that gets furthest.
    func usable(
        _ answer: DKIMKeyAnswer, _ algorithm: DKIMAlgorithm, refusal: (_ isStrict: Bool) -> DKIMFailure?
    ) throws(DKIMFailure) -> [(place: Int, key: DKIMPublicKey)] {
        if case .failure(let error) = answer.lookup.result { throw .lookup(error) }
        var keys: [(place: Int, key: DKIMPublicKey)] = []
        var failures: [DKIMFailure] = []
        for (place, claim) in answer.claims.enumerated() {
            do throws(DKIMFailure) {
                if let type = claim.keyType, type != algorithm.keyType { throw .keyOfOtherType(type) }
                if let failure = claim.failure ?? refusal(claim.isStrict) { throw failure }
                switch claim.key {
                case .success(let key): keys.append((place, key))
                case .failure(let error): throw .key(error)
                }
            } catch { failures.append(error) }
        }
        guard keys.isEmpty else { return keys }
        let readable = failures.first { if case .keyRecord = $0 { false } else { true } }
        throw readable ?? failures.first ?? .noKey(answer.lookup.name)
    }

    /// Fields that people see, or that say how the body is shown (RFC 6376 §5.4.1).
    private static let shownFields = ["from", "reply-to", "subject", "date", "to", "cc", "content-type", "content-transfer-encoding", "mime-version"]

    private func risks(of evaluation: DKIMEvaluation, _ fields: DKIMFieldIndex) -> [DKIMRisk] {
        var risks: [DKIMRisk] = []
        let signedFields = evaluation.signedFields
        // Most signatures name them in this order: the one behind the last that was found is looked at first.
        var next = 0
        if evaluation.unsignedOctets > 0 { risks.append(.unsignedBody(octets: evaluation.unsignedOctets)) }
        for name in Self.shownFields {
            let place = signedFields[next...].firstIndex { $0.name == name } ?? signedFields[..<next].firstIndex { $0.name == name }
            guard let place, signedFields[place].signedCount > 0 else {
                if fields.contains(name) { risks.append(.unsignedField(name)) }
                if let place { next = place + 1 }
                continue
            }
            next = place + 1
            if signedFields[place].unsignedCount > 0 { risks.append(.addedField(name)) }
        }
        if let bits = evaluation.keyBits, evaluation.sharedSignature?.value.algorithm.keyType == .rsa, bits < 2048 { risks.append(.smallKey(bits: bits)) }
        return risks
    }
}
