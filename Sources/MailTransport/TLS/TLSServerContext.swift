import Crypto
public import FoundationEssentials
public import NIOSSL
import SwiftASN1
import Synchronization
import X509

/// Certificate and rules with which a listener speaks TLS. Can be read again from its files while connections go on.
public final class TLSServerContext: Sendable {
    /// Who connects.
    public enum Audience: Hashable, Sendable {
        /// Mail clients, which are expected to be of this decade: TLS 1.2 with strong suites, or 1.3.
        case clients
        /// MTAs of the internet: TLS 1.2 or 1.3, weaker suites behind the strong ones.
        case internet
        /// Our own hosts: TLS 1.3 only, and a certificate of the authority in this PEM file is required.
        case link(authorityFile: String)
    }

    /// What one reading of the files gave.
    private struct Loaded {
        let context: NIOSSLContext
        let endPointBinding: [UInt8]
        let expiry: Date?
    }

    /// Who connects.
    public let audience: Audience
    private let certificateFile: String
    private let keyFile: String
    private let loaded: Mutex<Loaded>

    /// Reads the files.
    /// - Parameters:
    ///   - certificateFile: the certificate and its intermediates as PEM, leaf first.
    ///   - keyFile: the private key as PEM.
    ///   - audience: who connects.
    /// - Throws: ``TLSFailure`` that names the file.
    public init(certificateFile: String, keyFile: String, audience: Audience) throws {
        self.audience = audience
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        loaded = Mutex(try Self.load(certificateFile, keyFile, audience))
    }

    /// Reads the files again; sessions that begin later use what they hold now.
    /// - Throws: ``TLSFailure``; then the old certificate stays in use.
    public func reload() throws { try reading()() }

    /// Reads the files again without using what they hold: several contexts change together, or none.
    /// - Returns: what puts it into use.
    /// - Throws: ``TLSFailure``.
    public func reading() throws -> () -> Void {
        let fresh = try Self.load(certificateFile, keyFile, audience)
        return { self.loaded.withLock { $0 = fresh } }
    }

    /// A handler for one connection.
    public func makeHandler() -> NIOSSLServerHandler { NIOSSLServerHandler(context: context) }

    /// The library's context, for servers that put the handler in place themselves.
    public var context: NIOSSLContext { loaded.withLock { $0.context } }

    /// The channel binding `tls-server-end-point` of the leaf certificate (RFC 5929 §4.1).
    public var endPointBinding: [UInt8] { loaded.withLock { $0.endPointBinding } }

    /// When the leaf certificate expires; `nil` where it can't be read.
    public var expiry: Date? { loaded.withLock { $0.expiry } }

    private static func load(_ certificateFile: String, _ keyFile: String, _ audience: Audience) throws -> Loaded {
        let chain = try TLSPolicy.chain(certificateFile)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(try TLSPolicy.key(keyFile)))
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
        let context = try TLSPolicy.context(configuration, "certificate \(certificateFile) with key \(keyFile)")
        guard let leaf = chain.first else { throw TLSFailure(code: .unusableFile, description: "\(certificateFile) is empty") }
        return Loaded(
            context: context, endPointBinding: try endPointBinding(derBytes: leaf.toDERBytes()),
            expiry: (try? Certificate(derEncoded: leaf.toDERBytes()))?.notValidAfter)
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
