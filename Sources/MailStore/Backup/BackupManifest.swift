public import FoundationEssentials

/// What a copy of a host's data consists of: `manifest.json`.
public struct BackupManifest: Codable, Sendable, Hashable {
    /// A file of the copy.
    public struct File: Codable, Sendable, Hashable {
        /// Below the copy's folder, such as `data/spool.sqlite`.
        public var path: String
        /// In octets.
        public var byteCount: Int
        /// In hexadecimal digits.
        public var sha256: String
    }

    /// The form of the copy.
    public var format = BackupManifest.currentFormat
    /// The host that was copied.
    public var host: String
    /// When the copying began: everything that was stored before is in the copy.
    public var time: Date
    /// Messages in the queue.
    public var queuedMessages: Int
    /// Messages in mailboxes; one that stands in several counts as often.
    public var mailboxMessages: Int
    /// Ordered by path.
    public var files: [File]

    /// The form that this version writes and reads.
    public static let currentFormat = 1
    static let name = "manifest.json"

    /// Reads the manifest of a copy.
    /// - Throws: ``StoreError`` `.notFound` where there is none, `.corrupted`, `.unsupportedSchema` for a copy of a later version.
    public static func read(from folder: String) throws -> BackupManifest {
        guard let data = FileManager.default.contents(atPath: "\(folder)/\(name)") else {
            throw StoreError(.notFound, "\(folder) is no copy of a host's data: there is no readable \(name); a copy that was interrupted has none")
        }
        struct Form: Decodable { var format: Int }
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        guard let form = try? decoder.decode(Form.self, from: data) else { throw StoreError(.corrupted, "\(folder)/\(name) is damaged") }
        guard form.format == currentFormat else {
            throw StoreError(.unsupportedSchema, "\(folder) is a copy in the form \(form.format); this version reads the form \(currentFormat)")
        }
        guard let manifest = try? decoder.decode(BackupManifest.self, from: data) else {
            throw StoreError(.corrupted, "\(folder)/\(name) is damaged")
        }
        return manifest
    }

    func write(to folder: String) throws {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let octets: Data
        do { octets = try encoder.encode(self) } catch { throw StoreError(.inputOutput, "the manifest can't be written: \(error)") }
        try BodyFolder.replaceFile("\(folder)/\(Self.name)", with: Array(octets))
    }
}
