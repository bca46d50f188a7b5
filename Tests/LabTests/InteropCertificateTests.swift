import ACME
import Crypto
import DNS
import Foundation
import MailTesting
import NIOPosix
import Testing
import X509

@testable import Gateway
@testable import Lab

/// Certificates from an authority that really looks, over HTTPS, with its nonces, its challenges and its chain.
@Suite(.serialized, .timeLimit(.minutes(3)), .enabled(if: PeerLayer.areInstalled, "needs Pebble and Knot; make interop installs them beside the system"))
struct InteropCertificateTests {
    @Test("http-01 before a host serves: the command answers the authority itself; a renewal keeps the key and the account")
    func web() async throws {
        try await CertificateWorld.with { world in
            try world.configure("http-01")
            let first = try await world.report("renew")
            #expect(first["names"] as? [String] == ["mail.kartapuce.test"])
            try await world.verify()
            #expect(try world.modes() == [0o600, 0o600, 0o600, 0o600])
            #expect(LabFiles.list("\(world.folder)/data/acme/challenges") == [])
            let key = try await world.keyDigest()
            let certificate = try LabFiles.read("\(world.folder)/mail.pem")
            // It isn't time.
            _ = try await world.report("renew")
            #expect(try LabFiles.read("\(world.folder)/mail.pem") == certificate)
            let second = try await world.report("renew", "--force")
            #expect(try LabFiles.read("\(world.folder)/mail.pem") != certificate)
            #expect(try await world.keyDigest() == key)
            #expect(second["account"] as? String == first["account"] as? String)
            #expect(second["keyDigests"] as? [String] == [key])
            try await world.verify()
        }
    }

    @Test("a challenge that nobody answers is told with the name and the authority's words, and tried again later")
    func nobodyAnswers() async throws {
        try await CertificateWorld.with { world in
            try world.configure("http-01", port: 5999)
            let result = try await world.acme("renew")
            #expect(!result.succeeded)
            #expect(result.errors.contains("mail.kartapuce.test") && result.errors.contains("connection"), "\(result.errors)")
            let status = try await world.report("status")
            #expect(status["failures"] as? Int == 1 && status["names"] as? [String] == [])
            #expect(!LabFiles.exists("\(world.folder)/mail.pem"))
        }
    }

    @Test("tls-alpn-01 while the host serves; sessions go on, new ones see the new certificate")
    func serving() async throws {
        try await CertificateWorld.with { world in
            try world.configure("tls-alpn-01")
            _ = try await world.report("renew")
            try await world.verify()
            try await world.serving(ports: [CertificateWorld.smtpPort, CertificateWorld.tlsPort]) { host in
                let result = try await Command.run(
                    "python3", ["-c", Self.session, CertificateWorld.host, "\(CertificateWorld.smtpPort)", world.binary, "\(world.folder)/postern.yaml"])
                #expect(result.succeeded, "\(result.errors)\n\(result.outputText)\n\(host.lastLines())")
                try await world.verify()
            }
        }
    }

    @Test("a host whose certificate has other names than are wanted has the right one by itself, and uses it at once")
    func byItself() async throws {
        try await CertificateWorld.with { world in
            try world.configure("http-01")
            _ = try await world.report("renew")
            try world.configure("http-01", names: "[mail.kartapuce.test, kartapuce.test]")
            try await world.serving(ports: [CertificateWorld.smtpPort, CertificateWorld.httpPort]) { host in
                try await Waiting.until("the new certificate in a session", timeout: .seconds(40), every: 500) { () -> Bool? in
                    guard host.isRunning else { throw LabError(.processFailed, host.lastLines()) }
                    return try await world.servedNames().contains("DNS:kartapuce.test") ? true : nil
                }
                try await world.verify("kartapuce.test")
                let status = try await world.report("status")
                #expect(status["names"] as? [String] == ["kartapuce.test", "mail.kartapuce.test"] && status["failures"] as? Int == 0)
            }
        }
    }

