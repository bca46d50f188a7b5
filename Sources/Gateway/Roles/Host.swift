import Crypto
import DNS
import FoundationEssentials
import Logging
import MailAuthentication
import MailMessage
import MailStore
import MailTransport
import NIOCore
import NIOPosix
import SASL
public import UnboundDNS

/// What a host consists of, whatever its roles: stores, resolver, TLS contexts, directory. Made once at start, shared by everything.
struct Host: Sendable {
    /// What was read at start, or at the last reload.
    private(set) var configuration: Configuration
    let group: any EventLoopGroup
    let spool: SpoolStore
    /// The mailboxes and accounts; `nil` where this host has none.
    let mailboxes: MailboxStore?
    /// The edge's digests; `nil` elsewhere.
    let digests: RecipientDigestFile?
    let resolver: UnboundResolver
    let publicTLS: TLSServerContext?
    let clientTLS: SMTPClientTLS
    /// The certificate that our other hosts see; `nil` where there are no links.
    let linkTLS: TLSServerContext?
    /// Keys of other organisations' signatures.
    let keyCache = DKIMKeyCache()
    /// Signs what the edge found out, and reports that the store writes; `nil` where this host is neither.
    let capsuleSealer: CapsuleSealer?
    let capsuleReader: CapsuleReader
    /// What this host has for indicators; `nil` where it looks for none.
    private(set) var indicators: IndicatorSource?
    /// The keys that this host signs with.
    private(set) var signingKeys: DKIMKeyFolder.Keys
    private(set) var router: Router
    private(set) var recorder: JourneyRecorder
    /// Whether the stores can be written, for everybody who writes them.
    let storage: StorageAlarm
    /// Shared by all listeners: a client may come back by another one.
    let repetitions: RepeatedMessages
    /// What other organisations' hosts offered before.
    let hostMemory: HostMemory
    let logger: Logger

    init(configuration: Configuration, group: any EventLoopGroup, logger: Logger) async throws {
        self.configuration = configuration
        self.group = group
        self.logger = logger
        storage = StorageAlarm(logger: logger)
        spool = try await SpoolStore.open(folder: configuration.dataFolder, host: configuration.hostname)
        let roles = configuration.roles
        mailboxes =
            roles.contains(.store)
            ? try await MailboxStore.open(folder: configuration.dataFolder, subaddressSeparator: configuration.subaddressSeparator) : nil
        digests =
            roles.contains(.mx) && !roles.contains(.store)
            ? RecipientDigestFile(folder: configuration.dataFolder, subaddressSeparator: configuration.subaddressSeparator) : nil
        resolver = try UnboundResolver(configuration: .init(configuration.resolver))
        publicTLS = try configuration.certificate.map {
            try TLSServerContext(
                certificateFile: $0.certificate, keyFile: $0.key,
                further: configuration.certificates.map { .init(certificate: $0.certificate, key: $0.key) },
                audience: roles.contains(.mx) && configuration.weakCiphers ? .internet : .clients)
        }
        clientTLS = SMTPClientTLS(
            opportunistic: try .opportunistic(), verified: try .verified(additionalAuthorityFiles: configuration.authorities), observing: try .observing(),
            link: try configuration.link.map {
                try .link(certificateFile: $0.certificate, keyFile: $0.key, authorityFile: $0.authority)
            })
        linkTLS = try configuration.link.map {
            try TLSServerContext(certificateFile: $0.certificate, keyFile: $0.key, audience: .link(authorityFile: $0.authority))
        }
        let writesReports = roles.contains(.store) && configuration.reports != nil && configuration.link != nil
        capsuleSealer =
            roles.contains(.mx) || writesReports ? try CapsuleSealer(configuration.link, dataFolder: configuration.dataFolder) : nil
        capsuleReader = try CapsuleReader(configuration.link, own: capsuleSealer?.ownKey)
        signingKeys = try DKIMKeyFolder(path: configuration.dkimFolder).activeKeys()
        indicators = try IndicatorSource(configuration)
        router = Router(configuration: configuration)
        recorder = JourneyRecorder(host: configuration.hostname, log: spool, isEnabled: configuration.journeys.enabled)
        repetitions = try await RepeatedMessages(spool: spool, at: .now)
        hostMemory = HostMemory(spool: spool, logger: logger)
    }

