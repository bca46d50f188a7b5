import ACME
import Crypto
import DNS
import Foundation
import MailTesting
import Testing
import X509

@testable import Gateway

@Suite("Files of a certificate that is renewed")
struct CertificateFilesTests {
    /// A folder with a configuration that has its certificate there.
    private func with(_ body: (CertificateFiles, String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("certificates-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var configuration = Configuration()
        configuration.dataFolder = "\(folder)/data"
        configuration.certificate = .init(certificate: "\(folder)/mail.pem", key: "\(folder)/mail-key.pem")
        configuration.acme = .init()
        try body(try #require(CertificateFiles(configuration)), folder)
    }

    private func chain() throws -> CertificateChain {
        try CertificateChain(pem: try LinkAuthority.create().issueServer(hosts: ["mail.kartapuce.test"]).certificatePEM)
    }

    private func text(_ path: String) -> String? { FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } }

    @Test("a key is made once, and nothing that is no key is overwritten")
    func keys() throws {
        try with { files, folder throws in
            #expect(try files.certificateKey().publicKey == files.certificateKey().publicKey)
            #expect(try files.account().thumbprint == files.account().thumbprint)
            for path in ["\(folder)/mail-key.pem", "\(folder)/data/acme/account-key.pem"] {
                #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
                #expect(FileManager.default.createFile(atPath: path, contents: Data("something".utf8)))
            }
            #expect(throws: (any Error).self) { try files.certificateKey() }
            #expect(throws: (any Error).self) { try files.account() }
            #expect(text("\(folder)/mail-key.pem") == "something")
        }
    }

    @Test("certificate and next key change together, whenever a crash comes")
    func crashes() throws {
        try with { files, folder throws in
            _ = try files.certificateKey()
            try files.install(try chain(), withFollowingKey: false)
            let (oldKey, oldCertificate) = (text("\(folder)/mail-key.pem"), text("\(folder)/mail.pem"))
            _ = try files.following()
            let newKey = text("\(folder)/data/acme/next-key.pem")
            let newChain = try chain()
            // Before the certificate was written beside: nothing has happened, and the key is forgotten.
            try #require(newKey).write(toFile: "\(folder)/data/acme/pending-key.pem", atomically: true, encoding: .utf8)
            try files.finishInstallation()
            #expect(text("\(folder)/mail-key.pem") == oldKey && text("\(folder)/mail.pem") == oldCertificate)
            #expect(text("\(folder)/data/acme/pending-key.pem") == nil)
            // After it, before or between the two: both change.
            for alreadyWritten in [nil, newKey] {
                try #require(newKey).write(toFile: "\(folder)/data/acme/pending-key.pem", atomically: true, encoding: .utf8)
                try newChain.pem.write(toFile: "\(folder)/data/acme/pending-certificate.pem", atomically: true, encoding: .utf8)
                try (alreadyWritten ?? oldKey ?? "").write(toFile: "\(folder)/mail-key.pem", atomically: true, encoding: .utf8)
                try #require(oldCertificate).write(toFile: "\(folder)/mail.pem", atomically: true, encoding: .utf8)
                try files.finishInstallation()
                #expect(text("\(folder)/mail-key.pem") == newKey)
                #expect(try text("\(folder)/mail.pem") == newChain.pem)
                #expect(text("\(folder)/data/acme/pending-certificate.pem") == nil && text("\(folder)/data/acme/pending-key.pem") == nil)
            }
            // Done twice it changes nothing.
            try files.finishInstallation()
            #expect(text("\(folder)/mail-key.pem") == newKey)
        }
    }

    @Test("without the next key a certificate for it isn't installed")
    func keyGone() throws {
        try with { files, folder throws in
            _ = try files.certificateKey()
            let key = text("\(folder)/mail-key.pem")
            #expect(throws: (any Error).self) { try files.install(try chain(), withFollowingKey: true) }
            #expect(text("\(folder)/mail-key.pem") == key && text("\(folder)/mail.pem") == nil)
        }
    }

    @Test("one job at a time; the lock is gone with whoever had it")
    func lock() throws {
        try with { _, folder throws in
            do {
                let lock = try CertificateLock(folder: "\(folder)/data")
                #expect(throws: CertificateRefusal.self) { try CertificateLock(folder: "\(folder)/data") }
                withExtendedLifetime(lock) {}
            }
            #expect(throws: Never.self) { try CertificateLock(folder: "\(folder)/data") }
        }
    }

    @Test(
        "a stranger's token finds challenges and nothing else",
        arguments: [
            "../account-key.pem", "../../acme/account-key.pem", "", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "mail.kartapuce.test.pem", "..",
            "%2e%2e%2faccount-key.pem",
        ])
    func tokens(_ token: String) throws {
        try with { files, folder throws in
            _ = try files.account()
            let challenges = ChallengeFolder(dataFolder: "\(folder)/data")
            try FileManager.default.createDirectory(atPath: challenges.path, withIntermediateDirectories: true)
            for name in ["mail.kartapuce.test.pem", "known-token-of-128-bits-or-more"] {
                #expect(FileManager.default.createFile(atPath: "\(challenges.path)/\(name)", contents: Data(name.utf8)))
            }
            #expect(challenges.keyAuthorization(token: token) == nil)
            #expect(challenges.keyAuthorization(token: "known-token-of-128-bits-or-more") != nil)
        }
    }

    @Test(
        "URLs are taken apart, and only those of HTTPS with a host's name",
        arguments: [
            ("https://ca.test/dir", "ca.test 443 /dir"), ("https://CA.test:14000/a?b=c#d", "ca.test 14000 /a?b=c"), ("https://ca.test", "ca.test 443 /"),
            ("https://ca.test?x", "ca.test 443 /?x"), ("http://ca.test/", ""), ("https://127.0.0.1/", ""), ("https://u@ca.test/", ""),
            ("https://ca.test:0/", ""),
            ("https://ca.test:99999/", ""), ("https:///dir", ""), ("https://ca.test/a b", ""), ("https://ca.test:/", ""),
        ])
    func addresses(_ url: String, _ expected: String) {
        #expect((WebAddress(url).map { "\($0.host) \($0.port) \($0.target)" } ?? "") == expected)
    }

    private static let base = """
        hostname: mail.kartapuce.test
        domains: [kartapuce.test]
        certificate: {certificate: a.pem, key: b.pem}

        """

    @Test(
        "what the section's keys must mean together",
        arguments: [
            ("names: [\"*.kartapuce.test\"]", "dns-01 only"), ("names: [a.kartapuce.test], challenge: dns-01", "updateServer"),
            ("names: [a.kartapuce.test], tlsa: [_25._tcp.a.kartapuce.test]", "updateServer"), ("names: [a.kartapuce.test, A.kartapuce.test]", "twice"),
            ("names: [a.kartapuce.test], externalIdentifier: x", "go together"), ("names: [a.kartapuce.test], port: 465", "listener's"),
            ("names: [a.gmail.test], challenge: dns-01, updateServer: 127.0.0.1, updateKeyFile: k", "isn't in the zone"), ("challenge: http-01", "names"),
            ("names: [localhost]", "must be a host name"), ("names: [a.kartapuce.test], contacts: [bob]", "must be an address"),
        ])
    func meaning(_ keys: String, _ words: String) {
        let yaml = Self.base + "acme: {directory: \"https://acme.gmail.test/directory\", \(keys)}\n"
        let report = Configuration.examine(yaml: yaml, folder: "/etc", checkingFiles: false)
        #expect(report.configuration == nil)
        #expect(report.problems.contains { "\($0)".contains(words) }, "\(report.problems)")
    }

    @Test("a section that makes sense")
    func sense() throws {
        let yaml = Self.base + "acme: {directory: \"https://acme.gmail.test/directory\", names: [mail.kartapuce.test], agreesToTerms: true}\n"
        let report = Configuration.examine(yaml: yaml, folder: "/etc", checkingFiles: false)
        let acme = try #require(report.configuration?.acme, "\(report.problems)")
        #expect(acme.challenge == .http01 && acme.challengePort == 80 && acme.names.map(\.description) == ["mail.kartapuce.test"] && acme.checksCAA)
        let without = Configuration.examine(
            yaml: yaml.replacing("certificate: {certificate: a.pem, key: b.pem}\n", with: ""), folder: "/", checkingFiles: false)
        #expect(without.problems.contains { "\($0)".contains("needs the section certificate") })
    }
}
