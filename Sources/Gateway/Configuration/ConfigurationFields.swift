import Yams

// Every key of `postern.yaml`. A key is added by one line here: its reading, its default (taken from `Configuration` itself) and its
// documentation can't drift apart.

extension Configuration {
    /// Every key that may be written, in the order of the documentation.
    public static var documentation: [ConfigurationKey] {
        ConfigurationField.flatten(fields, below: "")
    }

    static let fields: [ConfigurationField<Configuration>] = {
        let initial = Configuration()
        return [
            .init(
                "hostname", \.hostname, .hostname, in: initial, required: true, example: "mail.kartapuce.test",
                "the host's own name in greetings, EHLO and Received fields"),
            .init(
                "roles", \.roles, .roles, in: initial, example: "[mx, relay]",
                "what this process is; none, written [] or left out, where there is only a milter"),
            .init(
                "dataFolder", \.dataFolder, .path("folder"), in: initial, example: "/var/lib/postern",
                "the folder for spool, mailboxes and journeys"),
            .init(
                "domains", \.domains, ConfigurationValue.domain.list(minimum: 1), in: initial, required: true, example: "[kartapuce.test]",
                "the organisation's mail domains"),
            certificateField, certificatesField,
            .init(
                "weakCiphers", \.weakCiphers, .flag, in: initial, example: "true",
                "whether role mx offers old MTAs weak suites of TLS 1.2 (CBC, no forward secrecy) behind the strong ones, in place of no TLS at all"),
            acmeField, linkField,
            .init(
                "authorities", \.authorities, ConfigurationValue.path("file").list(), in: initial, example: "[extra-authority.pem]",
                "further authorities that verified targets may have certificates of, beside the system's"),
            listenersField, peersField, routesField, webmailField,
            .init("resolver", \.resolver, fields: resolverFields, "how names are looked up"),
            .init("authentication", \.authentication, fields: authenticationFields, "how role mx, and postern milter, judge who sent a message"),
            .init("web", \.web, fields: webFields, "how web servers of other organisations are spoken with"),
            .init("signing", \.signing, fields: signingFields, "how role relay signs what it sends, and postern milter what is our own"),
            .init("transport", \.transport, fields: transportFields, "how role relay protects mail on its way to other organisations"),
            policiesField, clientsField,
            milterField, reportsField, dnsField,
            .init("limits", \.limits, fields: limitFields, "what clients may do at most"),
            .init("queue", \.queue, fields: queueFields, "when and how much is delivered"),
            .init("journeys", \.journeys, fields: journeyFields, "the evidence of what was done for each message"),
            .init("logging", \.logging, fields: loggingFields, "the server's own log"),
            monitoringField,
            .init(
                "outboundAddress", \.outboundAddress, ConfigurationValue.address.optional, in: initial, example: "192.0.2.25",
                "the local address of connections to other hosts; none: the system chooses"),
            .init(
                "outboundPort", \.outboundPort, .port, in: initial, example: "25",
                "the port of other organisations' MTAs; another than 25 only in tests"),
            // RFC 5321 §4.5.3.2: clients have to wait up to 10 minutes.
            .init(
                "outboundTimeoutSeconds", \.outboundTimeoutSeconds, .duration(unit: 1000, 1...600), in: initial, example: "10m",
                "the longest wait for a single step of another host; shorter than 10m only in tests"),
            .init(
                "subaddressSeparator", \.subaddressSeparator, .separator, in: initial, example: "\"+\"",
                "what separates a sub-address from a user's name (bob+lists); empty switches them off"),
        ]
    }()

    private static let certificateFields: [ConfigurationField<CertificateFiles>] = {
        let initial = CertificateFiles(certificate: "", key: "")
        return [
            .init(
                "certificate", \.certificate, .path("file"), in: initial, required: true, example: "mail.pem",
                "PEM file of the certificate with those between it and its authority"),
            .init("key", \.key, .path("file"), in: initial, required: true, example: "mail-key.pem", "PEM file of its private key"),
        ]
    }()

