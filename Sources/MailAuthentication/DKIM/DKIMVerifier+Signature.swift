import Crypto
import DNS
import FoundationEssentials
import MailMessage

extension DKIMVerifier {
    /// The steps of RFC 6376 §6.1 for a signature that could be read; those of ARC-Message-Signature are the same (RFC 8617 §4.1.2).
    func evaluate(
        _ shared: DKIMShared<DKIMSignatureHeader>, at place: Int, _ fields: DKIMFieldIndex, _ body: DKIMBodyDigests, _ time: Date
    ) async -> DKIMEvaluation {
        var evaluation = DKIMEvaluation(fieldIndex: place, fieldRange: fields.header.range(at: place))
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
        evaluation.selection = fields.select(shared.value.fieldNames, except: place, into: &canonicalizer)
        canonicalizer.append(fields.header, at: place, cutting: shared.value.signatureRange, isTerminated: false)
        return SHA256.hash(data: canonicalizer.octets)
    }

    /// What is done with what is where the key should be.
    private func finish(
        _ evaluation: inout DKIMEvaluation, _ shared: DKIMShared<DKIMSignatureHeader>, _ answer: DKIMKeyAnswer, _ digest: SHA256.Digest,
        _ fields: DKIMFieldIndex
    ) throws(DKIMFailure) {
        evaluation.keyRecordPlace = answer.readablePlace
        func refusal(_ isStrict: Bool) -> DKIMFailure? {
            isStrict && shared.value.identityDomain != shared.value.domain ? .identityIsSubdomain : nil
        }
        try tryKeys(of: answer, shared.value.algorithm, refusal: refusal) { place, key in
            let isRight = key.isValidSignature(shared.value.signature, for: digest)
            evaluation.keyRecordPlace = place
            evaluation.keyBits = key.bits
            evaluation.headerMatches = isRight
            return isRight
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

    /// Tries the keys that may have made a signature, one after the other, until one has made it.
    /// - Parameters:
    ///   - refusal: what else is wrong with a key, by whether it is for the domain alone.
    ///   - isRight: gets the place of a key among the candidates, and the key.
    /// - Throws: why there is no key to be tried: what is wrong with the record that gets furthest.
    func tryKeys(
        of answer: DKIMKeyAnswer, _ algorithm: DKIMAlgorithm, refusal: (_ isStrict: Bool) -> DKIMFailure? = { _ in nil },
        _ isRight: (_ place: Int, _ key: DKIMPublicKey) -> Bool
    ) throws(DKIMFailure) {
        if case .failure(let error) = answer.lookup.result { throw .lookup(error) }
        let claims = answer.claims
        var (first, readable): (DKIMFailure?, DKIMFailure?) = (nil, nil)
        var hasKey = false
        for place in claims.indices {
            do throws(DKIMFailure) {
                if let type = claims[place].keyType, type != algorithm.keyType { throw .keyOfOtherType(type) }
                if let failure = claims[place].failure ?? refusal(claims[place].isStrict) { throw failure }
                switch claims[place].key {
                case .success(let key):
                    hasKey = true
                    if isRight(place, key) { return }
                case .failure(let error): throw .key(error)
                }
            } catch {
                first = first ?? error
                if case .keyRecord = error { continue }
                readable = readable ?? error
            }
        }
        guard hasKey else { throw readable ?? first ?? .noKey(answer.lookup.name) }
    }

    /// Fields that people see, or that say how the body is shown (RFC 6376 §5.4.1).
    private static let shownFields = DKIMFieldNames([
        "from", "reply-to", "subject", "date", "to", "cc", "content-type", "content-transfer-encoding", "mime-version",
    ])

    private func risks(of evaluation: DKIMEvaluation, _ fields: DKIMFieldIndex) -> [DKIMRisk] {
        var risks: [DKIMRisk] = []
        if evaluation.unsignedOctets > 0 { risks.append(.unsignedBody(octets: evaluation.unsignedOctets)) }
        if let shown = Self.shownFields, let selection = evaluation.selection {
            for (name, signedCount) in fields.leftOut(of: selection, among: shown) {
                let name = shown.text(name)
                risks.append(signedCount == 0 ? .unsignedField(name) : .addedField(name))
            }
        }
        if let bits = evaluation.keyBits, evaluation.sharedSignature?.value.algorithm.keyType == .rsa, bits < 2048 { risks.append(.smallKey(bits: bits)) }
        return risks
    }
}
