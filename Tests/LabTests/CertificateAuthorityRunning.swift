import DNS
import Foundation
import Gateway
import MailTesting
import Testing

@testable import Lab

/// A certificate authority that really looks (Pebble), and a name server that takes updates (Knot), for one test. The host to be certified is Postern's own
/// program with its command line.
struct CertificateWorld {
    let folder: String
    let binary: String
    private let children: [ChildProcess]

    static let nameServer = "127.87.0.1"
    static let authority = "127.87.0.2"
    static let host = "127.87.0.10"
    /// Where Pebble looks for challenges.
    static let httpPort = 5002
    static let tlsPort = 5001
    static let smtpPort = 2525
    static let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    /// A customer of the authority, as its documentation has it.
    static let customer = (identifier: "kid-1", secret: "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W")

    /// Starts both, runs the test's body, and ends them.
    static func with(externalAccounts: Bool = false, _ body: (CertificateWorld) async throws -> Void) async throws {
        let folder = try LabFiles.temporaryFolder("certificates")
        defer { LabFiles.remove(folder) }
        var children: [ChildProcess] = []
        do {
            try await start(folder, externalAccounts: externalAccounts, &children)
            try await body(CertificateWorld(folder: folder, binary: try posternBinary(), children: children))
        } catch {
            for child in children { await child.stop() }
            throw error
        }
        for child in children { await child.stop() }
    }

    private static func start(_ folder: String, externalAccounts: Bool, _ children: inout [ChildProcess]) async throws {
        let layer = try PeerLayer("authority")
        try LabFiles.makeFolder("\(folder)/etc")
        try LabFiles.makeFolder("\(folder)/zones")
        try LabFiles.write(zone, to: "\(folder)/zones/kartapuce.test.zone")
        try LabFiles.write(nameServerConfiguration(folder), to: "\(folder)/knot.conf")
        try LabFiles.write(
            "key \"postern.kartapuce.test\" {\n\talgorithm hmac-sha256;\n\tsecret \"\(secret)\";\n};\n", to: "\(folder)/update.key", permissions: 0o600)
        // No anchor covers the zone: answers are insecure, and not bogus.
        try LabFiles.write(
            "signed.test. IN DS 12345 13 2 1111111111111111111111111111111111111111111111111111111111111111\n", to: "\(folder)/anchor")
        try LinkAuthority.create().issueServer(hosts: ["pebble.kartapuce.test"]).write(folder: folder, name: "pebble")
        try LabFiles.write(authorityConfiguration(folder, externalAccounts: externalAccounts), to: "\(folder)/pebble.json")
        children.append(
            try layer.start(name: "knot", overrides: "\(folder)/etc", program: "/usr/sbin/knotd", ["-c", "\(folder)/knot.conf"], folder: folder))
        // It rejects nonces that are good now and then, as the standard lets it: the client has to bear that.
        children.append(
            try layer.start(
                name: "pebble", overrides: "\(folder)/etc", program: "/usr/bin/env",
                [
                    "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=30", "PEBBLE_AUTHZREUSE=0", "/usr/bin/pebble", "-strict", "-config",
                    "\(folder)/pebble.json", "-dnsserver", "\(nameServer):5300",
                ], folder: folder))
        let running = children
        for (address, port) in [(nameServer, 5300), (authority, 14000)] {
            try await Waiting.until("\(address) port \(port)", timeout: .seconds(20)) { () -> Bool? in
                for child in running where !child.isRunning { throw LabError(.processFailed, "\(child.name) ended:\n\(child.lastLines())") }
                return await Waiting.accepts(address: address, port: port) ? true : nil
            }
        }
    }

    private static let zone = """
        $ORIGIN kartapuce.test.
        $TTL 60
        @ SOA ns hostmaster 1 3600 600 86400 1
        @ NS ns
        ns A \(nameServer)
        @ A \(host)
        mail A \(host)
        pebble A \(authority)

        """

    private static func nameServerConfiguration(_ folder: String) -> String {
        """
        server:
            rundir: "\(folder)"
            listen: \(nameServer)@5300
        log:
          - target: stderr
            any: info
        database:
            storage: "\(folder)/zones"
        key:
          - id: postern.kartapuce.test
            algorithm: hmac-sha256
            secret: \(secret)
        acl:
          - id: updates
            key: postern.kartapuce.test
            action: update
        template:
          - id: default
            storage: "\(folder)/zones"
            file: "%s.zone"
            zonefile-sync: -1
            zonefile-load: difference
            journal-content: changes
        zone:
          - domain: kartapuce.test
            acl: updates

        """
    }

    private static func authorityConfiguration(_ folder: String, externalAccounts: Bool) -> String {
        let accounts =
            externalAccounts
            ? "\"externalAccountBindingRequired\": true, \"externalAccountMACKeys\": {\"\(customer.identifier)\": \"\(customer.secret)\"}"
            : "\"externalAccountBindingRequired\": false"
        return """
            {"pebble": {"listenAddress": "\(authority):14000", "managementListenAddress": "\(authority):15000", "certificate": "\(folder)/pebble.pem",
            "privateKey": "\(folder)/pebble-key.pem", "httpPort": \(httpPort), "tlsPort": \(tlsPort), "ocspResponderURL": "", \(accounts)}}

            """
    }

