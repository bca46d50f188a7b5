import DNS
import FoundationEssentials
import Gateway
import Testing
import TransportSecurity

@Suite("postern.yaml")
struct ConfigurationTests {
    private static let minimal = "hostname: mail.kartapuce.test\ndomains: [kartapuce.test]\n"
    private static let everything =
        minimal + "certificate: {certificate: c.pem, key: k.pem}\nlink: {certificate: l.pem, key: /k/l.pem, authority: a.pem}\n"

    private func load(_ yaml: String) throws -> Configuration { try Configuration(yaml: yaml, folder: "/etc/postern/") }

    private func errors(_ yaml: String) -> [String] {
        Configuration.examine(yaml: yaml, folder: "/etc/postern", checkingFiles: false).problems
            .filter { $0.severity == .error }.map(\.description)
    }

    @Test("A short configuration has every default, with listeners for its roles")
    func defaults() throws {
        let configuration = try load(Self.minimal + "certificate:\n  certificate: c.pem\n  key: k.pem\n")
        var expected = Configuration()
        expected.hostname = "mail.kartapuce.test"
        expected.domains = configuration.domains
        expected.dataFolder = "/etc/postern/data"
        expected.certificate = .init(certificate: "/etc/postern/c.pem", key: "/etc/postern/k.pem")
        expected.listeners = configuration.listeners
        #expect(configuration == expected)
        #expect(configuration.domains.map(\.ascii) == ["kartapuce.test"])
        #expect(configuration.listeners.map(\.kind) == [.smtp, .submission, .submissions, .imap, .imaps])
        #expect(configuration.listeners.map(\.port) == [25, 587, 465, 143, 993])
    }

