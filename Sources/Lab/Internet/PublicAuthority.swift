import TransportSecurity

/// The laboratory's stand-in for the certificate authorities that mail clients trust. It is made by OpenSSL, not by `postern pki`: the certificates that the
/// internet sees and those of the links between Postern's hosts have nothing in common.
struct PublicAuthority: Sendable {
    /// A server's certificate and its key, as PEM files.
    struct Issued: Sendable {
        var certificate: String
        var key: String

        /// What a TLSA record with selector 1 and matching type 1 says of it (RFC 6698 §2.1).
        func keyDigest() throws -> String {
            guard let octets = try PEMCertificates.parse(Array(LabFiles.read(certificate))).first else {
                throw LabError(.file, "\(certificate) has no certificate")
            }
            return PeerCertificate(octets: octets).summary.keyFingerprint
        }
    }

    let folder: String

    /// Where every certificate says that the list of those taken back is (RFC 5280 §4.2.1.13).
    static let revocationList = "http://\(LabNames.authorityDomain)/\(revocationFile)"
    private static let revocationFile = "public.crl"
    /// What its web server gives out.
    var publicFolder: String { "\(folder)/public" }

    var certificateFile: String { "\(folder)/authority.pem" }
    private var keyFile: String { "\(folder)/authority.key" }

    init(folder: String) async throws {
        self.folder = folder
        try LabFiles.makeFolder(folder)
        try await Command.require(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "120", "-subj", "/CN=Lab Public Authority",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", keyFile, "-out",
                certificateFile,
            ]
        )
        try await publishRevocations()
    }

    /// Signs the list of the certificates that were taken back: none (RFC 5280 §5).
    private func publishRevocations() async throws {
        try LabFiles.makeFolder(publicFolder)
        let base = "\(folder)/revocations"
        try LabFiles.write("[ca]\ndefault_ca=a\n[a]\ndatabase=\(base).index\ndefault_md=sha256\ndefault_crl_days=90\n", to: "\(base).conf")
        try LabFiles.write("", to: "\(base).index")
        try await Command.require(
            "openssl", ["ca", "-gencrl", "-config", "\(base).conf", "-cert", certificateFile, "-keyfile", keyFile, "-out", "\(base).pem"])
        try await Command.require(
            "openssl", ["crl", "-in", "\(base).pem", "-outform", "DER", "-out", "\(publicFolder)/\(Self.revocationFile)"])
    }

    /// A server's certificate and key as PEM files. Programs that can't be told another way to resolve names connect by address: hence both.
    func issue(host: String, names: [String], addresses: [String]) async throws -> Issued {
        let base = try await request(host: host, names: names, addresses: addresses)
        try await Command.require(
            "openssl",
            [
                "x509", "-req", "-in", "\(base).csr", "-CA", certificateFile, "-CAkey", keyFile, "-CAcreateserial", "-days", "90", "-extfile",
                "\(base).ext", "-out", "\(base).pem",
            ]
        )
        return Issued(certificate: "\(base).pem", key: "\(base).key")
    }

    /// A certificate that was good once.
    func issueExpired(host: String, names: [String]) async throws -> Issued {
        let base = try await request(host: host, names: names, addresses: [])
        try LabFiles.write(
            "[ca]\ndefault_ca=a\n[a]\ndatabase=\(base).index\nserial=\(base).serial\nnew_certs_dir=\(folder)\ndefault_md=sha256\npolicy=p\n"
                + "[p]\ncommonName=supplied\n", to: "\(base).conf")
        try LabFiles.write("", to: "\(base).index")
        try LabFiles.write("1001\n", to: "\(base).serial")
        try await Command.require(
            "openssl",
            [
                "ca", "-batch", "-notext", "-config", "\(base).conf", "-cert", certificateFile, "-keyfile", keyFile, "-in", "\(base).csr", "-extfile",
                "\(base).ext", "-startdate", "20240101000000Z", "-enddate", "20250101000000Z", "-out", "\(base).pem",
            ]
        )
        return Issued(certificate: "\(base).pem", key: "\(base).key")
    }

    /// A key, what is to be certified, and the extensions.
    private func request(host: String, names: [String], addresses: [String]) async throws -> String {
        let base = "\(folder)/\(host)"
        try await Command.require(
            "openssl",
            [
                "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=\(host)", "-keyout", "\(base).key", "-out",
                "\(base).csr",
            ]
        )
        let alternatives = (names.map { "DNS:\($0)" } + addresses.map { "IP:\($0)" }).joined(separator: ",")
        try LabFiles.write(
            "subjectAltName=\(alternatives)\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
                + "crlDistributionPoints=URI:\(Self.revocationList)\n",
            to: "\(base).ext"
        )
        return base
    }
}