    private static let linkFields: [ConfigurationField<LinkFiles>] = {
        let initial = LinkFiles(certificate: "", key: "", authority: "")
        return [
            .init(
                "certificate", \.certificate, .path("file"), in: initial, required: true, example: "link.pem",
                "PEM file of this host's link certificate, as postern pki issue writes it"),
            .init("key", \.key, .path("file"), in: initial, required: true, example: "link-key.pem", "PEM file of its private key"),
            .init(
                "authority", \.authority, .path("file"), in: initial, required: true, example: "authority.pem",
                "PEM file of the internal authority's certificate"),
        ]
    }()

    private static let certificateField = ConfigurationField<Configuration>(
        "certificate", type: "mapping", defaultValue: "none", example: "{certificate: mail.pem, key: mail-key.pem}",
        children: ConfigurationField.flatten(certificateFields, below: "certificate"),
        "the certificate that clients and the internet see; none: no TLS towards them"
    ) { target, node, reader in
        var files = CertificateFiles(certificate: "", key: "")
        reader.readMapping(node, certificateFields, into: &files)
        target.certificate = files
    }

    private static let certificatesField = ConfigurationField<Configuration>(
        "certificates", type: "list of mappings", defaultValue: "[]", example: "[{certificate: policies.pem, key: policies-key.pem}]",
        children: ConfigurationField.flatten(certificateFields, below: "certificates[]"),
        "certificates for further names, which clients get that ask for one of them (SNI); everybody else gets certificate"
    ) { target, node, reader in
        guard case .sequence(let sequence) = node else {
            return reader.reportError(at: node, "must be a list: write each as “- {certificate: policies.pem, key: policies-key.pem}”")
        }
        for (index, element) in sequence.enumerated() {
            let files = reader.within(String(index), at: element) { reader in
                var files = CertificateFiles(certificate: "", key: "")
                reader.readMapping(element, certificateFields, into: &files)
                return files
            }
            target.certificates.append(files)
        }
    }

    private static let monitoringFields: [ConfigurationField<MonitoringSettings>] = {
        let initial = MonitoringSettings()
        return [
            .init("address", \.address, .address, in: initial, example: "127.0.0.1", "a loopback address"),
            .init("port", \.port, .port, in: initial, example: "9154", "the port of /metrics, /healthz and /readyz"),
        ]
    }()

    private static let monitoringField = ConfigurationField<Configuration>(
        "monitoring", type: "mapping", defaultValue: "none", example: "{port: 9154}",
        children: ConfigurationField.flatten(monitoringFields, below: "monitoring"),
        "where programs of this machine ask for metrics and health by HTTP; none: nowhere"
    ) { target, node, reader in
        var settings = MonitoringSettings()
        reader.readMapping(node, monitoringFields, into: &settings)
        target.monitoring = settings
    }

    private static let linkField = ConfigurationField<Configuration>(
        "link", type: "mapping", defaultValue: "none", example: "{certificate: link.pem, key: link-key.pem, authority: authority.pem}",
        children: ConfigurationField.flatten(linkFields, below: "link"),
        "how this host proves itself to the other Postern hosts"
    ) { target, node, reader in
        var files = LinkFiles(certificate: "", key: "", authority: "")
        reader.readMapping(node, linkFields, into: &files)
        target.link = files
    }

    private static let webmailFields: [ConfigurationField<WebmailSettings>] = {
        let initial = WebmailSettings()
        return [
            .init(
                "imapHost", \.imapHost, .hostname, in: initial, required: true, example: "imap.kartapuce.test",
                "the store's name, which its public certificate must have"),
            .init("imapAddress", \.imapAddress, .address, in: initial, required: true, example: "192.0.2.4", "where the store is reached"),
            .init("imapPort", \.imapPort, .port, in: initial, example: "993", "the port of its imaps listener"),
            .init(
                "submissionHost", \.submissionHost, .hostname, in: initial, required: true, example: "msa.kartapuce.test",
                "the submission host's name, which its public certificate must have"),
            .init(
                "submissionAddress", \.submissionAddress, .address, in: initial, required: true, example: "192.0.2.5",
                "where the submission host is reached"),
            .init("submissionPort", \.submissionPort, .port, in: initial, example: "465", "the port of its submissions listener"),
        ]
    }()

