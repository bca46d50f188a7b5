import Crypto
import MailMessage
import MailStore
import Synchronization

/// The edge's knowledge of valid recipients: the digests that the inside has published last, kept on disk so that a restart with the
/// inside unreachable knows them still.
final class RecipientDigestFile: Sendable {
    private let folder: String
    private let subaddressSeparator: String
    private let current: Mutex<DigestSet?>

    /// Reads what was kept. A damaged file counts as none: the inside publishes again.
    init(folder: String, subaddressSeparator: String) {
        self.folder = folder
        self.subaddressSeparator = subaddressSeparator
        current = Mutex((try? DigestSet.load(folder: folder)) ?? nil)
    }

    /// Whether the address is valid; `nil` before the inside has published.
    func contains(_ address: EmailAddress) -> Bool? {
        current.withLock { $0?.contains(address, subaddressSeparator: subaddressSeparator) }
    }

    /// What names the digests that are in force; empty for none.
    var version: String { current.withLock { $0.map { Self.version(of: $0.serialized) } ?? "" } }

    /// What names a set of digests: a hash of its octets.
    static func version(of serialized: [UInt8]) -> String {
        HexDigits.text(Array(SHA256.hash(data: serialized).prefix(8)))
    }

    /// Puts other digests in force, on disk first.
    /// - Returns: `false` where the octets are no digests.
    func replace(with octets: [UInt8]) throws -> Bool {
        guard let set = try? DigestSet(serialized: octets) else { return false }
        try set.save(folder: folder)
        current.withLock { $0 = set }
        return true
    }
}