    /// Closes what was opened, when nothing uses it any more.
    func close() async throws {
        await indicators?.close()
        resolver.shutdown()
        try await mailboxes?.close()
        try await spool.close()
    }

    /// The context of the listeners that only our own hosts may use.
    func linkServerTLS() throws -> TLSServerContext {
        guard let linkTLS else {
            throw HostError("A link or control listener needs the section “link” with certificate, key and authority")
        }
        return linkTLS
    }

    /// This host under another configuration, with the same stores, resolver and certificates.
    /// - Throws: ``PKIError`` where a signing key can't be read.
    func reconfigured(_ configuration: Configuration) throws -> Host {
        var host = self
        host.signingKeys = try DKIMKeyFolder(path: configuration.dkimFolder).activeKeys()
        host.configuration = configuration
        host.indicators = try IndicatorSource(configuration, earlier: indicators)
        host.router = Router(configuration: configuration)
        host.recorder = JourneyRecorder(host: configuration.hostname, log: spool, isEnabled: configuration.journeys.enabled)
        return host
    }

    /// Reads certificates, keys and authorities again, where they are.
    /// - Throws: ``TLSFailure`` that names the file; then all stay as they were.
    func reloadCertificates() throws {
        let servers = try [publicTLS, linkTLS].compactMap { try $0?.reading() }
        let clients = try [clientTLS.verified, clientTLS.link].compactMap { try $0?.reading() }
        for use in servers + clients { use() }
    }

    /// Signs mail that leaves from here; `nil` where nothing is signed.
    var signer: OutboundSigner? {
        configuration.signing.enabled ? OutboundSigner(keys: signingKeys, settings: configuration.signing, domains: configuration.domains) : nil
    }

    /// A client for the control listener of a peer; `nil` where none is configured.
    func controlClient(of role: Configuration.Role) -> ControlClient? {
        guard let peer = configuration.peers[role], peer.controlPort != nil, let tls = clientTLS.link else { return nil }
        return ControlClient(peer: peer, role: role, tls: tls, group: group)
    }

    /// Who knows users and addresses, from this host's point of view.
    func directory() throws -> any Directory {
        if let mailboxes { return AccountDirectory(accounts: mailboxes, further: configuration.reportAddresses) }
        if let digests { return EdgeDirectory(digests: digests) }
        if let store = controlClient(of: .store) { return RemoteDirectory(store: store) }
        return NoDirectory()
    }

    /// The role that this host plays towards its peers, and in its queue.
    var queueRole: Configuration.Role {
        for role in [Configuration.Role.store, .relay, .mx, .internal, .submission] where configuration.roles.contains(role) { return role }
        return .mx
    }
}

/// A host that knows no users and asks nobody: a relay.
struct NoDirectory: Directory {
    func verifier(forUser user: EmailAddress) async throws -> SCRAMVerifier? {
        throw DirectoryUnavailable(description: "this host knows no users")
    }
    func knows(_ address: EmailAddress) async throws -> Bool { throw DirectoryUnavailable(description: "this host knows no recipients") }
    func mayUser(_ user: EmailAddress, sendAs address: EmailAddress) async throws -> Bool { false }
}

/// Why a host can't start.
struct HostError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

extension UnboundResolver.Configuration {
    /// The resolver's settings; without a trust anchor of the configuration's, the system's root key.
    public init(_ settings: Configuration.ResolverSettings) {
        self.init()
        let systemKeys = ["/var/lib/unbound/root.key", "/usr/share/dns/root.key"]
        trustAnchorFile = settings.trustAnchorFile ?? systemKeys.first { FileManager.default.fileExists(atPath: $0) }
        forwarders = settings.forwarders
        rootHintsFile = settings.rootHintsFile
        timeout = .seconds(settings.timeoutSeconds)
    }
}
