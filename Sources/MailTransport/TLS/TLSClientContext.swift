import NIOCore
public import NIOSSL
import Synchronization

/// The certificates that a peer sent, its own first.
final class PeerChain: Sendable {
    /// More certificates than this aren't kept.
    private static let limit = 32
    private let kept = Mutex<[[UInt8]]>([])

    /// In DER.
    var certificates: [[UInt8]] { kept.withLock { $0 } }

    func keep(_ certificates: [NIOSSLCertificate]) {
        let octets = certificates.prefix(Self.limit).compactMap { try? $0.toDERBytes() }
        kept.withLock { $0 = octets }
    }
}

/// The rules with which we open TLS sessions to others. Can be made again from its files while connections go on.
public final class TLSClientContext: Sendable {
    /// How a session that was established by this context judged the peer's certificate.
    public let verification: TLSSummary.Verification
    /// The peer's roles count: its certificate was verified against the internal authority.
    public let readsRoles: Bool
    private let load: @Sendable () throws -> NIOSSLContext
    private let loaded: Mutex<NIOSSLContext>

    private init(verification: TLSSummary.Verification, readsRoles: Bool, load: @escaping @Sendable () throws -> NIOSSLContext) throws {
        self.verification = verification
        self.readsRoles = readsRoles
        self.load = load
        loaded = Mutex(try load())
    }

    /// The library's context.
    public var context: NIOSSLContext { loaded.withLock { $0 } }

    /// Reads the files again; sessions that begin later use what they hold now.
    /// - Throws: ``TLSFailure``; then what was read before stays in use.
    public func reload() throws { try reading()() }

    /// Reads the files again without using what they hold: several contexts change together, or none.
    /// - Returns: what puts it into use.
    /// - Throws: ``TLSFailure``.
    public func reading() throws -> () -> Void {
        let fresh = try load()
        return { self.loaded.withLock { $0 = fresh } }
    }

    private static func context(_ configuration: TLSConfiguration, purpose: String) throws -> NIOSSLContext {
        var configuration = configuration
        configuration.curves = TLSPolicy.curves
        configuration.renegotiationSupport = .none
        return try TLSPolicy.context(configuration, purpose)
    }

    /// Encrypts without asking who the other one is (RFC 7435).
    /// - Throws: ``TLSFailure``.
    public static func opportunistic() throws -> TLSClientContext {
        try TLSClientContext(verification: .unverified, readsRoles: false) {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            configuration.cipherSuites = TLSPolicy.internetCiphers
            configuration.certificateVerification = .none
            return try context(configuration, purpose: "opportunistic TLS")
        }
    }

    /// Takes every certificate, so that whoever judges sees what the peer sent. What is judged comes from
    /// ``makeHandler(serverHostname:keeping:)``.
    /// - Throws: ``TLSFailure``.
    public static func observing() throws -> TLSClientContext {
        try TLSClientContext(verification: .unverified, readsRoles: false) {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            configuration.cipherSuites = TLSPolicy.internetCiphers
            // Without a verification the library doesn't hand out the chain.
            configuration.certificateVerification = .noHostnameVerification
            return try context(configuration, purpose: "TLS with other hosts")
        }
    }

    /// Offers one outdated version and no other: only to find out who still takes it (RFC 8996). Nothing is ever said in such a session.
    static func outdated(_ version: TLSVersionInquiry.Version) throws -> TLSClientContext {
        try TLSClientContext(verification: .unverified, readsRoles: false) {
            var configuration = TLSConfiguration.makeClientConfiguration()
            let number: TLSVersion = version == .tls10 ? .tlsv1 : .tlsv11
            configuration.minimumTLSVersion = number
            configuration.maximumTLSVersion = number
            configuration.cipherSuites = "ALL:!aNULL:!eNULL"
            configuration.certificateVerification = .noHostnameVerification
            return try context(configuration, purpose: "\(version.rawValue)")
        }
    }

    /// Demands a certificate that is valid for the host's name, from an authority of the system or from one of these.
    /// - Parameter additionalAuthorityFiles: PEM files of further authorities.
    /// - Throws: ``TLSFailure`` that names the file.
    public static func verified(additionalAuthorityFiles: [String] = []) throws -> TLSClientContext {
        try TLSClientContext(verification: .verified, readsRoles: false) {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            configuration.cipherSuites = TLSPolicy.strictCiphers
            configuration.certificateVerification = .fullVerification
            configuration.additionalTrustRoots = try additionalAuthorityFiles.map { .certificates(try TLSPolicy.chain($0)) }
            return try context(configuration, purpose: "verified TLS")
        }
    }

    /// For HTTPS to other organisations: a chain of certificates that ends at a root of the web, and ``HTTPSIdentity`` looks at the names itself, because
    /// it takes only DNS-IDs (RFC 9525 §6.3) and may refuse wildcards.
    /// - Parameter authorityFile: a PEM file with the roots that are trusted instead of the system's; `nil`: the system's.
    /// - Throws: ``TLSFailure`` that names the file.
    public static func web(authorityFile: String? = nil) throws -> TLSClientContext {
        try TLSClientContext(verification: .verified, readsRoles: false) {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            configuration.cipherSuites = TLSPolicy.strictCiphers
            configuration.certificateVerification = .noHostnameVerification
            configuration.applicationProtocols = ["http/1.1"]
            if let authorityFile { configuration.trustRoots = .certificates(try TLSPolicy.chain(authorityFile)) }
            return try context(configuration, purpose: "HTTPS")
        }
    }

    /// A link between our hosts: TLS 1.3 with our certificate; the peer's must come from the internal authority.
    ///
    /// Deliberate: the host's name is not compared. The caller must check that ``TLSSummary/peerRoles`` holds the role it wants.
    /// - Throws: ``TLSFailure`` that names the file.
    public static func link(certificateFile: String, keyFile: String, authorityFile: String) throws -> TLSClientContext {
        try TLSClientContext(verification: .verified, readsRoles: true) {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv13
            configuration.certificateChain = try TLSPolicy.chain(certificateFile).map { .certificate($0) }
            configuration.privateKey = .privateKey(try TLSPolicy.key(keyFile))
            configuration.trustRoots = .certificates(try TLSPolicy.chain(authorityFile))
            configuration.certificateVerification = .noHostnameVerification
            return try context(configuration, purpose: "links")
        }
    }

    /// A handler for one connection.
    /// - Parameter serverHostname: the peer's name for SNI and verification; `nil` sends no SNI. Must not be an IP address.
    /// - Throws: what NIOSSL says of an unusable name.
    public func makeHandler(serverHostname: String?) throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(context: context, serverHostname: serverHostname)
    }

    /// A handler for one connection that takes every chain and keeps it.
    /// - Throws: what NIOSSL says of an unusable name.
    func makeHandler(serverHostname: String?, keeping chain: PeerChain) throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(context: context, serverHostname: serverHostname) { certificates, promise in
            chain.keep(certificates)
            promise.succeed(.certificateVerified)
        }
    }
}
