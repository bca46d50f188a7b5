/// A certificate, a key or an authority that cannot be used.
public struct TLSFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What went wrong.
    public enum Code: String, Hashable, Sendable {
        /// A file cannot be read, or is no PEM of the kind that is expected.
        case unusableFile
        /// Certificate and key were read, but don't make a TLS context together.
        case unusableContext
        /// A peer's certificate is not readable as X.509.
        case unreadableCertificate
    }
    /// What went wrong.
    public let code: Code
    /// What it was about, with the file's name where there is one; never key material.
    public let description: String

    @inline(never)
    static func file(_ path: String, _ purpose: String, _ error: any Error) -> TLSFailure {
        TLSFailure(code: .unusableFile, description: "\(purpose) \(path) cannot be used: \(error)")
    }

    @inline(never)
    static func context(_ purpose: String, _ error: any Error) -> TLSFailure {
        TLSFailure(code: .unusableContext, description: "no TLS context for \(purpose): \(error)")
    }

    @inline(never)
    static func certificate(_ error: any Error) -> TLSFailure {
        TLSFailure(code: .unreadableCertificate, description: "the certificate is not readable: \(error)")
    }
}
