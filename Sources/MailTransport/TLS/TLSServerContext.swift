import Crypto
public import FoundationEssentials
import NIOCore
public import NIOSSL
import SwiftASN1
import Synchronization
import X509

/// Certificate and rules with which a listener speaks TLS. Can be read again from its files while connections go on.
public final class TLSServerContext: Sendable {
    /// Who connects.
    public enum Audience: Hashable, Sendable {
        /// Mail programs and MTAs that are expected to be of this decade: TLS 1.2 with strong suites, or 1.3.
        case clients
        /// MTAs of the internet, old ones too: TLS 1.2 or 1.3, weaker suites behind the strong ones.
        case internet
        /// Our own hosts: TLS 1.3 only, and a certificate of the authority in this PEM file is required.
        case link(authorityFile: String)
    }

    /// The PEM files of a certificate, which may be followed by its intermediates, and of its private key.
    public struct Files: Hashable, Sendable {
        /// Leaf first.
        public let certificate: String
        public let key: String
        /// Makes a pair.
        public init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    /// What one reading of the files gave.
    private struct Loaded {
        let context: NIOSSLContext
        let identities: ServerIdentities
    }

    /// Who connects.
    public let audience: Audience
    private let files: [Files]
    private let loaded: Mutex<Loaded>

    /// Reads the files.
    /// - Parameters:
    ///   - certificateFile: the certificate and its intermediates as PEM, leaf first.
    ///   - keyFile: the private key as PEM.
    ///   - further: certificates for other names, chosen by the name that a client asks for (SNI, RFC 6066 §3). Clients that ask for none, or for one
    ///     that no certificate has, get the first.
    ///   - audience: who connects.
    /// - Throws: ``TLSFailure`` that names the file.
    public init(certificateFile: String, keyFile: String, further: [Files] = [], audience: Audience) throws {
        self.audience = audience
        files = [Files(certificate: certificateFile, key: keyFile)] + further
        loaded = Mutex(try Self.load(files, audience))
    }

    /// Reads the files again; sessions that begin later use what they hold now.
    /// - Throws: ``TLSFailure``; then the old certificate stays in use.
    public func reload() throws { try reading()() }

    /// Reads the files again without using what they hold: several contexts change together, or none.
    /// - Returns: what puts it into use.
    /// - Throws: ``TLSFailure``.
    public func reading() throws -> () -> Void {
        let fresh = try Self.load(files, audience)
        return { self.loaded.withLock { $0 = fresh } }
    }

    /// A handler for one connection.
    public func makeHandler() -> NIOSSLServerHandler { NIOSSLServerHandler(context: context) }

    /// The library's context, for servers that put the handler in place themselves.
    public var context: NIOSSLContext { loaded.withLock { $0.context } }

    /// The channel binding `tls-server-end-point` (RFC 5929 §4.1) of the certificate that a client gets.
    /// - Parameter serverName: what the client asks for by SNI.
    public func endPointBinding(serverName: String?) -> [UInt8] { loaded.withLock { $0.identities[serverName].endPointBinding } }

    /// When the first of the certificates expires; `nil` where none of them can be read.
    public var expiry: Date? { loaded.withLock { $0.identities.all.compactMap(\.expiry).min() } }

    private static func load(_ files: [Files], _ audience: Audience) throws -> Loaded {
        let all = try files.map(ServerIdentity.init)
        guard let first = all.first else { throw TLSFailure(code: .unusableFile, description: "there is no certificate") }
        let identities = ServerIdentities(first: first, further: Array(all.dropFirst()))
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: first.chain.map { .certificate($0) }, privateKey: .privateKey(first.key))
        if all.count > 1 {
            configuration.sslContextCallback = { hello, promise in
                let identity = identities[hello.serverHostname]
                var override = NIOSSLContextConfigurationOverride()
                override.certificateChain = identity.chain.map { .certificate($0) }
                override.privateKey = .privateKey(identity.key)
                promise.succeed(override)
            }
        }
        configuration.curves = TLSPolicy.curves
        configuration.renegotiationSupport = .none
        switch audience {
        case .clients:
            configuration.minimumTLSVersion = .tlsv12
            configuration.cipherSuites = TLSPolicy.strictCiphers
        case .internet:
            configuration.minimumTLSVersion = .tlsv12
            configuration.cipherSuites = TLSPolicy.internetCiphers
        case .link(let authorityFile):
            configuration.minimumTLSVersion = .tlsv13
            configuration.trustRoots = .certificates(try TLSPolicy.chain(authorityFile))
            // Requires a certificate of the client; which roles it names is judged by whoever grants something.
            configuration.certificateVerification = .noHostnameVerification
        }
        // A further pair that doesn't fit together would fail only when somebody asks for it.
        for (file, identity) in zip(files, all).dropFirst() {
            let pair = TLSConfiguration.makeServerConfiguration(
                certificateChain: identity.chain.map { .certificate($0) }, privateKey: .privateKey(identity.key))
            _ = try TLSPolicy.context(pair, "certificate \(file.certificate) with key \(file.key)")
        }
        let context = try TLSPolicy.context(configuration, "certificate \(files[0].certificate) with key \(files[0].key)")
        context.setServerPreferences()
        return Loaded(context: context, identities: identities)
    }

    /// The hash of a certificate as RFC 5929 §4.1 wants it: by the hash of the certificate's own signature, SHA-256 instead of MD5
    /// and SHA-1.
    /// - Throws: ``TLSFailure`` when the certificate is not readable.
    public static func endPointBinding(derBytes: [UInt8]) throws -> [UInt8] {
        let algorithm: Certificate.SignatureAlgorithm
        do { algorithm = try Certificate(derEncoded: derBytes).signatureAlgorithm } catch { throw TLSFailure.certificate(error) }
        switch algorithm {
        case .ecdsaWithSHA384, .sha384WithRSAEncryption: return Array(SHA384.hash(data: derBytes))
        case .ecdsaWithSHA512, .sha512WithRSAEncryption: return Array(SHA512.hash(data: derBytes))
        default: return Array(SHA256.hash(data: derBytes))
        }
    }
}
