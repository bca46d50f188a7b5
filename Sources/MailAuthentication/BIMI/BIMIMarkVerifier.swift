internal import Crypto
public import DNS
public import FoundationEssentials
internal import SwiftASN1
@_spi(DisableValidityCheck) @_spi(FixedExpiryValidationTime) internal import X509

/// Verifies evidence: a Verified or Common Mark Certificate with its chain (draft-fetch-validation-vmc-wchuang-11 §5).
public struct BIMIMarkVerifier: Sendable {
    /// What is accepted.
    public struct Limits: Sendable, Hashable {
        /// The octets of the largest document.
        public var documentOctets: Int
        /// The most certificates: the mark's, its issuers, the root.
        public var certificates: Int
        /// The octets of the largest logo, unpacked.
        public var logoOctets: Int
        /// Whether a certificate without timestamps of certificate transparency is refused. Their signatures aren't checked either way.
        public var requiresTimestamps: Bool
        /// Whether a certificate that doesn't say where revocations are published is refused.
        public var requiresRevocationPoint: Bool

        /// Makes limits.
        public init(
            documentOctets: Int = 256 << 10, certificates: Int = 6, logoOctets: Int = 32 << 10, requiresTimestamps: Bool = false,
            requiresRevocationPoint: Bool = false
        ) {
            self.documentOctets = documentOctets
            self.certificates = certificates
            self.logoOctets = logoOctets
            self.requiresTimestamps = requiresTimestamps
            self.requiresRevocationPoint = requiresRevocationPoint
        }
    }

    private let roots: BIMIRoots
    private let limits: Limits

    /// - Parameters:
    ///   - roots: the authorities that are trusted.
    ///   - limits: what is accepted.
    public init(roots: BIMIRoots, limits: Limits = Limits()) {
        self.roots = roots
        self.limits = limits
    }

    /// Whose evidence it must be.
    public struct Subject: Sendable, Hashable {
        /// The author's domain.
        public var authorDomain: DomainName
        /// Its organizational domain.
        public var organizationalDomain: DomainName
        /// The selector of the Assertion Record.
        public var selector: BIMISelector

        /// Makes a subject.
        public init(authorDomain: DomainName, organizationalDomain: DomainName, selector: BIMISelector = .default) {
            self.authorDomain = authorDomain
            self.organizationalDomain = organizationalDomain
            self.selector = selector
        }
    }

    /// Verifies a document.
    /// - Parameters:
    ///   - document: the PEM text.
    ///   - subject: whose it must be; `nil` leaves that open.
    ///   - now: the time at which it must be valid.
    public func verify(_ document: [UInt8], for subject: Subject?, at now: Date) async -> BIMIMarkReport {
        var report = BIMIMarkReport()
        let certificates = read(document, &report)
        guard let leaf = certificates.first else { return report }
        checkOrder(certificates, &report)
        await checkChain(certificates, at: now, &report)
        checkProfile(leaf, &report)
        checkDomain(leaf, subject, &report)
        readLogo(leaf, &report)
        return report
    }

    // MARK: Reading

    private func read(_ document: [UInt8], _ report: inout BIMIMarkReport) -> [Certificate] {
        guard document.count <= limits.documentOctets else {
            report.problems.append(.tooLarge(octets: document.count, limit: limits.documentOctets))
            return []
        }
        let parts: [[UInt8]]
        do {
            parts = try BIMIPEM.certificates(document, limit: limits.certificates)
        } catch {
            switch error {
            case .tooMany: report.problems.append(.tooManyCertificates(limit: limits.certificates))
            case .malformed(let line): report.problems.append(.notPEM("line \(line)"))
            case .otherLabel(let label): report.problems.append(.notPEM("there is a “\(label)”"))
            }
            return []
        }
        guard !parts.isEmpty else {
            report.problems.append(.noCertificate)
            return []
        }
        var certificates: [Certificate] = []
        for (index, part) in parts.enumerated() {
            do {
                let certificate = try Certificate(derEncoded: part)
                certificates.append(certificate)
                report.certificates.append(
                    BIMICertificateSummary(
                        subject: "\(certificate.subject)", issuer: "\(certificate.issuer)", notValidBefore: certificate.notValidBefore,
                        notValidAfter: certificate.notValidAfter, fingerprint: BIMIDigest.hexadecimal(SHA256.hash(data: part))))
                if parts[..<index].contains(part) { report.problems.append(.duplicate(index)) }
            } catch {
                report.problems.append(.invalidCertificate(index, "\(error)"))
                return []
            }
        }
        return certificates
    }

