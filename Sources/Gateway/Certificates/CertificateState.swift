import ACME
import FoundationEssentials

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What is remembered of a certificate's renewals between them: a file in the data folder.
struct CertificateState: Codable, Sendable, Equatable {
    /// The authority that ``accountURL`` belongs to.
    var directory = ""
    var accountURL: String?
    /// From 0 up to 1: spreads the renewals of many hosts; the same until the next certificate.
    var jitter = 0.0
    /// Failures one after the other.
    var failures = 0
    var nextAttempt: Date?
    var lastError: String?
    var lastSuccess: Date?
    /// What the authority says about the time of renewal, and when to ask again.
    var information: RenewalInformation?
    /// The identifier of the certificate that it was said of.
    var informationOf: String?
    var nextQuestion: Date?
    /// The rollover of the key; `nil` before the first certificate.
    var rollover: KeyRollover?
    /// When the new key came into use.
    var switchedAt: Date?

    /// - Parameter folder: the data folder.
    static func read(folder: String) throws -> CertificateState {
        let path = Self.path(folder)
        guard let data = FileManager.default.contents(atPath: path) else { return CertificateState() }
        do { return try JSONDecoder().decode(CertificateState.self, from: data) } catch {
            throw HostError("\(path) can't be read: \(error); without it the account is found again by its key: move it away")
        }
    }

    func write(folder: String) throws {
        try PrivateFile.createFolder("\(folder)/acme")
        try PrivateFile.write(String(decoding: try JSONEncoder().encode(self), as: UTF8.self), to: Self.path(folder))
    }

    private static func path(_ folder: String) -> String { "\(folder)/acme/state.json" }
}

/// One job at a time on a data folder, whichever process does it. A crash leaves nothing behind: it is a lock of the kernel's.
final class CertificateLock {
    private let descriptor: Int32

    /// - Throws: where another process has it.
    init(folder: String) throws {
        try PrivateFile.createFolder("\(folder)/acme")
        let path = "\(folder)/acme/lock"
        // Safe: the path is handed over as a C string that lives for the call.
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw HostError("\(path) can't be made (error \(errno))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw CertificateRefusal("another process renews the certificate just now; try again when it is done")
        }
    }

    deinit { close(descriptor) }
}