    /// Writes Postern's configuration.
    func configure(_ challenge: String, names: String = "[mail.kartapuce.test]", port: Int? = nil, _ more: [String] = []) throws {
        let port = port ?? (challenge == "tls-alpn-01" ? Self.tlsPort : Self.httpPort)
        let lines = [
            "directory: https://pebble.kartapuce.test:14000/dir", "directoryAuthority: authority.pem", "agreesToTerms: true",
            "contacts: [\"mailto:postmaster@kartapuce.test\"]", "names: \(names)", "challenge: \(challenge)", "address: \(Self.host)", "port: \(port)",
            "updateServer: \(Self.nameServer)", "updatePort: 5300", "updateKeyFile: update.key", "updateSettleSeconds: 0",
        ]
        try LabFiles.write(
            """
            hostname: mail.kartapuce.test
            domains: [kartapuce.test]
            roles: [mx, store]
            dataFolder: data
            certificate: {certificate: mail.pem, key: mail-key.pem}
            listeners:
              - {kind: smtp, address: \(Self.host), port: \(Self.smtpPort)}
            resolver:
              forwarders: ["\(Self.nameServer)@5300"]
              trustAnchorFile: anchor
            acme:
            \((lines + more).map { "  \($0)" }.joined(separator: "\n"))

            """, to: "\(folder)/postern.yaml")
    }

    /// Runs `postern acme …`.
    func acme(_ arguments: String...) async throws -> CommandResult {
        try await Command.run(binary, ["acme"] + arguments + ["--config", "\(folder)/postern.yaml", "--json"], folder: folder)
    }

    /// Runs `postern acme …`, which has to succeed.
    func report(_ arguments: String...) async throws -> [String: Any] {
        let result = try await Command.run(binary, ["acme"] + arguments + ["--config", "\(folder)/postern.yaml", "--json"], folder: folder)
        try #require(result.succeeded, "\(result.errors)\n\(log("pebble"))")
        return try #require(try JSONSerialization.jsonObject(with: result.output) as? [String: Any])
    }

    /// Runs Postern's host during the body.
    func serving(ports: [Int], _ body: (ChildProcess) async throws -> Void) async throws {
        let host = try ChildProcess(
            name: "postern", program: binary, arguments: ["serve", "--config", "\(folder)/postern.yaml"], folder: folder, logFile: "\(folder)/postern.log")
        do {
            for port in ports {
                try await Waiting.until("postern on port \(port)", timeout: .seconds(30)) { () -> Bool? in
                    guard host.isRunning else { throw LabError(.processFailed, host.lastLines()) }
                    return await Waiting.accepts(address: Self.host, port: port) ? true : nil
                }
            }
            try await body(host)
        } catch {
            await host.stop()
            Issue.record("\(host.lastLines(30))\n\(log("pebble"))")
            throw error
        }
        await host.stop()
        #expect(!host.isRunning)
    }

    /// The names in the certificate that SMTP sessions see.
    func servedNames() async throws -> String {
        let script = "openssl s_client -connect \(Self.host):\(Self.smtpPort) -starttls smtp </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName"
        return try await Command.run("bash", ["-c", script]).outputText
    }

    /// SHA-256 of the public key that SMTP sessions see.
    func servedKey() async throws -> String {
        let script =
            "openssl s_client -connect \(Self.host):\(Self.smtpPort) -starttls smtp </dev/null 2>/dev/null | openssl x509 -noout -pubkey"
            + " | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r"
        return String(try await Command.run("bash", ["-c", script]).outputText.prefix(64))
    }

    /// The last lines of a daemon.
    func log(_ name: String) -> String { children.first { $0.name == name }?.lastLines(40) ?? "" }

    /// Whether OpenSSL takes the certificate for the name, from the authority's root.
    func verify(_ name: String = "mail.kartapuce.test") async throws {
        let root = try await Command.require("curl", ["-sSk", "https://\(Self.authority):15000/roots/0"])
        try LabFiles.write(root.output, to: "\(folder)/root.pem")
        try await Command.require(
            "openssl",
            [
                "verify", "-CAfile", "\(folder)/root.pem", "-untrusted", "\(folder)/mail.pem", "-purpose", "sslserver", "-verify_hostname", name,
                "\(folder)/mail.pem",
            ])
    }

    /// SHA-256 of a PEM file's public key, as TLSA 3 1 1 has it.
    func keyDigest() async throws -> String {
        let key = try await Command.require("openssl", ["pkey", "-in", "\(folder)/mail-key.pem", "-pubout", "-outform", "DER"])
        let digest = try await Command.require("openssl", ["dgst", "-sha256", "-r"], input: key.output)
        return String(digest.outputText.prefix(64))
    }

    /// The TLSA records that the name server has.
    func tlsa() async throws -> Set<String> {
        let answer = try await Command.require("dig", ["@\(Self.nameServer)", "-p", "5300", "+short", "_25._tcp.mail.kartapuce.test", "TLSA"])
        return Set(answer.outputText.split(separator: "\n").map { $0.split(separator: " ").dropFirst(3).joined().lowercased() })
    }

    /// The modes of the files that nobody else may read.
    func modes() throws -> [Int] {
        try ["mail.pem", "mail-key.pem", "data/acme/account-key.pem", "data/acme/state.json"].map {
            try #require(try FileManager.default.attributesOfItem(atPath: "\(folder)/\($0)")[.posixPermissions] as? Int)
        }
    }
}