    /// §3.3: the mark certificate, its issuer, and so on; the receiver may refuse everything else, and this one does.
    private func checkOrder(_ certificates: [Certificate], _ report: inout BIMIMarkReport) {
        for index in certificates.indices.dropFirst() where certificates[index - 1].issuer != certificates[index].subject {
            report.problems.append(.outOfOrder(index))
        }
        if Self.isAuthority(certificates[0]) { report.problems.append(.authorityFirst) }
        if certificates.count(where: { !Self.isAuthority($0) && Self.isForMarks($0) }) > 1 { report.problems.append(.severalMarks) }
    }

    // MARK: Chain

    private func checkChain(_ certificates: [Certificate], at now: Date, _ report: inout BIMIMarkReport) async {
        let leaf = certificates[0]
        let intermediates = CertificateStore(certificates.dropFirst())
        let store = CertificateStore(roots.certificates)
        var verifier = Verifier(rootCertificates: store) {
            RFC5280Policy(fixedExpiryValidationTime: now)
            BIMIMarkPolicy()
        }
        if case .validCertificate(let chain) = await verifier.validate(leaf: leaf, intermediates: intermediates) {
            report.root = chain.last.map { "\($0.subject)" }
            return
        }
        // Once more without the clock: what is too old is told apart from what nobody trusts.
        for certificate in certificates {
            if now < certificate.notValidBefore { report.problems.append(.notYetValid(subject: "\(certificate.subject)")) }
            if now > certificate.notValidAfter { report.problems.append(.expired(subject: "\(certificate.subject)")) }
        }
        var timeless = Verifier(rootCertificates: store) {
            RFC5280Policy.withValidityCheckDisabled()
            BIMIMarkPolicy()
        }
        switch await timeless.validate(leaf: leaf, intermediates: intermediates) {
        case .validCertificate(let chain):
            if let root = chain.last, now > root.notValidAfter { report.problems.append(.expired(subject: "\(root.subject)")) }
            if report.problems.isEmpty { report.problems.append(.untrusted("the chain isn't valid at this time")) }
        case .couldNotValidate(let failures):
            let reasons = failures.map { "\($0.policyFailureReason)" }
            // A root needs no such extension, whether it is trusted or not.
            if let foreign = certificates.dropFirst().first(where: { Self.isAuthority($0) && $0.subject != $0.issuer && !Self.isForMarks($0) }) {
                report.problems.append(.issuerNotForMarks(subject: "\(foreign.subject)"))
            }
            let handled = BIMIMarkPolicy().verifyingCriticalExtensions + RFC5280Policy().verifyingCriticalExtensions
            let unhandled = certificates.flatMap(\.extensions).filter { $0.critical && !handled.contains($0.oid) }.map { "\($0.oid)" }
            report.problems.append(
                .untrusted(
                    !reasons.isEmpty
                        ? reasons.joined(separator: "; ")
                        : !unhandled.isEmpty ? "a critical extension is unknown: \(unhandled.joined(separator: ", "))" : "no issuer is known")
            )
        }
    }

    // MARK: Profile

    private func checkProfile(_ leaf: Certificate, _ report: inout BIMIMarkReport) {
        if !Self.isForMarks(leaf) { report.problems.append(.notForMarks) }
        report.markType = Self.subjectText(leaf, Self.markTypeID)
        report.kind =
            switch report.markType?.lowercased() {
            case "registered mark", "government mark": .verified
            case "prior use mark", "modified registered mark", "pending registration mark": .common
            // Certificates of the first years name no type, and all of them have the number of a registered trade mark.
            case nil where Self.subjectText(leaf, Self.registrationID) != nil: .verified
            default: .unknown
            }
        report.timestampCount = leaf.extensions[oid: Self.timestampsID].map { Self.timestampCount($0.value) } ?? 0
        report.hasRevocationPoint = leaf.extensions[oid: Self.revocationPointsID] != nil
        if limits.requiresTimestamps, report.timestampCount == 0 { report.problems.append(.noTimestamps) }
        if limits.requiresRevocationPoint, !report.hasRevocationPoint { report.problems.append(.noRevocationPoint) }
    }

    /// §5.2: a name with `_bimi` counts for one selector, every other one for all of a domain's.
    private func checkDomain(_ leaf: Certificate, _ subject: Subject?, _ report: inout BIMIMarkReport) {
        for case .dnsName(let name) in (try? leaf.extensions.subjectAlternativeNames) ?? SubjectAlternativeNames() { report.domains.append(name) }
        guard !report.domains.isEmpty else {
            report.problems.append(.noDomain)
            return
        }
        guard let subject else { return }
        let domains = [subject.authorDomain, subject.organizationalDomain]
        let wanted = Set(domains + domains.compactMap { try? $0.prefixed(with: "\(subject.selector.name)._bimi") })
        report.matchedDomain = report.domains.first { text in
            guard let name = try? DomainName(text) else { return false }
            return wanted.contains(name)
        }
        if report.matchedDomain == nil { report.problems.append(.otherDomain(report.domains)) }
    }

