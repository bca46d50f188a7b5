/// The laboratory's stand-in for the certificate authorities that mail clients trust. It is made by OpenSSL, not by `postern pki`: the certificates that the
/// internet sees and those of the links between Postern's hosts have nothing in common.
struct PublicAuthority: Sendable {
    let folder: String

    var certificateFile: String { "\(folder)/authority.pem" }
    private var keyFile: String { "\(folder)/authority.key" }

    init(folder: String) async throws {
        self.folder = folder
        try LabFiles.makeFolder(folder)
        try await Command.require(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=Lab Public Authority",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", keyFile, "-out",
                certificateFile,
            ]
        )
    }

    /// A server's certificate and key as PEM files. Programs that can't be told another way to resolve names connect by address: hence both.
    func issue(host: String, names: [String], addresses: [String]) async throws -> (certificate: String, key: String) {
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
            "subjectAltName=\(alternatives)\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n",
            to: "\(base).ext"
        )
        try await Command.require(
            "openssl",
            [
                "x509", "-req", "-in", "\(base).csr", "-CA", certificateFile, "-CAkey", keyFile, "-CAcreateserial", "-days", "29", "-extfile",
                "\(base).ext", "-out", "\(base).pem",
            ]
        )
        return ("\(base).pem", "\(base).key")
    }
}