    private static let webmailField = ConfigurationField<Configuration>(
        "webmail", type: "mapping", defaultValue: "none",
        example:
            "{imapHost: imap.kartapuce.test, imapAddress: 192.0.2.4, submissionHost: msa.kartapuce.test, submissionAddress: 192.0.2.5}",
        children: ConfigurationField.flatten(webmailFields, below: "webmail"),
        "the hosts inside that role webmail speaks with as its users; none: no webmail"
    ) { target, node, reader in
        var settings = WebmailSettings()
        reader.readMapping(node, webmailFields, into: &settings)
        target.webmail = settings
    }

    private static let resolverFields: [ConfigurationField<ResolverSettings>] = {
        let initial = ResolverSettings()
        return [
            .init(
                "trustAnchorFile", \.trustAnchorFile, ConfigurationValue.path("file").optional, in: initial, example: "root.key",
                "trust anchors for DNSSEC; none: the system's root key"),
            .init(
                "forwarders", \.forwarders, ConfigurationValue.forwarder.list(), in: initial, example: "[127.0.0.1@5353]",
                "recursive servers to ask; empty: ask the authoritative servers from the root on"),
            .init(
                "rootHintsFile", \.rootHintsFile, ConfigurationValue.path("file").optional, in: initial, example: "root.hints",
                "the root servers' addresses; none: the built-in ones"),
            .init(
                "secureProbe", \.secureProbe, ConfigurationValue.domain.optional, in: initial, example: "signed.test",
                "a name known to be signed, asked at start to prove that validation works"),
            .init(
                "bogusProbe", \.bogusProbe, ConfigurationValue.domain.optional, in: initial, example: "broken.test",
                "a name known to be falsely signed, asked at start to prove that validation works"),
            .init(
                "timeoutSeconds", \.timeoutSeconds, .duration(unit: 1000, 1...120), in: initial, example: "10s",
                "how long a question may take"),
        ]
    }()