    private func readLogo(_ leaf: Certificate, _ report: inout BIMIMarkReport) {
        guard let part = leaf.extensions[oid: BIMILogotype.extensionID] else {
            report.problems.append(.noLogotype)
            return
        }
        do {
            report.logotype = try BIMILogotype(extensionValue: part.value, limit: limits.logoOctets)
        } catch {
            report.problems.append(.logotype(error))
        }
    }

    // MARK: Parts of certificates

    /// id-kp-BrandIndicatorforMessageIdentification (§4.4).
    static let keyPurposeID: ASN1ObjectIdentifier = [1, 3, 6, 1, 5, 5, 7, 3, 31]
    /// The type of a mark, in the subject of its certificate.
    static let markTypeID: ASN1ObjectIdentifier = [1, 3, 6, 1, 4, 1, 53087, 1, 13]
    /// The number of a registered trade mark, in the subject of its certificate.
    static let registrationID: ASN1ObjectIdentifier = [1, 3, 6, 1, 4, 1, 53087, 1, 4]
    /// RFC 6962 §3.3.
    static let timestampsID: ASN1ObjectIdentifier = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2]
    /// RFC 5280 §4.2.1.13.
    static let revocationPointsID: ASN1ObjectIdentifier = [2, 5, 29, 31]

    static func isAuthority(_ certificate: Certificate) -> Bool {
        if case .isCertificateAuthority = (try? certificate.extensions.basicConstraints) ?? .notCertificateAuthority { return true }
        return false
    }

    static func isForMarks(_ certificate: Certificate) -> Bool {
        guard let usages = try? certificate.extensions.extendedKeyUsage else { return false }
        return usages.contains(ExtendedKeyUsage.Usage(oid: keyPurposeID))
    }

    private static func subjectText(_ certificate: Certificate, _ type: ASN1ObjectIdentifier) -> String? {
        for name in certificate.subject {
            for attribute in name where attribute.type == type { return String(attribute.value) }
        }
        return nil
    }

    /// RFC 6962 §3.3: a list of timestamps, each with its length, in an OCTET STRING.
    private static func timestampCount(_ value: ArraySlice<UInt8>) -> Int {
        guard let list = try? ASN1OctetString(derEncoded: DER.parse(value)).bytes else { return 0 }
        var rest = list.dropFirst(2)
        var count = 0
        while rest.count >= 2 {
            let length = Int(rest[rest.startIndex]) << 8 | Int(rest[rest.startIndex + 1])
            guard length > 0, rest.count >= 2 + length else { return count }
            count += 1
            rest = rest.dropFirst(2 + length)
        }
        return count
    }
}

/// What the path of a mark certificate must obey beyond RFC 5280 (draft-fetch-validation-vmc-wchuang-11 §4.4).
struct BIMIMarkPolicy: VerifierPolicy, Sendable {
    /// Extensions that are checked here, or say nothing that could make a chain wrong.
    let verifyingCriticalExtensions: [ASN1ObjectIdentifier] = [
        [2, 5, 29, 17],  // subject alternative name: compared with the record's domain
        [2, 5, 29, 31],  // distribution points: reported as not checked
        [2, 5, 29, 32],  // certificate policies: every one is accepted
        [2, 5, 29, 37],  // extended key usage: below
        BIMILogotype.extensionID, BIMIMarkVerifier.timestampsID,
        [1, 3, 6, 1, 4, 1, 53087, 4, 1],  // says in words that this is a mark certificate
    ]

    func chainMeetsPolicyRequirements(chain: UnverifiedCertificateChain) -> PolicyEvaluationResult {
        let root = chain.count - 1
        for (index, certificate) in chain.enumerated() where index != root {
            // RFC 9155 §2 and its like: nobody trusts new signatures with SHA-1. A root's own signature says nothing.
            if certificate.signatureAlgorithm == .sha1WithRSAEncryption {
                return .failsToMeetPolicy(reason: "the certificate of “\(certificate.subject)” is signed with SHA-1")
            }
            guard index > 0 else { continue }
            if !BIMIMarkVerifier.isForMarks(certificate) {
                return .failsToMeetPolicy(reason: "the certificate of “\(certificate.subject)” isn't for indicators")
            }
        }
        for certificate in chain.dropFirst() {
            // RFC 5280 §4.2.1.3.
            if let usage = try? certificate.extensions.keyUsage, !usage.keyCertSign {
                return .failsToMeetPolicy(reason: "the key of “\(certificate.subject)” may not sign certificates")
            }
        }
        return .meetsPolicy
    }
}
