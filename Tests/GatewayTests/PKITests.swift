import DNS
import FoundationEssentials
import Gateway
import Testing
import X509

@Suite("The internal authority")
struct PKITests {
    private static let now = Date(timeIntervalSince1970: 1_795_468_385)

    private func inFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    private func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(attributes[.posixPermissions] as? Int) & 0o777
    }

    @Test("An authority that was saved issues what the first one signed for")
    func roundTrip() throws {
        try inFolder { folder in
            let authority = try LinkAuthority.create(now: Self.now)
            let files = try authority.save(folder: folder)
            #expect(try mode(files.key) == 0o600)
            #expect(try mode(files.certificate) == 0o600)
            let loaded = try LinkAuthority.load(folder: folder)
            #expect(loaded.certificate == authority.certificate)
            let issued = try loaded.issue(host: "Mail.Kartapuce.test", roles: [.mx, .relay], now: Self.now)
            #expect(authority.certificate.publicKey.isValidSignature(issued.certificate.signature, for: issued.certificate))
            let written = try issued.write(folder: "\(folder)/mx", name: "link")
            #expect(try mode(written.key) == 0o600)
            let facts = try CertificateFacts(file: written.certificate)
            #expect(facts.hosts == ["mail.kartapuce.test"])
            #expect(facts.roles == [.mx, .relay])
            #expect(!facts.isAuthority)
            #expect(facts.notBefore < Self.now)
            #expect(facts.notAfter == Self.now.addingTimeInterval(397 * 86_400))
            let usage = try #require(try issued.certificate.extensions.extendedKeyUsage)
            #expect(usage.contains(.clientAuth) && usage.contains(.serverAuth))
            #expect(try CertificateFacts(file: written.authority).isAuthority)
            // A key in PEM and nothing else beside what was asked for.
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/mx").sorted() == ["authority.pem", "link-key.pem", "link.pem"])
            #expect(try Certificate.PrivateKey(pemEncoded: issued.keyPEM).publicKey == issued.certificate.publicKey)
        }
    }

    @Test("The authority may issue leaves only, and says so critically")
    func constraints() throws {
        let certificate = try LinkAuthority.create(now: Self.now).certificate
        #expect(try certificate.extensions.basicConstraints == .isCertificateAuthority(maxPathLength: 0))
        let usage = try #require(try certificate.extensions.keyUsage)
        #expect(usage.keyCertSign && !usage.digitalSignature)
    }

    @Test("A server's certificate names hosts and addresses, but no role, and is no client's")
    func server() throws {
        let authority = try LinkAuthority.create(now: Self.now)
        let addresses = [IPAddress.v4(0x7F4D_020A), .v6(0x2001_0DB8_0000_0000, 1)]
        let issued = try authority.issueServer(hosts: ["mail.kartapuce.test", "imap.kartapuce.test"], addresses: addresses, now: Self.now)
        let facts = try CertificateFacts(issued.certificate)
        #expect(facts.hosts == ["mail.kartapuce.test", "imap.kartapuce.test"])
        #expect(facts.addresses == addresses)
        #expect(facts.roles.isEmpty)
        let usage = try #require(try issued.certificate.extensions.extendedKeyUsage)
        #expect(!usage.contains(.clientAuth))
    }

    @Test("Serial numbers differ, and no leaf outlives its authority")
    func serials() throws {
        let authority = try LinkAuthority.create(validity: 86_400, now: Self.now)
        let leaves = try (0..<20).map { _ in try authority.issue(host: "a.kartapuce.test", roles: [.mx], now: Self.now).certificate }
        #expect(Set(leaves.map(\.serialNumber)).count == 20)
        #expect(leaves.allSatisfy { $0.notValidAfter == authority.certificate.notValidAfter })
    }

    @Test("What makes no certificate is refused")
    func refusals() throws {
        let authority = try LinkAuthority.create(validity: 86_400, now: Self.now)
        func code(_ body: () throws -> Void) -> PKIError.Code? {
            do {
                try body()
                return nil
            } catch {
                return (error as? PKIError)?.code
            }
        }
        for host in ["", "localhost", "a b.test", "*.kartapuce.test", "a..test"] {
            #expect(code { _ = try authority.issue(host: host, roles: [.mx], now: Self.now) } == .invalidRequest, "\(host)")
        }
        #expect(code { _ = try authority.issue(host: "a.test", roles: [], now: Self.now) } == .invalidRequest)
        #expect(code { _ = try authority.issue(host: "a.test", roles: [.mx], validity: 0, now: Self.now) } == .invalidRequest)
        #expect(code { _ = try authority.issue(host: "a.test", roles: [.mx], validity: .nan, now: Self.now) } == .invalidRequest)
        #expect(code { _ = try authority.issue(host: "a.test", roles: [.mx], now: Self.now.addingTimeInterval(90_000)) } == .invalidRequest)
        #expect(code { _ = try authority.issueServer(hosts: [], now: Self.now) } == .invalidRequest)
        try inFolder { folder in
            #expect(code { _ = try LinkAuthority.load(folder: folder) } == .notFound)
            try authority.save(folder: folder)
            #expect(code { try authority.save(folder: folder) } == .exists)
            // Another authority's key beside the certificate.
            let key = try authority.issue(host: "a.test", roles: [.mx], now: Self.now).keyPEM
            #expect(FileManager.default.createFile(atPath: "\(folder)/\(LinkAuthority.keyFile)", contents: Data(key.utf8)))
            #expect(code { _ = try LinkAuthority.load(folder: folder) } == .invalid)
            #expect(FileManager.default.createFile(atPath: "\(folder)/\(LinkAuthority.keyFile)", contents: Data("no key".utf8)))
            #expect(code { _ = try LinkAuthority.load(folder: folder) } == .invalid)
            #expect(FileManager.default.createFile(atPath: "\(folder)/\(LinkAuthority.certificateFile)", contents: Data([0xFF, 0])))
            #expect(code { _ = try CertificateFacts(file: "\(folder)/\(LinkAuthority.certificateFile)") } == .invalid)
        }
    }
}
