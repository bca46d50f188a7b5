public import FoundationEssentials
import MailStore

/// What a host made of being told to read its configuration again. It stands in the data folder, for the command that asked.
public struct ReloadReport: Codable, Sendable, Hashable {
    /// Counts the reloads of a process, so that an answer is known from an earlier one.
    public var number: Int
    public var time: Date
    /// Whether what could be changed is in force; otherwise nothing was changed.
    public var succeeded: Bool
    /// Sections that are in force now, such as `limits`.
    public var changed: [String]
    /// Sections that changed, but take a restart.
    public var needsRestart: [String]
    /// Why nothing was changed, or what is doubtful.
    public var problems: [String]

    private static func path(_ folder: String) -> String { "\(folder)/reload.json" }

    /// Reads the report of the last reload; `nil` where there was none.
    public static func read(folder: String) -> ReloadReport? {
        FileManager.default.contents(atPath: path(folder)).flatMap { try? JSONDecoder().decode(ReloadReport.self, from: $0) }
    }

    func write(folder: String) throws {
        let path = Self.path(folder)
        try JSONEncoder().encode(self).write(to: URL(filePath: path), options: .atomic)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    }
}

extension Configuration {
    /// The sections in which another configuration differs: those that can be changed while the host runs, and those that take a restart.
    func differences(from other: Configuration) -> (live: [String], restart: [String]) {
        func differing(_ sections: [(String, Bool)]) -> [String] { sections.filter(\.1).map(\.0) }
        return (
            differing([
                ("domains", domains != other.domains), ("routes", routes != other.routes), ("limits", limits != other.limits),
                ("queue", queue != other.queue), ("mtaSTS", mtaSTS != other.mtaSTS), ("clients", clients != other.clients),
                ("dns", dns != other.dns), ("authentication", authentication != other.authentication),
                ("web", web != other.web),
                ("signing", signing != other.signing),
                ("journeys", journeys.enabled != other.journeys.enabled || journeys.keepDays != other.journeys.keepDays),
                ("logging.level", logging.level != other.logging.level),
            ]),
            differing([
                ("hostname", hostname != other.hostname), ("roles", roles != other.roles), ("dataFolder", dataFolder != other.dataFolder),
                ("certificate", certificate != other.certificate), ("certificates", certificates != other.certificates), ("acme", acme != other.acme),
                ("link", link != other.link),
                ("authorities", authorities != other.authorities),
                ("listeners", listeners != other.listeners), ("peers", peers != other.peers), ("webmail", webmail != other.webmail),
                ("resolver", resolver != other.resolver), ("journeys.collectSeconds", journeys.collectSeconds != other.journeys.collectSeconds),
                ("transport", transport != other.transport), ("reports", reports != other.reports), ("milter", milter != other.milter),
                ("monitoring", monitoring != other.monitoring),
                ("logging.json", logging.json != other.logging.json),
                ("outboundAddress", outboundAddress != other.outboundAddress),
                ("outboundPort", outboundPort != other.outboundPort),
                ("outboundTimeoutSeconds", outboundTimeoutSeconds != other.outboundTimeoutSeconds),
                ("subaddressSeparator", subaddressSeparator != other.subaddressSeparator),
            ])
        )
    }

    /// This configuration with what another one may change while the host runs.
    func taking(liveSectionsOf other: Configuration) -> Configuration {
        var result = self
        result.domains = other.domains
        result.web = other.web
        result.mtaSTS = other.mtaSTS
        result.clients = other.clients
        result.dns = other.dns
        result.routes = other.routes
        result.limits = other.limits
        result.queue = other.queue
        result.authentication = other.authentication
        result.signing = other.signing
        result.journeys.enabled = other.journeys.enabled
        result.journeys.keepDays = other.journeys.keepDays
        result.logging.level = other.logging.level
        return result
    }

    /// The files that TLS is made of.
    var certificateFiles: [String] {
        ([certificate].compactMap { $0 } + certificates).flatMap { [$0.certificate, $0.key] } + (link.map { [$0.certificate, $0.key, $0.authority] } ?? [])
            + authorities
    }
}