    private static let limitFields: [ConfigurationField<LimitSettings>] = {
        let initial = LimitSettings()
        return [
            // RFC 5321 §4.5.3.1.7: at least 64 KiB.
            .init(
                "messageSizeBytes", \.messageSizeBytes, .size(65536...(4 << 30)), in: initial, example: "50MiB",
                "the largest message"),
            // RFC 5321 §4.5.3.1.8: at least 100 recipients.
            .init(
                "recipients", \.recipients, .integer(100...100_000), in: initial, example: "1000",
                "recipients of one transaction"),
            .init("connections", \.connections, .integer(1...1_000_000), in: initial, example: "10000", "open connections in total"),
            .init(
                "connectionsPerNetwork", \.connectionsPerNetwork, .integer(1...1_000_000), in: initial, example: "200",
                "open connections from one network (IPv4 /24, IPv6 /48)"),
            .init(
                "memoryPerMessageBytes", \.memoryPerMessageBytes, .size(4096...(1 << 30)), in: initial, example: "256KiB",
                "larger messages are written to a file while they arrive"),
            .init(
                "memoryBudgetBytes", \.memoryBudgetBytes, .size((1 << 20)...(1 << 40)), in: initial, example: "512MiB",
                "what all sessions hold in memory; over it clients are answered 421"),
            .init(
                "errorsPerSession", \.errorsPerSession, .integer(1...10_000), in: initial, example: "20",
                "faulty commands after which a session is closed"),
            // RFC 5321 §4.5.3.2.7: at least 5 minutes for the server.
            .init(
                "commandTimeoutSeconds", \.commandTimeoutSeconds, .duration(unit: 1000, 1...3600), in: initial, example: "5m",
                "how long a client may take for a command"),
            // RFC 5321 §4.5.3.2.5: 3 minutes between blocks of data.
            .init(
                "dataTimeoutSeconds", \.dataTimeoutSeconds, .duration(unit: 1000, 1...3600), in: initial, example: "3m",
                "how long a client may be silent within a message"),
            .init(
                "messageTimeoutSeconds", \.messageTimeoutSeconds, .duration(unit: 1000, 1...86400), in: initial, example: "30m",
                "how long a whole message may take"),
            // RFC 5321 §6.3: loop detection by Received fields, at least 100 suggested; a lower limit stops loops earlier.
            .init("hops", \.hops, .integer(5...1000), in: initial, example: "50", "Received fields beyond which a message is in a loop"),
            .init(
                "greetingDelayMilliseconds", \.greetingDelayMilliseconds, .duration(unit: 1, 0...30_000), in: initial, example: "500ms",
                "how long the greeting waits for clients that talk too early"),
            .init(
                "stopSeconds", \.stopSeconds, .duration(unit: 1000, 1...600), in: initial, example: "20s",
                "how long sessions and deliveries may take to end when the host stops"),
            .init(
                "bareLineFeedNetworks", \.bareLineFeedNetworks, ConfigurationValue.network.list(), in: initial, example: "[192.0.2.0/28]",
                "networks whose clients may end lines by a bare line feed"),
            .init(
                "trustedNetworks", \.trustedNetworks, ConfigurationValue.network.list(), in: initial, example: "[192.0.2.0/28]",
                "networks without the limit of connections per network"),
        ]
    }()

    private static let queueFields: [ConfigurationField<QueueSettings>] = {
        let initial = QueueSettings()
        return [
            .init(
                "retrySeconds", \.retrySeconds, ConfigurationValue.duration(unit: 1000, 1...604_800).list(minimum: 1), in: initial,
                example: "[1m, 5m, 15m, 1h]", "waits between attempts; the last one repeats"),
            .init(
                "expireSeconds", \.expireSeconds, .duration(unit: 1000, 1...2_592_000), in: initial, example: "5d",
                "when a message that can't be delivered goes back"),
            .init(
                "delayWarningSeconds", \.delayWarningSeconds, .duration(unit: 1000, 1...2_592_000), in: initial, example: "4h",
                "when the sender is told that a message waits"),
            .init(
                "connectionsPerDestination", \.connectionsPerDestination, .integer(1...1000), in: initial, example: "20",
                "connections to one destination at once"),
            .init(
                "messagesPerMinutePerDestination", \.messagesPerMinutePerDestination, .integer(0...100_000), in: initial, example: "600",
                "messages that a destination outside of the house gets in a minute; 0 for no limit"),
            .init("deliveries", \.deliveries, .integer(1...10_000), in: initial, example: "200", "deliveries at once in total"),
        ]
    }()

    private static let journeyFields: [ConfigurationField<JourneySettings>] = {
        let initial = JourneySettings()
        return [
            .init(
                "enabled", \.enabled, .flag, in: initial, example: "true",
                "whether evidence is kept; false is for measuring what it costs"),
            .init("keepDays", \.keepDays, .duration(unit: 86_400_000, 1...3650), in: initial, example: "30d", "how long journeys are kept"),
            .init(
                "collectSeconds", \.collectSeconds, .duration(unit: 1000, 1...3600), in: initial, example: "5s",
                "how often the inside collects the other hosts' journeys"),
        ]
    }()

    private static let loggingFields: [ConfigurationField<LoggingSettings>] = {
        let initial = LoggingSettings()
        return [
            .init(
                "level", \.level, .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]), in: initial,
                example: "info", "the least important messages that are logged"),
            .init("json", \.json, .flag, in: initial, example: "true", "one JSON object a line instead of text"),
        ]
    }()
}
