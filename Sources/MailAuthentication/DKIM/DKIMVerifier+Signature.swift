import Crypto
import DNS
import FoundationEssentials
import MailMessage

extension DKIMVerifier {
    /// The steps of RFC 6376 §6.1 for a signature that could be read; those of ARC-Message-Signature are the same (RFC 8617 §4.1.2).
    func evaluate(
        _ signature: DKIMSignatureHeader, at place: Int, _ fields: DKIMFieldIndex, _ body: DKIMBodyDigests, _ time: Date
    ) async -> DKIMEvaluation {
        let field = fields.header[place]
        var evaluation = DKIMEvaluation(fieldIndex: place, fieldRange: field.range)
        evaluation.signature = signature
        evaluation.bodyDigest = body[signature.bodyRequirement]
        evaluation.bodyMatches = evaluation.bodyDigest.map { $0.sha256 == signature.bodyHash }
        do throws(DKIMFailure) {
            guard signature.algorithm != .rsaSHA1 else { throw .forbiddenAlgorithm(.rsaSHA1) }
            try check(times: signature, time)

            var canonicalizer = DKIMHeaderCanonicalizer(signature.headerCanonicalization)
            evaluation.signedFields = fields.select(signature.signedFields, except: place, into: &canonicalizer)
            canonicalizer.append(field, cutting: signature.signatureRange, isTerminated: false)

            let answer = try await key(for: signature.keyName, at: time)
            evaluation.key = answer
            evaluation.keyRecord = answer.candidates.lazy.compactMap { try? $0.record.get() }.first
            let keys = try usable(answer, signature.algorithm) { record in
                record.isStrict && signature.identityDomain != signature.domain ? .identityIsSubdomain : nil
            }

            let digest = SHA256.hash(data: canonicalizer.octets)
            for (record, key) in keys {
                evaluation.keyRecord = record
                evaluation.keyBits = key.bits
                evaluation.headerMatches = key.isValidSignature(signature.signature, for: digest)
                if evaluation.headerMatches == true { break }
            }
            // RFC 6376 §3.5
            if let length = signature.bodyLength, let digest = evaluation.bodyDigest, length > digest.canonicalOctets { throw .bodyShorterThanSigned }
            guard evaluation.bodyMatches == true else { throw .bodyHash }
            guard evaluation.headerMatches == true else { throw .signature }
            evaluation.result = .pass
            evaluation.risks = risks(of: evaluation, fields)
            if !limits.allowsUnsignedBody, evaluation.unsignedOctets > 0 { throw .unsignedBody(evaluation.unsignedOctets) }
        } catch { evaluation.fail(error) }
        return evaluation
    }

    private func check(times signature: DKIMSignatureHeader, _ time: Date) throws(DKIMFailure) {
        let now = time.timeIntervalSince1970
        if let expiration = signature.expiration, now > TimeInterval(expiration) + limits.clockSkewSeconds { throw .expired(expiration) }
        if limits.refusesFutureSignatures, let timestamp = signature.timestamp, TimeInterval(timestamp) > now + limits.clockSkewSeconds {
            throw .inTheFuture(timestamp)
        }
    }

    /// Looks up what is where a key should be.
    func key(for name: DomainName?, at time: Date) async throws(DKIMFailure) -> DKIMKeyAnswer {
        guard let name else { throw .invalidKeyName }
        if let answer = known[name] { return answer }
        if let known = keyCache?.answer(for: name, at: time) { return known }
        let answer = DKIMKeyAnswer(await DNSLookup(name, .txt, using: resolver), limits: limits)
        keyCache?.keep(answer, at: time)
        return answer
    }

    /// The keys that may have made a signature, or why there is none: what is wrong with the record that gets furthest.
    func usable(
        _ answer: DKIMKeyAnswer, _ algorithm: DKIMAlgorithm, refusal: (DKIMKeyRecord) -> DKIMFailure?
    ) throws(DKIMFailure) -> [(DKIMKeyRecord, DKIMPublicKey)] {
        if case .failure(let error) = answer.lookup.result { throw .lookup(error) }
        var keys: [(DKIMKeyRecord, DKIMPublicKey)] = []
        var failures: [DKIMFailure] = []
        for candidate in answer.candidates {
            do throws(DKIMFailure) {
                let record: DKIMKeyRecord
                do throws(DKIMSyntaxError) { record = try candidate.record.get() } catch { throw .keyRecord(error) }
                guard record.keyType == algorithm.keyType else { throw .keyOfOtherType(record.keyType) }
                guard record.allowsSHA256 else { throw .hashNotAllowed }
                guard record.isForEmail else { throw .keyNotForEmail }
                if let failure = refusal(record) { throw failure }
                switch candidate.key {
                case .success(let key): keys.append((record, key))
                case .failure(let error): throw .key(error)
                case nil: throw .key(.malformed)
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
        if evaluation.unsignedOctets > 0 { risks.append(.unsignedBody(octets: evaluation.unsignedOctets)) }
        for name in Self.shownFields where fields.contains(name) {
            guard let signed = evaluation.signedFields.first(where: { $0.name == name }), signed.signedCount > 0 else {
                risks.append(.unsignedField(name))
                continue
            }
            if signed.unsignedCount > 0 { risks.append(.addedField(name)) }
        }
        if let bits = evaluation.keyBits, evaluation.signature?.algorithm.keyType == .rsa, bits < 2048 { risks.append(.smallKey(bits: bits)) }
        return risks
    }
}
