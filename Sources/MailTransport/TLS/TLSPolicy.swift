import NIOSSL

/// What is common to every TLS session of the house.
enum TLSPolicy {
    /// Key agreements in order of preference. The hybrid with ML-KEM comes first: mail that is recorded today stays closed to a
    /// quantum computer of tomorrow.
    static let curves: [NIOTLSCurve] = [.x25519_MLKEM768, .x25519, .secp256r1, .secp384r1]

    /// TLS 1.2 with forward secrecy and authenticated encryption only (RFC 9325 §4.2). TLS 1.3 suites are not configurable.
    static let strictCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL"

    /// The same, and CBC behind it for old MTAs: encryption that is weak beats none between strangers (RFC 7435 §3).
    static let internetCiphers =
        "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES128:ECDHE+AES256:RSA+AESGCM:RSA+AES:!aNULL:!eNULL:!MD5"

    /// Reads a certificate chain, leaf first.
    static func chain(_ path: String) throws -> [NIOSSLCertificate] {
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(path)
            guard !chain.isEmpty else { throw TLSFailure(code: .unusableFile, description: "\(path) holds no certificate") }
            return chain
        } catch let failure as TLSFailure {
            throw failure
        } catch {
            throw TLSFailure.file(path, "the certificate", error)
        }
    }

    /// Reads a private key.
    static func key(_ path: String) throws -> NIOSSLPrivateKey {
        do { return try NIOSSLPrivateKey(file: path, format: .pem) } catch { throw TLSFailure.file(path, "the private key", error) }
    }

    /// Makes the library's context.
    static func context(_ configuration: TLSConfiguration, _ purpose: String) throws -> NIOSSLContext {
        do { return try NIOSSLContext(configuration: configuration) } catch { throw TLSFailure.context(purpose, error) }
    }
}