    /// A session that begins before the renewal and goes on after it, and two that see the certificates.
    private static let session = """
        import hashlib, smtplib, ssl, subprocess, sys
        address, port, binary, configuration = sys.argv[1:]
        def certificate():
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            client = smtplib.SMTP(address, int(port), timeout=20)
            client.starttls(context=context)
            found = hashlib.sha256(client.sock.getpeercert(True)).hexdigest()
            return client, found
        old, before = certificate()
        subprocess.run([binary, "acme", "renew", "--force", "--config", configuration], check=True)
        subprocess.run([binary, "reload", "--config", configuration], check=True)
        new, after = certificate()
        assert before != after, "the certificate is still the old one"
        assert old.noop()[0] == 250 and new.noop()[0] == 250, "a session was dropped"
        old.ehlo()
        assert old.mail("alice@gmail.test")[0] == 250, "the old session can't go on"
        old.quit()
        new.quit()
        """

    @Test("dns-01 for a wildcard, and a rollover of the key: no key is in use that no TLSA record names")
    func zone() async throws {
        try await CertificateWorld.with { world in
            try world.configure(
                "dns-01", names: "[mail.kartapuce.test, \"*.kartapuce.test\", kartapuce.test]",
                ["tlsa: [_25._tcp.mail.kartapuce.test]", "tlsaTimeToLiveSeconds: 1"])
            _ = try await world.report("renew")
            try await world.verify()
            try await world.verify("anything.kartapuce.test")
            let old = try await world.keyDigest()
            #expect(try await world.tlsa() == [old])
            let challenge = try await Command.require(
                "dig", ["@\(CertificateWorld.nameServer)", "-p", "5300", "+short", "_acme-challenge.kartapuce.test", "TXT"])
            #expect(challenge.outputText.isEmpty)
            // The first step publishes, and the old key stays in use.
            let begun = try await world.report("rollover")
            #expect(begun["rollover"] as? String == "waiting for copies of the old records to die out")
            let both = try await world.tlsa()
            #expect(both.count == 2 && both.contains(old))
            #expect(try await world.keyDigest() == old)
            // Each further step: the key in use is always one that a record names.
            try await Waiting.until("the rollover's end", timeout: .seconds(60)) { () -> Bool? in
                let report = try await world.report("rollover")
                #expect(try await world.tlsa().contains(world.keyDigest()))
                return report["rollover"] as? String == "none" ? true : nil
            }
            let new = try await world.keyDigest()
            #expect(new != old && both == [old, new])
            #expect(try await world.tlsa() == [new])
            #expect(!LabFiles.exists("\(world.folder)/data/acme/next-key.pem"))
            try await world.verify()
        }
    }

    @Test("a rollover whose process ended goes on by itself when a host starts, and its sessions see the new key")
    func goesOn() async throws {
        try await CertificateWorld.with { world in
            try world.configure("dns-01", ["tlsa: [_25._tcp.mail.kartapuce.test]", "tlsaTimeToLiveSeconds: 1"])
            _ = try await world.report("renew")
            let old = try await world.keyDigest()
            // The command publishes both records and ends.
            _ = try await world.report("rollover")
            let both = try await world.tlsa()
            #expect(both.count == 2 && both.contains(old))
            try await world.serving(ports: [CertificateWorld.smtpPort]) { host in
                #expect(try await world.servedKey() == old)
                try await Waiting.until("the rollover's end", timeout: .seconds(60), every: 200) { () -> Bool? in
                    guard host.isRunning else { throw LabError(.processFailed, host.lastLines()) }
                    // In this order: a record may go while somebody looks, and a key that was seen is named before and after.
                    let key = try await world.servedKey()
                    let named = try await world.tlsa()
                    #expect(named.contains(key) || both.subtracting([old]) == named)
                    return key != old && named == [key] ? true : nil
                }
                let status = try await world.report("status")
                #expect(status["rollover"] as? String == "none" && status["failures"] as? Int == 0)
            }
        }
    }

    @Test("an authority that serves its customers only (EAB)")
    func customers() async throws {
        try await CertificateWorld.with(externalAccounts: true) { world in
            try world.configure("http-01")
            let stranger = try await world.acme("renew")
            #expect(!stranger.succeeded && stranger.errors.contains("RFC 8555 §7.3.4"), "\(stranger.errors)")
            try LabFiles.write("\(CertificateWorld.customer.secret)\n", to: "\(world.folder)/eab", permissions: 0o600)
            try world.configure("http-01", ["externalIdentifier: \(CertificateWorld.customer.identifier)", "externalSecretFile: eab"])
            _ = try await world.report("renew")
            try await world.verify()
        }
    }

