public import DNS
public import FoundationEssentials
internal import SwiftASN1
internal import X509

/// Compares the chain of an SMTP server with the TLSA records of its name (RFC 7672 §3, RFC 7671).
public struct DANEVerifier: Sendable {
    /// The most records that are looked at.
    public static let recordLimit = 100
    /// The most certificates of a chain that are looked at; further ones are as if they hadn't been sent.
    public static let chainLimit = 20

    private let records: [TLSARecord]
    private let references: [DomainName]
    private let checksNames: Bool

    /// - Parameters:
    ///   - records: the secure TLSA records of the base domain.
    ///   - references: the names one of which the certificate must have where a trust anchor matches (RFC 7672 §3.2.2): see
    ///     ``DANEDecision/referenceIdentifiers``.
    ///   - checksNames: `false` leaves names aside for every usage; DANE-EE(3) compares none either way (RFC 7672 §3.1.1).
    public init(records: [TLSARecord], references: [DomainName], checksNames: Bool = true) {
        self.records = records
        self.references = references
        self.checksNames = checksNames
    }

    /// Compares a chain.
    /// - Parameters:
    ///   - chain: the DER octets of the certificates as the server sent them, its own first.
    ///   - now: the time at which the chain must be valid.
    public func verify(chain: [[UInt8]], at now: Date) -> DANEEvaluation {
        verify(certificates: chain.prefix(Self.chainLimit).map { PeerCertificate(octets: $0) }, at: now)
    }

    /// As ``verify(chain:at:)``.
    public func verify(certificates: [PeerCertificate], at now: Date) -> DANEEvaluation {
        let chain = Array(certificates.prefix(Self.chainLimit))
        var evaluation = DANEEvaluation(
            result: .none, records: judged, problems: [], chain: chain.map(\.summary))
        guard !records.isEmpty else { return evaluation }
        let active = evaluation.records.indices.filter { evaluation.records[$0].unusable == nil && !evaluation.records[$0].isSuperseded }
        guard !active.isEmpty else {
            evaluation.result = .unusable
            return evaluation
        }
        guard let leaf = chain.first else {
            evaluation.result = .fail
            evaluation.problems = [CertificateProblem(.noCertificate, "the server sent no certificate")]
            return evaluation
        }
        // RFC 7672 §3.1.1: the record alone binds the key to the name; no names, no times, no chain.
        for index in active where evaluation.records[index].record.usage == 3 && evaluation.records[index].record.matches(leaf) {
            evaluation.records[index].matchedDepths = [0]
            if evaluation.result != .pass { evaluation.records[index].decided = true }
            evaluation.result = .pass
            evaluation.depth = 0
        }
        if evaluation.result == .pass { return evaluation }
        evaluation.result = .fail
        let anchors = active.filter { evaluation.records[$0].record.usage == 2 }
        guard !anchors.isEmpty else {
            evaluation.problems = [CertificateProblem(.noMatch, "no record matches the server's certificate")]
            return evaluation
        }
        judgeByAnchors(anchors, leaf, chain, now, &evaluation)
        return evaluation
    }

    /// The records with what can be said of them without a chain.
    private var judged: [DANEEvaluation.Record] {
        var judged = records.enumerated().map { index, record in
            let unusable = index < Self.recordLimit ? record.unusable : .tooMany(limit: Self.recordLimit)
            return DANEEvaluation.Record(record: record, unusable: unusable, isSuperseded: false, matchedDepths: [], decided: false)
        }
        // RFC 7671 §9: of each usage and selector the strongest digest among those that can be used; whole certificates and keys always count.
        var strongest: [[UInt8]: UInt8] = [:]
        for item in judged where item.unusable == nil {
            let kind = [item.record.usage, item.record.selector]
            strongest[kind] = max(strongest[kind] ?? 0, item.record.matchingType)
        }
        for index in judged.indices where judged[index].unusable == nil && judged[index].record.matchingType != 0 {
            let record = judged[index].record
            judged[index].isSuperseded = record.matchingType < strongest[[record.usage, record.selector]] ?? 0
        }
        return judged
    }

