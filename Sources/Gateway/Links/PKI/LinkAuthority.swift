import Crypto
public import DNS
public import FoundationEssentials
import SwiftASN1
public import X509

/// The organisation's own certificate authority for the links between Postern hosts.
///
/// A host is believed to play a role only if this authority says so in its certificate: a URI `urn:postern:role:mx` beside the host's name.
/// The authority's key is the key to the house: it belongs on a machine that is none of the hosts.
public struct LinkAuthority: Sendable {
    /// The names of the authority's files in its folder.
    public static let certificateFile = "authority.pem"
    /// The name of the key's file in the authority's folder.
    public static let keyFile = "authority-key.pem"

    /// Clocks of hosts differ; a certificate holds from this many seconds before it was made.
    private static let clockSkew: TimeInterval = 300

    /// The authority's own certificate.
    public let certificate: Certificate
    private let key: P256.Signing.PrivateKey

    /// Makes a new authority with a new key.
    /// - Parameters:
    ///   - name: the common name of its certificate.
    ///   - validity: how long it holds, in seconds.
    ///   - now: the time.
    public static func create(
        name: String = "Postern internal authority", validity: TimeInterval = 10 * 365 * 86_400, now: Date = Date()
    ) throws(PKIError) -> LinkAuthority {
        try check(validity: validity)
        let key = P256.Signing.PrivateKey()
        do {
            let subject = try DistinguishedName {
                OrganizationName("Postern")
                CommonName(name)
            }
            let publicKey = Certificate.PublicKey(key.publicKey)
            let certificate = try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: publicKey,
                notValidBefore: now.addingTimeInterval(-clockSkew), notValidAfter: now.addingTimeInterval(validity),
                issuer: subject, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    // RFC 5280 §4.2.1.9: it issues leaves only.
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                    Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                    SubjectKeyIdentifier(hash: publicKey)
                },
                issuerPrivateKey: Certificate.PrivateKey(key))
            return LinkAuthority(certificate: certificate, key: key)
        } catch {
            throw PKIError(.invalidRequest, "can't make an authority named “\(name)”: \(error)")
        }
    }

    /// Reads an authority that ``save(folder:)`` wrote.
    public static func load(folder: String) throws(PKIError) -> LinkAuthority {
        let certificate = try readCertificate(file: "\(folder)/\(certificateFile)")
        let path = "\(folder)/\(keyFile)"
        let text = try readText(file: path)
        let key: P256.Signing.PrivateKey
        do {
            key = try P256.Signing.PrivateKey(pemRepresentation: text)
        } catch {
            throw PKIError(.invalid, "\(path) holds no P-256 key in PEM; restore it from a backup, or make a new authority elsewhere")
        }
        guard Certificate.PublicKey(key.publicKey) == certificate.publicKey else {
            throw PKIError(.invalid, "\(path) is not the key of \(certificateFile); the two must come from one “postern pki init”")
        }
        return LinkAuthority(certificate: certificate, key: key)
    }

    /// Writes certificate and key, mode 0600. An authority that is there already is never overwritten.
    @discardableResult
    public func save(folder: String) throws(PKIError) -> IssuedCertificate.Files {
        for file in [Self.certificateFile, Self.keyFile] where FileManager.default.fileExists(atPath: "\(folder)/\(file)") {
            throw PKIError(.exists, "\(folder)/\(file) is there already; an authority is never overwritten, choose another folder")
        }
        try PrivateFile.createFolder(folder)
        let files = IssuedCertificate.Files(
            certificate: "\(folder)/\(Self.certificateFile)", key: "\(folder)/\(Self.keyFile)", authority: "\(folder)/\(Self.certificateFile)")
        try PrivateFile.write(key.pemRepresentation + "\n", to: files.key)
        try PrivateFile.write(try pem + "\n", to: files.certificate)
        return files
    }

    /// The authority's certificate in PEM.
    public var pem: String {
        get throws(PKIError) { try Self.pem(of: certificate) }
    }

    /// Makes a link certificate: a host with its roles, as client and as server.
    /// - Parameters:
    ///   - host: the host's full name, such as `mail.kartapuce.test`.
    ///   - roles: what it may do; at least one.
    ///   - validity: how long it holds, in seconds; never longer than the authority itself.
    ///   - now: the time.
    public func issue(
        host: String, roles: Set<Configuration.Role>, validity: TimeInterval = 397 * 86_400, now: Date = Date()
    ) throws(PKIError) -> IssuedCertificate {
        guard !roles.isEmpty else { throw PKIError(.invalidRequest, "a link certificate needs at least one role; give --role") }
        let name = try Self.check(host: host)
        let names =
            [GeneralName.dnsName(name)]
            + Configuration.Role.allCases.filter(roles.contains).map {
                .uniformResourceIdentifier(CertificateFacts.rolePrefix + $0.rawValue)
            }
        return try issue(commonName: name, names: names, usages: [.serverAuth, .clientAuth], validity: validity, now: now)
    }

    /// Makes a certificate for a TLS server that clients see, for labs and tests: it names no role and is no client's.
    /// - Parameters:
    ///   - hosts: the names that clients use; at least one.
    ///   - addresses: the addresses that clients use instead of a name.
    ///   - validity: how long it holds, in seconds; never longer than the authority itself.
    ///   - now: the time.
    public func issueServer(
        hosts: [String], addresses: [IPAddress] = [], validity: TimeInterval = 397 * 86_400, now: Date = Date()
    ) throws(PKIError) -> IssuedCertificate {
        guard let first = hosts.first else { throw PKIError(.invalidRequest, "a server certificate needs a name; give --host") }
        var names: [GeneralName] = []
        for host in hosts { names.append(.dnsName(try Self.check(host: host))) }
        names += addresses.map { .ipAddress(ASN1OctetString(contentBytes: $0.networkOrder[...])) }
        return try issue(commonName: first.lowercased(), names: names, usages: [.serverAuth], validity: validity, now: now)
    }

    private func issue(
        commonName: String, names: [GeneralName], usages: [ExtendedKeyUsage.Usage], validity: TimeInterval, now: Date
    ) throws(PKIError) -> IssuedCertificate {
        try Self.check(validity: validity)
        guard now < certificate.notValidAfter else {
            throw PKIError(.invalidRequest, "the authority's certificate has expired; make a new authority")
        }
        let leafKey = P256.Signing.PrivateKey()
        do {
            let publicKey = Certificate.PublicKey(leafKey.publicKey)
            let leaf = try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: publicKey,
                notValidBefore: max(now.addingTimeInterval(-Self.clockSkew), certificate.notValidBefore),
                notValidAfter: min(now.addingTimeInterval(validity), certificate.notValidAfter),
                issuer: certificate.subject,
                subject: try DistinguishedName {
                    OrganizationName("Postern")
                    // RFC 5280 appendix A.1: a common name has 64 characters at most; the names that count stand in the extension.
                    CommonName(String(commonName.prefix(64)))
                },
                signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.notCertificateAuthority)
                    Critical(KeyUsage(digitalSignature: true))
                    try ExtendedKeyUsage(usages)
                    SubjectAlternativeNames(names)
                    SubjectKeyIdentifier(hash: publicKey)
                    AuthorityKeyIdentifier(
                        keyIdentifier: SubjectKeyIdentifier(hash: Certificate.PublicKey(key.publicKey)).keyIdentifier)
                },
                issuerPrivateKey: Certificate.PrivateKey(key))
            return IssuedCertificate(
                certificate: leaf, certificatePEM: try Self.pem(of: leaf) + "\n", keyPEM: leafKey.pemRepresentation + "\n",
                authorityPEM: try pem + "\n")
        } catch let error as PKIError {
            throw error
        } catch {
            throw PKIError(.invalidRequest, "can't make a certificate for \(commonName): \(error)")
        }
    }

    static func readCertificate(file: String) throws(PKIError) -> Certificate {
        let text = try readText(file: file)
        do {
            guard let document = try PEMDocument.parseMultiple(pemString: text).first(where: { $0.discriminator == "CERTIFICATE" }) else {
                throw PKIError(.invalid, "\(file) holds no certificate in PEM")
            }
            return try Certificate(pemDocument: document)
        } catch let error as PKIError {
            throw error
        } catch {
            throw PKIError(.invalid, "\(file) holds no certificate in PEM: \(error)")
        }
    }

    private static func readText(file: String) throws(PKIError) -> String {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw PKIError(.notFound, "\(file) doesn't exist or can't be read by this user")
        }
        // A PEM file is ASCII; a megabyte holds hundreds of certificates.
        guard data.count <= 1 << 20, let text = String(validating: data, as: UTF8.self) else {
            throw PKIError(.invalid, "\(file) is no PEM file")
        }
        return text
    }

    private static func pem(of certificate: Certificate) throws(PKIError) -> String {
        do {
            return try certificate.serializeAsPEM().pemString
        } catch {
            throw PKIError(.invalid, "the certificate of \(certificate.subject) can't be written: \(error)")
        }
    }

    private static func check(validity: TimeInterval) throws(PKIError) {
        guard validity.isFinite, (60...100 * 366 * 86_400).contains(validity) else {
            throw PKIError(.invalidRequest, "a certificate holds from one minute to a hundred years")
        }
    }

    private static func check(host: String) throws(PKIError) -> String {
        guard let name = DomainName(configuredHost: host) else {
            throw PKIError(.invalidRequest, "“\(host)” must be a full host name such as mail.kartapuce.test")
        }
        return name.ascii
    }
}

/// A certificate with its key, fresh from the authority.
public struct IssuedCertificate: Sendable {
    /// The certificate.
    public let certificate: Certificate
    /// The certificate in PEM.
    public let certificatePEM: String
    /// Its private key in PEM (PKCS #8).
    public let keyPEM: String
    /// The authority's certificate in PEM.
    public let authorityPEM: String

    /// Where a certificate's files were written.
    public struct Files: Sendable, Hashable, Codable {
        /// The certificate's path.
        public let certificate: String
        /// The key's path.
        public let key: String
        /// The path of the authority's certificate.
        public let authority: String
    }

    /// Writes `NAME.pem`, `NAME-key.pem` and `authority.pem` into a folder, mode 0600; what is there is replaced.
    @discardableResult
    public func write(folder: String, name: String) throws(PKIError) -> Files {
        try PrivateFile.createFolder(folder)
        let files = Files(
            certificate: "\(folder)/\(name).pem", key: "\(folder)/\(name)-key.pem", authority: "\(folder)/\(LinkAuthority.certificateFile)")
        try PrivateFile.write(keyPEM, to: files.key)
        try PrivateFile.write(certificatePEM, to: files.certificate)
        try PrivateFile.write(authorityPEM, to: files.authority)
        return files
    }
}
