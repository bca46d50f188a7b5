import Crypto
import DNS
import FoundationEssentials
import Logging
import MailAuthentication
import MailMessage
import MailStore

extension Host {
    /// What counts and sends reports; `nil` on hosts that collect no journeys, and where reports are switched off.
    /// - Parameters:
    ///   - isFilter: this host is a filter's queue; what is counted comes from the filter.
    ///   - resolver: another one than the host's, for tests.
    ///   - poster: sends by HTTPS another way, for tests.
    ///   - current: this host as it is after a reload, with other keys and routes.
    func reportService(
        isFilter: Bool = false, resolver: (any Resolver)? = nil, poster: (any ReportPoster)? = nil, current: (@Sendable () -> Host)? = nil,
        now: @escaping @Sendable () -> Date,
        offer: @escaping @Sendable (QueuedMessage) -> Void
    ) throws -> ReportService? {
        guard let settings = configuration.reports, isFilter || mailboxes != nil else { return nil }
        let configuration = configuration
        let current = current ?? { self }
        let sender = configuration.reportSender
        let domain = try DomainName(sender.domain)
        let accountant = try ReportAccountant(configuration, settings, spool: spool, now: now, logger: logger)
        let identities = accountant.identities
        let outbound = ReportOutbound(
            hostname: configuration.hostname, signer: { configuration.roles.contains(.relay) ? current().signer : nil }, sealer: capsuleSealer,
            domain: domain.ascii)
        let dispatch = ReportDispatch(
            spool: spool, sender: sender, submitter: domain, organization: settings.organization ?? domain.ascii, hostname: configuration.hostname,
            router: { current().router }, resolver: resolver ?? reportResolver, recorder: recorder, role: queueRole, outbound: outbound,
            redactor: try FailureReportRedactor(key: redactionKey()), identities: identities, poster: poster ?? reportPoster, now: now, offer: offer,
            logger: logger)
        return ReportService(accountant: accountant, dispatch: dispatch, spool: spool, settings: settings, now: now, logger: logger)
    }

    /// Reads reports that come; `nil` where none are expected.
    func reportReception(now: @escaping @Sendable () -> Date) -> ReportReception? {
        let addresses = configuration.reportAddresses
        guard !addresses.isEmpty else { return nil }
        return ReportReception(addresses: addresses, domains: configuration.domains, spool: spool, capsules: capsuleReader, now: now)
    }

    /// The store has no way to the DNS of the internet: it asks a host that has one.
    private var reportResolver: any Resolver {
        guard configuration.roles.isDisjoint(with: [.mx, .relay]) else { return resolver }
        for role in [Configuration.Role.relay, .mx] {
            if let client = controlClient(of: role) { return RemoteTexts(host: client) }
        }
        return resolver
    }

    /// Only the relay speaks with the internet's servers; others ask it to.
    var reportPoster: (any ReportPoster)? {
        guard configuration.roles.contains(.relay) else { return controlClient(of: .relay).map { RemoteReportPoster(host: $0) } }
        do {
            return try WebReportPoster(configuration.web, resolver: resolver, group: group)
        } catch {
            logger.error("reports on TLS can't be sent by HTTPS", metadata: ["error": "\(error)"])
            return nil
        }
    }

    /// The secret that names in reports on single messages are hashed with; made when it is missing.
    private func redactionKey() throws -> [UInt8] {
        let path = "\(configuration.dataFolder)/report-key.txt"
        if FileManager.default.fileExists(atPath: path) {
            let text = (try? String(contentsOfFile: path, encoding: .utf8))?.filter { !$0.isWhitespace } ?? ""
            guard let key = Data(base64Encoded: text), key.count == 32 else {
                throw HostError("\(path) holds no key of 32 octets in Base64; remove it, and a new one is made")
            }
            return Array(key)
        }
        // The octets are copied while they are borrowed.
        let key = unsafe SymmetricKey(size: .bits256).withUnsafeBytes { unsafe Array($0) }
        try PrivateFile.write(Data(key).base64EncodedString() + "\n", to: path)
        return key
    }
}