    /// DANE-TA(2): a path to a certificate that matches, or that a published key has signed (RFC 7671 §5.2).
    private func judgeByAnchors(_ anchors: [Int], _ leaf: PeerCertificate, _ chain: [PeerCertificate], _ now: Date, _ evaluation: inout DANEEvaluation) {
        guard let leafCertificate = leaf.certificate else {
            evaluation.problems = [CertificateProblem(.unreadable, depth: 0, "the server's certificate can't be used: \(leaf.problem ?? "")")]
            return
        }
        // RFC 7671 §5.2.2: a certificate that the record gives needn't be sent.
        let published = anchors.map { evaluation.records[$0].record }.filter { $0.selector == 0 && $0.matchingType == 0 }.map {
            PeerCertificate(octets: $0.data)
        }
        let bareKeys = anchors.filter { evaluation.records[$0].record.selector == 1 && evaluation.records[$0].record.matchingType == 0 }
        var matches: [Certificate: [Int]] = [:]
        var pool: [Certificate] = []
        for item in chain.dropFirst() + published {
            guard let certificate = item.certificate, matches[certificate] == nil else { continue }
            matches[certificate] = anchors.filter { evaluation.records[$0].record.matches(item) }
            pool.append(certificate)
        }
        // The server's own certificate is no trust anchor for itself: DANE-EE(3) is for that.
        var search = CertificatePathSearch(
            pool: pool, keys: bareKeys.compactMap { try? Certificate.PublicKey(derEncoded: evaluation.records[$0].record.data) }, at: now,
            isAnchor: { certificate, depth in depth > 0 && !(matches[certificate] ?? []).isEmpty })
        let outcome = search.run(from: leafCertificate)
        evaluation.problems = outcome.problems
        guard let path = outcome.path else {
            if outcome.problems.contains(where: { $0.code == .untrusted }) {
                evaluation.problems = [CertificateProblem(.noMatch, "no record matches a certificate of the server's chain")]
            }
            return
        }
        evaluation.depth = path.certificates.count - 1
        note(path, matches, bareKeys, &evaluation)
        let names = CertificateNames(leafCertificate)
        evaluation.matchedName = names.match(references, takesCommonName: true)
        if checksNames, evaluation.matchedName == nil {
            evaluation.problems.append(Self.mismatch(names, references))
        }
        if evaluation.problems.isEmpty { evaluation.result = .pass }
    }

    private func note(_ path: CertificatePath, _ matches: [Certificate: [Int]], _ bareKeys: [Int], _ evaluation: inout DANEEvaluation) {
        for (depth, certificate) in path.certificates.enumerated().dropFirst() {
            for index in matches[certificate] ?? [] { evaluation.records[index].matchedDepths.append(depth) }
        }
        if let first = evaluation.records.firstIndex(where: { !$0.matchedDepths.isEmpty }) {
            evaluation.records[first].decided = true
        } else if let top = path.certificates.last {
            // A bare key: the one that signed the last certificate.
            let signer = bareKeys.first { index in
                guard let key = try? Certificate.PublicKey(derEncoded: evaluation.records[index].record.data) else { return false }
                return key.isValidSignature(top.signature, for: top)
            }
            if let signer { evaluation.records[signer].decided = true }
        }
    }

    static func mismatch(_ names: CertificateNames, _ references: [DomainName]) -> CertificateProblem {
        let presented = names.dnsNames.isEmpty ? names.commonName.map { [$0] } ?? [] : names.dnsNames
        return CertificateProblem(
            .nameMismatch, depth: 0,
            "the certificate is for \(presented.isEmpty ? "no name" : presented.prefix(6).map { $0.clipped(to: 60) }.joined(separator: ", ")), not for "
                + "\(references.map(\.ascii).joined(separator: " or ")) (RFC 7672 §3.2.2)")
    }
}