    @Test("Every value arrives in its property")
    func values() throws {
        let configuration = try load(
            Self.everything + """
                roles: [mx]
                dataFolder: spool
                authorities: [one.pem, /two.pem]
                listeners:
                  - smtp: 127.77.2.10:2525
                  - {kind: control, address: 127.77.2.10, port: 8443}
                  - kind: link
                peers:
                  store: {host: IMAP.kartapuce.test, address: 127.77.3.4, linkPort: 4025}
                resolver:
                  trustAnchorFile: root.key
                  forwarders: [127.0.0.1@5353, 127.0.0.2]
                  secureProbe: signed.test
                  bogusProbe: bogus.test
                  timeoutSeconds: 5s
                limits:
                  messageSizeBytes: 25MiB
                  recipients: 500
                  commandTimeoutSeconds: 2m
                  dataTimeoutSeconds: 90
                  greetingDelayMilliseconds: 500ms
                  bareLineFeedNetworks: [192.0.2.0/28, 192.0.2.99]
                queue:
                  retrySeconds: [30s, 5m, 1h]
                  expireSeconds: 2d
                  delayWarningSeconds: 4h
                journeys: {keepDays: 7d, collectSeconds: 1}
                logging: {level: debug, json: true}
                outboundAddress: 127.77.2.10
                outboundPort: 2525
                subaddressSeparator: ""
                """)
        #expect(configuration.roles == [.mx])
        #expect(configuration.dataFolder == "/etc/postern/spool")
        #expect(configuration.link == .init(certificate: "/etc/postern/l.pem", key: "/k/l.pem", authority: "/etc/postern/a.pem"))
        #expect(configuration.authorities == ["/etc/postern/one.pem", "/two.pem"])
        let host = try #require(IPAddress("127.77.2.10"))
        #expect(
            configuration.listeners == [
                .init(kind: .smtp, address: host, port: 2525), .init(kind: .control, address: host, port: 8443),
                .init(kind: .link, address: .v4(0), port: 4025),
            ])
        #expect(configuration.peers[.store]?.host == "imap.kartapuce.test")
        #expect(configuration.peers[.store]?.linkPort == 4025)
        #expect(configuration.peers[.store]?.controlPort == nil)
        #expect(configuration.resolver.forwarders == ["127.0.0.1@5353", "127.0.0.2"])
        #expect(configuration.resolver.trustAnchorFile == "/etc/postern/root.key")
        #expect(configuration.resolver.secureProbe?.ascii == "signed.test")
        #expect(configuration.resolver.timeoutSeconds == 5)
        #expect(configuration.limits.messageSizeBytes == 25 << 20)
        #expect(configuration.limits.recipients == 500)
        #expect(configuration.limits.commandTimeoutSeconds == 120)
        #expect(configuration.limits.dataTimeoutSeconds == 90)
        #expect(configuration.limits.greetingDelayMilliseconds == 500)
        #expect(configuration.limits.bareLineFeedNetworks.map(\.prefixLength) == [28, 32])
        #expect(configuration.queue.retrySeconds == [30, 300, 3600])
        #expect(configuration.queue.expireSeconds == 172_800)
        #expect(configuration.queue.delayWarningSeconds == 14_400)
        #expect(configuration.journeys.keepDays == 7)
        #expect(configuration.logging.level == "debug")
        #expect(configuration.logging.json)
        #expect(configuration.outboundAddress == host)
        #expect(configuration.outboundPort == 2525)
        #expect(configuration.subaddressSeparator.isEmpty)
    }

    /// What is appended to a configuration that is right, whose last line is its fourth; so the first line here is line 5.
    private static let faults: [(yaml: String, place: String, words: [String])] = [
        ("limits:\n  recipents: 5", "6:3", ["limits.recipents", "did you mean “recipients”?"]),
        ("limits:\n  messageSize: 5MiB", "6:3", ["did you mean “messageSizeBytes”?"]),
        ("zebra: 1", "5:1", ["zebra", "unknown key", "known here", "hostname"]),
        ("limits:\n  recipients: many", "6:15", ["limits.recipients", "“many”", "100 to 100000"]),
        ("limits:\n  recipients: 99", "6:15", ["100 to 100000"]),
        ("limits:\n  recipients: [100]", "6:15", ["single value"]),
        ("limits: 5", "5:9", ["mapping"]),
        ("limits:", "5:1", ["has no value"]),
        ("limits:\n  messageSizeBytes: 50 bananas", "6:21", ["size", "50MiB"]),
        ("limits:\n  messageSizeBytes: 99999999999999999999GiB", "6:21", ["size"]),
        ("limits:\n  messageSizeBytes: 1", "6:21", ["64KiB to 4GiB"]),
        ("queue:\n  expireSeconds: 5 weeks", "6:18", ["duration", "5m"]),
        ("queue:\n  expireSeconds: 1500ms", "6:18", ["whole number of seconds"]),
        ("queue:\n  expireSeconds: 90d", "6:18", ["1s to 30d"]),
        ("queue:\n  retrySeconds: []", "6:17", ["at least 1"]),
        ("queue:\n  retrySeconds: [1m, soon]", "6:22", ["soon"]),
        ("logging:\n  level: loud", "6:10", ["trace, debug"]),
        ("logging:\n  json: yes", "6:9", ["true or false"]),
        ("outboundAddress: localhost", "5:18", ["IPv4 or IPv6"]),
        ("outboundPort: 70000", "5:15", ["1 to 65535"]),
        ("subaddressSeparator: ab", "5:22", ["\"\" for none"]),
        ("resolver:\n  forwarders: [127.0.0.1@x]", "6:16", ["127.0.0.1@5353"]),
        ("limits:\n  trustedNetworks: [192.0.2.0/33]", "6:21", ["0 to 32"]),
        ("limits:\n  bareLineFeedNetworks: [0.0.0.0/0]", "6:3", ["smuggling"]),
        ("roles: [mx, rely]", "5:13", ["did you mean “relay”?"]),
        ("roles: []", "5:1", ["at least 1"]),
        ("listeners:\n  - submision: 127.0.0.1:587", "6:5", ["did you mean “submission”?"]),
        ("listeners:\n  - imaps: 127.0.0.1:0", "6:12", ["127.0.0.1:993"]),
        ("listeners:\n  - {kind: imaps, prot: 1}", "6:19", ["listeners.0.prot", "did you mean “port”?"]),
        ("listeners:\n  - {address: 127.0.0.1, port: 1}", "6:5", ["listeners.0.kind", "is missing"]),
        ("listeners:\n  - imaps: 127.0.0.1:993\n  - smtp: 127.0.0.1:993\n  - submission: 127.0.0.1:587", "7:5", ["same address and port"]),
        ("roles: [mx, store]\nlisteners: {smtp: 25, submission: 587}", "6:23", ["needs role submission or internal"]),
        ("peers:\n  stor: {host: a.test, address: 127.0.0.1}", "6:3", ["did you mean “store”?"]),
        ("peers:\n  store: {host: a.test}", "6:10", ["peers.store.address", "is missing"]),
        ("roles: [relay]\npeers:\n  mx: {host: a.test, address: 127.0.0.1}", "7:3", ["neither linkPort nor controlPort"]),
        ("routes:\n  kartapuce.test: {host: a.test}", "6:19", ["routes.kartapuce.test.address", "is missing"]),
        ("routes:\n  b@d: {host: a.test, address: 127.0.0.1}", "6:3", ["neither a domain nor"]),
        ("routes:\n  \"*\": {host: a.test, address: 127.0.0.1, security: tls}", "6:53", ["opportunistic, verified, plain"]),
        ("routes:\n  \"*\": {host: a.test, address: 127.0.0.1, transport: uucp}", "6:54", ["smtp, lmtp"]),
        ("roles: [mx]", "5:1", ["role mx", "peers.store"]),
        ("roles: [submission]\npeers:\n  store: {host: a.test, address: 127.0.0.1, linkPort: 1}", "6:1", ["peers.relay"]),
        ("milter: {listen: [\"tcp:8891\"]}", "5:19", ["milter.listen", "inet:127.0.0.1:8891"]),
        ("milter: {listen: []}", "5:18", ["at least 1"]),
        ("milter: {clients: [0.0.0.0/0]}", "5:10", ["everybody", "no password"]),
        ("milter: {internalNetworks: [\"::/0\"]}", "5:10", ["everybody", "signed"]),
        ("milter: {listen: [\"unix:/a\", \"unix:/a\"]}", "5:10", ["twice"]),
        ("milter: {quarantine: junk}", "5:22", ["header, hold"]),
        ("milter: {submit: \"unix:/run/postern/smtp\"}", "5:18", ["where the MTA listens", "inet:127.0.0.1:25"]),
        ("hostname: again.test", "1:1", ["twice"]),
        ("a: [", "6:1", ["isn't YAML"]),
    ]

    @Test("Each fault is told with its place and its remedy", arguments: faults.indices)
    func fault(_ index: Int) {
        let (yaml, place, words) = Self.faults[index]
        let found = errors(Self.everything + yaml + "\n")
        #expect(found.contains { text in text.hasPrefix("\(place): error: ") && words.allSatisfy(text.contains) }, "\(yaml): \(found)")
    }

    @Test("A domain may have a route of its own, and the edge then needs no store")
    func routes() throws {
        let configuration = try load(
            Self.everything + """
                roles: [mx]
                routes:
                  kartapuce.test: {host: mail.kartapuce.test, address: 10.0.0.5, port: 24, transport: lmtp, security: plain, recipients: any}

                """)
        let route = try #require(configuration.routes["kartapuce.test"])
        #expect(route.host == "mail.kartapuce.test" && route.port == 24 && route.transport == .lmtp && route.security == .plain)
        #expect(route.recipients == .any)
    }

    @Test("All faults are told at once, in the order of the file")
    func allAtOnce() throws {
        let yaml = "hostname: nodots\nlimits:\n  hops: 1\n  recipients: x\nfoo: 1\n"
        let error = try #require(throws: ConfigurationError.self) { try load(yaml) }
        #expect(error.problems.map(\.line) == [0, 1, 3, 4, 5])
        #expect(error.problems.first?.key == "domains")
        #expect(error.description.contains("postern.yaml:3:9: error: limits.hops: "))
    }

    @Test("Passwords are never taken without TLS, and links never without certificates")
    func missingCertificates() {
        let found = errors(Self.minimal + "peers:\n  relay: {host: a.test, address: 127.0.0.1, linkPort: 1}\n")
        for kind in ["submission", "submissions", "imap", "imaps"] {
            #expect(found.contains { $0.contains("listener \(kind) on") && $0.contains("needs a certificate") })
        }
        #expect(found.contains { $0.contains("peers.relay: a peer needs link") })
    }

    @Test("Doubts are warnings and stop nothing")
    func warnings() {
        let report = Configuration.examine(
            yaml: Self.everything + "queue: {delayWarningSeconds: 6d}\nresolver: {secureProbe: signed.test}\n", folder: "/etc",
            checkingFiles: false)
        #expect(report.configuration != nil)
        #expect(report.problems.allSatisfy { $0.severity == .warning })
        for key in ["roles", "queue.delayWarningSeconds", "resolver.secureProbe"] { #expect(report.problems.contains { $0.key == key }, "\(key)") }
    }

    @Test("An operator's check looks for the files")
    func files() {
        let report = Configuration.examine(yaml: Self.everything, folder: "/nonexistent", checkingFiles: true)
        #expect(report.configuration == nil)
        #expect(report.problems.contains { $0.key == "certificate.certificate" && $0.message.contains("/nonexistent/c.pem") })
    }

    @Test("A file is read with its folder; one that isn't there is an error of its own")
    func loading() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/postern.yaml"
        #expect(FileManager.default.createFile(atPath: path, contents: Data(Self.everything.utf8)))
        #expect(try Configuration.load(path: path).dataFolder == "\(folder)/data")
        let error = #expect(throws: ConfigurationError.self) { try Configuration.load(path: "\(folder)/absent.yaml") }
        #expect(error?.code == .unreadable)
        #expect(FileManager.default.createFile(atPath: path, contents: Data([0x61, 0xFF])))
        #expect(throws: ConfigurationError.self) { try Configuration.load(path: path) }
    }

    @Test("Every documented key is read, with its example and its default", arguments: Configuration.documentation)
    func documentation(_ key: ConfigurationKey) throws {
        // A key that the decoder didn't know would be an error; so would an example of the wrong type.
        func isRead(_ value: String) -> [String] {
            let leaf = "\(key.name): \(value)"
            let yaml: String
            if key.path.hasPrefix("listeners[].") {
                yaml = Self.everything + "listeners:\n  - {kind: imaps, \(leaf)}\n".replacing("kind: imaps, kind", with: "kind")
            } else if key.path.hasPrefix("certificates[].") {
                let other = key.name == "key" ? "certificate" : "key"
                yaml = Self.everything + "certificates: [{\(leaf), \(other): other.pem}]\n"
            } else if key.path.hasPrefix("peers.<role>.") {
                var fields = ["host": "a.kartapuce.test", "address": "127.0.0.1", "linkPort": "1"]
                fields[key.name] = value
                let text = fields.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
                yaml = Self.everything + "peers: {store: {\(text)}}\n"
            } else if key.path.hasPrefix("routes.<domain>.") {
                var fields = ["host": "mail.kartapuce.test", "address": "127.0.0.1"]
                fields[key.name] = value
                let text = fields.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
                yaml = Self.everything + "routes: {kartapuce.test: {\(text)}}\n"
            } else if key.path.hasPrefix("certificate.") || key.path.hasPrefix("link.") {
                // Their keys need one another and stand in the fixture.
                yaml = Self.everything
            } else if key.path.hasPrefix("authentication.allowlist.<domain>.") {
                var fields = ["reason": "a list", "until": "2027-03-31"]
                fields[key.name] = value
                let text = fields.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
                yaml = Self.everything + "authentication: {allowlist: {partner.test: {\(text)}}}\n"
            } else if key.path.hasPrefix("mtaSTS.domains.<domain>.") {
                yaml = Self.everything + "mtaSTS: {domains: {kartapuce.test: {\(leaf)}}}\n"
            } else if key.path.hasPrefix("authentication.bimi.") {
                yaml = Self.everything + "authentication: {bimi: {\(leaf)}}\n"
            } else if key.path.contains(".") {
                let sections = key.path.split(separator: ".").dropLast()
                let section = sections.first ?? ""
                var keys = section == "webmail" ? Self.webmail : section == "acme" ? Self.acme : [:]
                // A section within another stands as one value there.
                if let inner = sections.dropFirst().first { keys["\(inner)"] = "{\(leaf)}" } else { keys[key.name] = value }
                yaml = Self.everything + "\(section):\n" + keys.sorted { $0.key < $1.key }.map { "  \($0.key): \($0.value)\n" }.joined()
            } else {
                yaml = Self.everything.split(separator: "\n").filter { !$0.hasPrefix("\(key.name):") }.joined(separator: "\n") + "\n\(leaf)\n"
            }
            // Whether the values make sense together is another matter than whether they can be read.
            return errors(yaml).filter { problem in ["unknown key", "must be", "no value", "YAML"].contains { problem.contains($0) } }
        }
        #expect(isRead(key.example) == [])
        #expect(!key.meaning.isEmpty)
        let isWord = ["none", "mapping"].contains(key.defaultValue) || key.defaultValue.contains(" of ")
        if !key.isRequired, !isWord { #expect(isRead(key.defaultValue) == []) }
    }

    private static let acme = ["directory": "https://acme.gmail.test/directory", "names": "[mail.kartapuce.test]"]

    private static let webmail = [
        "imapHost": "imap.kartapuce.test", "imapAddress": "127.0.0.1", "submissionHost": "msa.kartapuce.test", "submissionAddress": "127.0.0.2",
    ]

    @Test("The webmail is alone, and holds nothing that opens another host")
    func webmailAlone() throws {
        let minimal = Self.minimal + "certificate: {certificate: c.pem, key: k.pem}\n"
        let section = "webmail: {\(Self.webmail.map { "\($0.key): \($0.value)" }.sorted().joined(separator: ", "))}\n"
        let configuration = try load(minimal + section + "roles: [webmail]\n")
        #expect(configuration.listeners == [.init(kind: .https, address: .v4(0), port: 443)])
        #expect(configuration.webmail?.imapPort == 993 && configuration.webmail?.submissionPort == 465)
        #expect(configuration.webmail?.submissionHost == "msa.kartapuce.test")
        let faults = [
            (minimal + section + "roles: [webmail, store]\n", "can't share a process"), (minimal + "roles: [webmail]\n", "needs the section webmail"),
            (Self.everything + section + "roles: [webmail]\n", "must not hold a link certificate"),
            (Self.minimal + section + "roles: [webmail]\n", "needs a certificate"), (minimal + "listeners: [https: 443]\n", "needs role webmail"),
            (minimal + section + "roles: [webmail]\nlisteners: [link: 1]\n", "needs role mx or"),
            (minimal + section + "roles: [webmail]\nlisteners: []\n", "no listener https"),
            (Self.everything + "peers: {webmail: {host: a.test, address: 127.0.0.1, linkPort: 1}}\n", "no host speaks with the webmail"),
            (minimal + "roles: [webmail]\nwebmail: {imapHost: a.test}\n", "imapAddress"),
        ]
        for (yaml, words) in faults { #expect(errors(yaml).contains { $0.contains(words) }, "\(words): \(errors(yaml))") }
        let unused = Configuration.examine(yaml: minimal + section, folder: "/etc", checkingFiles: false)
        #expect(unused.configuration != nil && unused.problems.contains { $0.severity == .warning && $0.key == "webmail" })
    }

    @Test("Policies are hosted where there is a listener for them, which is there where they are")
    func policies() throws {
        let base = Self.minimal + "certificate: {certificate: c.pem, key: k.pem}\n"
        let configuration = try load(base + "mtaSTS: {mode: enforce, maxAgeSeconds: 30d, exchangers: [\"*.kartapuce.test\"]}\n")
        #expect(configuration.listeners.contains(.init(kind: .policy, address: .v4(0), port: 443)))
        #expect(configuration.mtaSTS?.mode == .enforce && configuration.mtaSTS?.maxAgeSeconds == 30 * 86_400)
        #expect(configuration.mtaSTS?.exchangers == ["*.kartapuce.test"])
        #expect(try !load(base).listeners.contains { $0.kind == .policy })
        for (yaml, words) in [
            (Self.minimal + "mtaSTS: {mode: testing}\n", "needs a certificate for mta-sts."), (base + "mtaSTS: {mode: sometimes}\n", "must be one of"),
            (base + "mtaSTS: {exchangers: [mx]}\n", "must be a host name"), (base + "mtaSTS: {maxAgeSeconds: 400d}\n", "must be from"),
            (base + "mtaSTS: {domains: {gmail.test: {mode: none}}}\n", "none of our domains"), (base + "mtaSTS: {domains: [x]}\n", "mapping of domains"),
        ] { #expect(errors(yaml).contains { $0.contains(words) }, "\(words): \(errors(yaml))") }
        let idle = Configuration.examine(
            yaml: base + "listeners: [smtp: 25, submissions: 465, imaps: 993, policy: 443]\n", folder: "/etc", checkingFiles: false)
        #expect(idle.problems.contains { $0.message.contains("nothing to serve") })
    }

    @Test("Mail programs are told where to read and send, by one source for all who ask")
    func clients() throws {
        let base = Self.minimal + "certificate: {certificate: c.pem, key: k.pem}\n"
        // A host that listens for them is the one.
        let whole = try load(base + "clients: {name: Kartapuce}\n")
        #expect(whole.listeners.contains(.init(kind: .policy, address: .v4(0), port: 443)))
        #expect(whole.clientServices.imapHost?.ascii == whole.hostname && whole.clientServices.submissionHost?.ascii == whole.hostname)
        let hosts = "imapHost: imap.kartapuce.test, submissionHost: msa.kartapuce.test"
        for section in ["clients: {\(hosts)}\n", "clients: {name: x}\ndns: {\(hosts)}\n", "clients: {\(hosts)}\ndns: {\(hosts)}\n"] {
            let services = try load(base + section).clientServices
            #expect(services.imapHost?.ascii == "imap.kartapuce.test" && services.submissionHost?.ascii == "msa.kartapuce.test")
        }
        let edge = base + "roles: [mx]\nroutes: {kartapuce.test: {host: a.test, address: 127.0.0.1}}\nlisteners: [smtp: 25, policy: 443]\n"
        for (yaml, words) in [
            (edge + "clients: {name: x}\n", "where mail programs read can't be known here"),
            (edge + "clients: {imapHost: imap.kartapuce.test}\n", "where mail programs send can't be known here"),
            (base + "clients: {imapHost: a.kartapuce.test}\ndns: {imapHost: b.kartapuce.test}\n", "would be told two things"),
            (base + "clients: {imapHost: \"a b\"}\n", "imapHost"), (base + "clients: {port: 993}\n", "unknown key"),
        ] { #expect(errors(yaml).contains { $0.contains(words) }, "\(words): \(errors(yaml))") }
        func warnings(_ yaml: String) -> [String] {
            Configuration.examine(yaml: yaml, folder: "/etc", checkingFiles: false).problems.filter { $0.severity == .warning }.map(\.message)
        }
        #expect(warnings(edge.replacing(", policy: 443", with: "") + "clients: {\(hosts)}\n").contains { $0.contains("mail programs can't ask here") })
        let acme =
            "acme:\n  directory: https://acme.gmail.test/directory\n  agreesToTerms: true\n  challenge: dns-01\n  updateServer: 127.0.0.1\n"
            + "  updateKeyFile: update.key\n"
        let named = warnings(edge + "clients: {\(hosts)}\n" + acme + "  names: [mail.kartapuce.test, autoconfig.kartapuce.test]\n")
        #expect(named.contains { $0.contains("there is no autodiscover.kartapuce.test, and whoever asks there") }, "\(named)")
        let wild = warnings(edge + "clients: {\(hosts)}\n" + acme + "  names: [mail.kartapuce.test, \"*.kartapuce.test\"]\n")
        #expect(!wild.contains { $0.contains("whoever asks there") }, "\(wild)")
    }

    @Test("A filter beside an MTA needs no role, no certificate and no listener")
    func milterAlone() throws {
        let section = "milter:\n  listen: [\"inet:127.0.0.1:8891\", \"inet:[::1]:8892\", \"unix:/run/postern/milter.sock\"]\n  internalNetworks: 10.0.0.0/8\n"
        for roles in ["", "roles: []\n"] {
            let configuration = try load(Self.minimal + roles + section)
            #expect(configuration.roles.isEmpty && configuration.listeners.isEmpty)
            let milter = try #require(configuration.milter)
            #expect(milter.listen.map(\.description) == ["inet:127.0.0.1:8891", "inet:[::1]:8892", "unix:/run/postern/milter.sock"])
            #expect(milter.internalNetworks.map(\.description) == ["10.0.0.0/8"])
            #expect(milter.quarantine == .header && !milter.seals && milter.submit.description == "inet:127.0.0.1:25")
        }
        // Reports by the filter need neither journeys nor a relay.
        let reports = "authentication: {bimi: {enabled: true, evidence: optional}}\nreports: {organization: Kartapuce}\njourneys: {enabled: false}\n"
        let configuration = try load(Self.minimal + section + reports)
        #expect(configuration.filterSendsReports && configuration.filterCounts)
        #expect(try !load(Self.minimal + section).filterCounts)
        #expect(try load(Self.everything + "roles: [relay]\n" + section).roles == [.relay])
    }

    @Test("The documentation has every property of the configuration")
    func documentationIsComplete() {
        let roots = Set(Configuration.documentation.filter { !$0.path.contains(".") }.map(\.name))
        #expect(roots == Set(Mirror(reflecting: Configuration()).children.compactMap(\.label)))
        let sections: [(String, Any)] = [
            ("resolver", Configuration.ResolverSettings()), ("limits", Configuration.LimitSettings()),
            ("queue", Configuration.QueueSettings()), ("journeys", Configuration.JourneySettings()), ("milter", Configuration.MilterSettings()),
            ("logging", Configuration.LoggingSettings()), ("acme", Configuration.ACMESettings()), ("webmail", Configuration.WebmailSettings()),
            ("web", Configuration.WebSettings()), ("authentication", Configuration.AuthenticationSettings()),
            ("authentication.bimi", Configuration.IndicatorSettings()), ("reports", Configuration.ReportSettings()),
            ("transport", Configuration.TransportSettings()), ("mtaSTS", Configuration.MTASTSSettings()),
            ("dns", Configuration.DNSSettings()), ("clients", Configuration.ClientSettings()),
        ]
        for (section, value) in sections {
            let documented = Configuration.documentation.filter { $0.path == "\(section).\($0.name)" }.map(\.name)
            #expect(Set(documented) == Set(Mirror(reflecting: value).children.compactMap(\.label)), "\(section)")
        }
    }
}