    @Test("the account's key is changed, a certificate revoked, the account closed")
    func account() async throws {
        try await CertificateWorld.with { world in
            var zone = ZoneResolver()
            zone.add(try DomainName("pebble.kartapuce.test"), .a, .address(try #require(IPAddress(CertificateWorld.authority))))
            let connection = try ACMEConnection(resolver: zone, authorityFile: "\(world.folder)/authority.pem", group: MultiThreadedEventLoopGroup.singleton)
            try world.configure("http-01")
            _ = try await world.report("renew")
            let chain = try CertificateChain(pem: try LabFiles.readText("\(world.folder)/mail.pem"))
            let key = try AccountKey(pem: try LabFiles.readText("\(world.folder)/data/acme/account-key.pem"))
            let new = AccountKey(P256.Signing.PrivateKey())
            guard case .keyChanged = try await run(.changeKey(new), key, connection) else { throw LabError(.processFailed, "the key wasn't changed") }
            // The old key has no account any more; the new one has it, and may revoke.
            guard case .revoked = try await run(.revoke(chain, reason: .superseded), new, connection) else {
                throw LabError(.processFailed, "not revoked")
            }
            // Revoked is revoked.
            guard case .revoked = try await run(.revoke(chain, reason: .superseded), new, connection) else {
                throw LabError(.processFailed, "not revoked")
            }
            guard case .deactivated = try await run(.deactivateAccount, new, connection) else { throw LabError(.processFailed, "not closed") }
            await #expect(throws: ACMEError.self) { try await run(.revoke(chain, reason: .superseded), new, connection) }
        }
    }

    @Test("what the DNS must have is published by updates, and nothing is sent where it has it")
    func records() async throws {
        try await CertificateWorld.with { world in
            try world.configure("dns-01")
            _ = try await world.report("renew")
            let yaml = try LabFiles.readText("\(world.folder)/postern.yaml")
            let section = """
                dns:
                  addresses: {mail.kartapuce.test: [\(CertificateWorld.host)]}
                  senders: [203.0.113.26]
                  reports: reports@kartapuce.test
                  certificateAuthorities: [pebble.kartapuce.test]

                """
            try LabFiles.write(yaml + section, to: "\(world.folder)/postern.yaml")
            func dns(_ arguments: String...) async throws -> CommandResult {
                try await Command.run(world.binary, ["dns"] + arguments + ["--config", "\(world.folder)/postern.yaml"], folder: world.folder)
            }
            func dig(_ name: String, _ type: String) async throws -> String {
                try await Command.require("dig", ["@\(CertificateWorld.nameServer)", "-p", "5300", "+short", name, type]).outputText
            }
            let dry = try await dns("publish", "--dry-run")
            #expect(dry.succeeded && dry.outputText.contains("+ kartapuce.test. MX 10 mail.kartapuce.test."), "\(dry.outputText)\(dry.errors)")
            #expect(try await dig("kartapuce.test", "MX") == "")
            let first = try await dns("publish")
            #expect(first.succeeded, "\(first.outputText)\(first.errors)\(world.log("knot"))")
            #expect(try await dig("kartapuce.test", "MX") == "10 mail.kartapuce.test.\n")
            #expect(try await dig("kartapuce.test", "TXT") == "\"v=spf1 ip4:203.0.113.26 -all\"\n")
            #expect(try await world.tlsa() == [try await world.keyDigest()])
            #expect(try await dig("kartapuce.test", "CAA").contains("accounturi="))
            let again = try await dns("publish")
            #expect(again.succeeded && again.outputText.contains("nothing to change"), "\(again.outputText)\(again.errors)")
            #expect(try await dns("records", "--compare").succeeded)
        }
    }

    private func run(_ job: ACMEJob, _ key: AccountKey, _ connection: ACMEConnection) async throws -> ACMEOutcome {
        var client = try ACMEClient(
            directory: "https://pebble.kartapuce.test:14000/dir", account: ACMEAccount(key: key, isAgreedToTerms: true), job: job)
        var step = client.begin()
        while true {
            switch step {
            case .send(let request): step = client.receive(try await connection.send(request), at: .now)
            case .wait(let seconds):
                try await Task.sleep(for: .seconds(seconds))
                step = client.resume()
            case .provision: throw LabError(.processFailed, "no challenge was expected")
            case .finished(let outcome): return outcome
            case .failed(let error): throw error
            }
        }
    }
}
