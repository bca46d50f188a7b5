import ArgumentParser
import DNS
import FoundationEssentials
import Gateway
import MailAuthentication

/// `postern dkim`.
struct DKIMCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dkim", abstract: "The keys that sign outgoing mail: make, list, rotate, publish.",
        discussion: """
            A key is published first (its record is in the DNS), then active (it signs), then retired (its record stays until the mail that it \
            signed has been delivered). generate makes a pair, RSA and Ed25519; rotate moves the pairs on by one stage; records prints what the DNS \
            must have. A host that runs takes the change with postern reload.
            """,
        subcommands: [DKIMGenerateCommand.self, DKIMListCommand.self, DKIMRotateCommand.self, DKIMRecordsCommand.self])
}

/// Which keys, and where they are.
struct DKIMKeyOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Keys of this domain only; for generate: the organisation's first domain if absent.", valueName: "domain"), transform: Self.name)
    var domain: DomainName?
    @Option(help: ArgumentHelp("The folder of the keys; absent: what the configuration says.", valueName: "folder"), completion: .directory)
    var folder: String?
    @OptionGroup var options: ConfigurationOptions

    @Sendable static func name(_ text: String) throws -> DomainName {
        do {
            return try DomainName(text)
        } catch {
            throw ValidationError("\(error)")
        }
    }

    func keys() throws -> DKIMKeyFolder { DKIMKeyFolder(path: try folder ?? options.load().dkimFolder) }

    func entries() throws -> [DKIMKeyFolder.Entry] { try keys().entries().filter { domain == nil || $0.domain == domain } }

    func chosenDomain() throws -> DomainName {
        if let domain { return domain }
        guard let first = try options.load().domains.first else { throw CommandFailure(.configuration, "the configuration names no domain") }
        return first
    }
}

/// The kinds of keys that are made.
enum DKIMKeyKind: String, CaseIterable, ExpressibleByArgument {
    case both, rsa, ed25519

    func make(bits: Int) throws -> [(suffix: String, key: DKIMPrivateKey)] {
        do {
            switch self {
            case .rsa: return [("r", try DKIMKeyPair.generate(rsaBits: bits))]
            case .ed25519: return [("e", DKIMKeyPair.generateEd25519())]
            case .both: return [("r", try DKIMKeyPair.generate(rsaBits: bits)), ("e", DKIMKeyPair.generateEd25519())]
            }
        } catch {
            throw CommandFailure(.usage, "\(error)")
        }
    }
}

/// Makes keys under selectors that tell when they were made: `p20261128r` and `p20261128e`.
enum DKIMKeyMaking {
    static func make(
        _ kind: DKIMKeyKind, bits: Int, in folder: DKIMKeyFolder, domain: DomainName, base: String?, stage: DKIMKeyFolder.Stage
    ) throws -> [DKIMKeyFolder.Entry] {
        let now = Date()
        let taken = Set(try folder.entries().filter { $0.domain == domain }.map(\.selector.ascii))
        let day = now.formatted(Date.ISO8601FormatStyle().year().month().day().dateSeparator(.omitted))
        let keys = try kind.make(bits: bits)
        var stem = base ?? "p\(day)"
        var number = 2
        // A second pair on the same day.
        while base == nil, keys.contains(where: { taken.contains(stem + $0.suffix) }) {
            stem = "p\(day)n\(number)"
            number += 1
        }
        return try keys.map { suffix, key in
            let selector = try DKIMKeyOptions.name(base != nil && keys.count == 1 ? stem : stem + suffix)
            return try folder.generate(domain: domain, selector: selector, key: key, stage: stage, at: now)
        }
    }
}

