public import DNS
public import FoundationEssentials
public import MailAuthentication

/// The DKIM keys of a host: a folder for each domain, and in it for each selector the key in PEM and what is known of it.
///
/// A key lives in three stages: *published* (its record is in the DNS, or should be; nothing is signed with it), *active* (it signs) and *retired* (it
/// signs no more; its record stays until the mail that it signed is delivered). Files are readable by their owner alone.
public struct DKIMKeyFolder: Sendable {
    /// The stage of a key's life.
    public enum Stage: String, Sendable, Codable, CaseIterable {
        case published, active, retired
    }

    /// What is known of a key.
    public struct Entry: Sendable, Codable, Hashable {
        public var domain: DomainName
        public var selector: DomainName
        /// `rsa-sha256` or `ed25519-sha256`.
        public var algorithm: String
        public var bits: Int
        public var stage: Stage
        public var created: Date
        /// When the stage began.
        public var since: Date
        /// The TXT record's text at `selector._domainkey.domain`.
        public var record: String

        /// Where the record belongs.
        public var recordName: String { "\(selector.ascii)._domainkey.\(domain.ascii)" }
    }

    /// The keys that sign.
    public struct Keys: Sendable {
        private let keys: [DomainName: [DKIMSigningKey]]

        init(_ keys: [DomainName: [DKIMSigningKey]]) { self.keys = keys }

        /// The active keys of a domain, RSA before Ed25519 (RFC 8463 §3).
        public func active(for domain: DomainName) -> [DKIMSigningKey] { keys[domain] ?? [] }
    }

    /// The folder's path.
    public let path: String

    public init(path: String) { self.path = path }

    private func files(_ domain: DomainName, _ selector: DomainName) -> (key: String, facts: String) {
        let base = "\(path)/\(domain.ascii)/\(selector.ascii)"
        return ("\(base).pem", "\(base).json")
    }

    /// All keys, by domain and age.
    /// - Throws: ``PKIError`` that names the file.
    public func entries() throws(PKIError) -> [Entry] {
        var found: [Entry] = []
        // A folder that isn't there has no keys.
        for domain in ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() {
            for file in ((try? FileManager.default.contentsOfDirectory(atPath: "\(path)/\(domain)")) ?? []).sorted() where file.hasSuffix(".json") {
                let name = "\(path)/\(domain)/\(file)"
                guard let data = FileManager.default.contents(atPath: name), let entry = try? Self.decoder.decode(Entry.self, from: data) else {
                    throw PKIError(.invalid, "\(name) doesn't describe a DKIM key; restore it from a backup, or remove it with its key")
                }
                found.append(entry)
            }
        }
        return found.sorted { ($0.domain, $0.created, $0.selector) < ($1.domain, $1.created, $1.selector) }
    }

    /// The keys that sign.
    /// - Throws: ``PKIError`` that names the file.
    public func activeKeys() throws(PKIError) -> Keys {
        var keys: [DomainName: [DKIMSigningKey]] = [:]
        for entry in try entries() where entry.stage == .active {
            let file = files(entry.domain, entry.selector).key
            guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { throw PKIError(.notFound, "\(file) can't be read") }
            do {
                let key = try DKIMPrivateKey(parsing: text)
                keys[entry.domain, default: []].append(DKIMSigningKey(domain: entry.domain, selector: entry.selector, key: key))
            } catch {
                throw PKIError(.invalid, "\(file): \(error)")
            }
        }
        return Keys(keys.mapValues { $0.sorted { $0.key.algorithm.rawValue > $1.key.algorithm.rawValue } })
    }

    /// Makes a key and keeps it. A selector that is there already is never given again: receivers keep records for a while.
    /// - Throws: ``PKIError``.
    @discardableResult
    public func generate(domain: DomainName, selector: DomainName, key: DKIMPrivateKey, stage: Stage, at time: Date) throws(PKIError) -> Entry {
        let files = files(domain, selector)
        guard !FileManager.default.fileExists(atPath: files.key) else {
            throw PKIError(.exists, "\(files.key) is there already; a selector is used once, choose another one")
        }
        try PrivateFile.createFolder("\(path)/\(domain.ascii)")
        let entry = Entry(
            domain: domain, selector: selector, algorithm: key.algorithm.rawValue, bits: key.bits, stage: stage, created: time, since: time,
            record: key.recordText)
        try PrivateFile.write(key.pem.hasSuffix("\n") ? key.pem : key.pem + "\n", to: files.key)
        try write(entry)
        return entry
    }

    /// Moves a key to another stage.
    /// - Throws: ``PKIError``.
    public func set(_ stage: Stage, of entry: Entry, at time: Date) throws(PKIError) {
        var entry = entry
        entry.stage = stage
        entry.since = time
        try write(entry)
    }

    private func write(_ entry: Entry) throws(PKIError) {
        let text: String
        do {
            text = String(decoding: try Self.encoder.encode(entry), as: UTF8.self)
        } catch {
            throw PKIError(.inputOutput, "the key's description can't be written: \(error)")
        }
        try PrivateFile.write(text + "\n", to: files(entry.domain, entry.selector).facts)
    }

    private static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return encoder
    }()

    private static let decoder: JSONDecoder = {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return decoder
    }()
}
