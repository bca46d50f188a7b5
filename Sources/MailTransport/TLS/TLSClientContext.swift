public import NIOSSL

/// The rules with which we open TLS sessions to others.
public final class TLSClientContext: Sendable {
    /// The library's context.
    public let context: NIOSSLContext
    /// How a session that was established by this context judged the peer's certificate.
    public let verification: TLSSummary.Verification
    /// The peer's roles count: its certificate was verified against the internal authority.
    public let readsRoles: Bool

    private init(_ configuration: TLSConfiguration, purpose: String, verification: TLSSummary.Verification, readsRoles: Bool) throws {
        var configuration = configuration
        configuration.curves = TLSPolicy.curves
        configuration.renegotiationSupport = .none
        context = try TLSPolicy.context(configuration, purpose)
        self.verification = verification
        self.readsRoles = readsRoles
    }

    /// Encrypts without asking who the other one is (RFC 7435).
    /// - Throws: ``TLSFailure``.
    public static func opportunistic() throws -> TLSClientContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.cipherSuites = TLSPolicy.internetCiphers
        configuration.certificateVerification = .none
        return try TLSClientContext(configuration, purpose: "opportunistic TLS", verification: .unverified, readsRoles: false)
    }

    /// Demands a certificate that is valid for the host's name, from an authority of the system or from one of these.
    /// - Parameter additionalAuthorityFiles: PEM files of further authorities.
    /// - Throws: ``TLSFailure`` that names the file.
    public static func verified(additionalAuthorityFiles: [String] = []) throws -> TLSClientContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.cipherSuites = TLSPolicy.strictCiphers
        configuration.certificateVerification = .fullVerification
        configuration.additionalTrustRoots = try additionalAuthorityFiles.map { .certificates(try TLSPolicy.chain($0)) }
        return try TLSClientContext(configuration, purpose: "verified TLS", verification: .verified, readsRoles: false)
    }

    /// A link between our hosts: TLS 1.3 with our certificate; the peer's must come from the internal authority.
    ///
    /// Deliberate: the host's name is not compared. The caller must check that ``TLSSummary/peerRoles`` holds the role it wants.
    /// - Throws: ``TLSFailure`` that names the file.
    public static func link(certificateFile: String, keyFile: String, authorityFile: String) throws -> TLSClientContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv13
        configuration.certificateChain = try TLSPolicy.chain(certificateFile).map { .certificate($0) }
        configuration.privateKey = .privateKey(try TLSPolicy.key(keyFile))
        configuration.trustRoots = .certificates(try TLSPolicy.chain(authorityFile))
        configuration.certificateVerification = .noHostnameVerification
        return try TLSClientContext(configuration, purpose: "links", verification: .verified, readsRoles: true)
    }

    /// A handler for one connection.
    /// - Parameter serverHostname: the peer's name for SNI and verification; `nil` sends no SNI. Must not be an IP address.
    /// - Throws: what NIOSSL says of an unusable name.
    public func makeHandler(serverHostname: String?) throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(context: context, serverHostname: serverHostname)
    }
}