/// `postern dkim generate`.
struct DKIMGenerateCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "generate", abstract: "Make keys for a domain: RSA and Ed25519 unless said otherwise.")

    @OptionGroup var keys: DKIMKeyOptions
    @Option(help: "both, rsa or ed25519.")
    var algorithm = DKIMKeyKind.both
    @Option(help: "The size of an RSA key; 2048 is what every receiver and the DNS take.")
    var bits = 2048
    @Option(help: "The selector; absent: made of the date. Of a pair, r and e are added.")
    var selector: String?
    @Flag(help: "Sign with them at once: their records are in the DNS already.")
    var active = false
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let entries = try DKIMKeyMaking.make(
            algorithm, bits: bits, in: try keys.keys(), domain: try keys.chosenDomain(), base: selector, stage: active ? .active : .published)
        try output.show(["keys": entries]) { DKIMRecords.text(entries) }
    }
}

/// `postern dkim list`.
struct DKIMListCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the keys with their stages and ages.")

    @OptionGroup var keys: DKIMKeyOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let entries = try keys.entries()
        try output.show(["keys": entries]) {
            var table = TextTable(header: ["DOMAIN", "SELECTOR", "ALGORITHM", "BITS", "STAGE", "SINCE", "AGE"])
            for entry in entries {
                let days = Int(Date().timeIntervalSince(entry.created) / 86_400)
                table.rows.append([
                    entry.domain.ascii, entry.selector.ascii, entry.algorithm, "\(entry.bits)", entry.stage.rawValue, entry.since.formatted(.iso8601),
                    days > 180 ? "\(days) days: rotate it" : "\(days) days",
                ])
            }
            return table.text
        }
    }
}

/// `postern dkim rotate`.
struct DKIMRotateCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Move keys on: published ones sign, those that signed are retired; without a published one, new ones are made.",
        discussion: """
            First call: makes new keys and prints their records, and nothing signs with them yet. Put the records into the DNS, wait until they are \
            everywhere (a day), and call it again: the new keys sign, the old ones are retired. Run it at least every six months.
            """)

    @OptionGroup var keys: DKIMKeyOptions
    @Option(help: "What new keys are: both, rsa or ed25519.")
    var algorithm = DKIMKeyKind.both
    @Option(help: "The size of a new RSA key.")
    var bits = 2048
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let folder = try keys.keys()
        let domain = try keys.chosenDomain()
        let all = try folder.entries().filter { $0.domain == domain }
        let published = all.filter { $0.stage == .published }
        let now = Date()
        guard !published.isEmpty else {
            let made = try DKIMKeyMaking.make(algorithm, bits: bits, in: folder, domain: domain, base: nil, stage: .published)
            return try output.show(["keys": made]) {
                "Made; nothing signs with them yet. Put these records into the DNS, and rotate again when they are everywhere:\n" + DKIMRecords.text(made)
            }
        }
        // New ones first: at no moment the domain is without a key.
        for entry in published { try folder.set(.active, of: entry, at: now) }
        for entry in all where entry.stage == .active { try folder.set(.retired, of: entry, at: now) }
        let entries = try folder.entries().filter { $0.domain == domain }
        try output.show(["keys": entries]) {
            let active = entries.filter { $0.stage == .active }.map(\.selector.ascii).joined(separator: ", ")
            return "\(domain) signs with \(active) after “postern reload”. Keep the retired keys' records for a week, and remove them then."
        }
    }
}

/// `postern dkim records`.
struct DKIMRecordsCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "records", abstract: "Print the records that the DNS must have, as a zone file.")

    @OptionGroup var keys: DKIMKeyOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let entries = try keys.entries()
        try output.show(["keys": entries]) { DKIMRecords.text(entries) }
    }
}

/// Records as lines of a master file.
enum DKIMRecords {
    static func text(_ entries: [DKIMKeyFolder.Entry]) -> String {
        entries.map { entry in
            // A character-string has 255 octets at most (RFC 1035 §3.3).
            var strings: [String] = []
            var rest = Substring(entry.record)
            while !rest.isEmpty {
                strings.append("\"\(rest.prefix(250))\"")
                rest = rest.dropFirst(250)
            }
            return "; \(entry.stage.rawValue), \(entry.algorithm)\n\(entry.recordName). IN TXT ( \(strings.joined(separator: " ")) )"
        }.joined(separator: "\n")
    }
}
