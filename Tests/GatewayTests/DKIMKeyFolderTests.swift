import DNS
import Foundation
import MailAuthentication
import MailTesting
import Testing

@testable import Gateway

struct DKIMKeyFolderTests {
    @Test func keysPassThroughTheirStages() async throws {
        try await withTemporaryFolder { path in
            let folder = DKIMKeyFolder(path: "\(path)/dkim")
            let domain = try DomainName("kartapuce.test")
            let start = Date(timeIntervalSince1970: 1_000_000)
            #expect(try folder.entries().isEmpty)
            #expect(try folder.activeKeys().active(for: domain).isEmpty)
            let old = try folder.generate(domain: domain, selector: DomainName("old"), key: DKIMKeyPair.generateEd25519(), stage: .active, at: start)
            let new = try folder.generate(domain: domain, selector: DomainName("new"), key: DKIMKeyPair.generate(), stage: .published, at: start)
            #expect(try folder.activeKeys().active(for: domain).map(\.selector.ascii) == ["old"])
            try folder.set(.active, of: new, at: start.addingTimeInterval(86_400))
            // RSA first: who knows no Ed25519 looks at the first signature.
            #expect(try folder.activeKeys().active(for: domain).map(\.selector.ascii) == ["new", "old"])
            try folder.set(.retired, of: old, at: start.addingTimeInterval(86_400))
            #expect(try folder.activeKeys().active(for: domain).map(\.selector.ascii) == ["new"])
            #expect(try folder.entries().map { "\($0.selector) \($0.stage)" }.sorted() == ["new active", "old retired"])
            #expect(try folder.activeKeys().active(for: DomainName("gmail.test")).isEmpty)
        }
    }

    @Test func aSelectorIsGivenOnceAndFilesAreTheirOwnersAlone() async throws {
        try await withTemporaryFolder { path in
            let folder = DKIMKeyFolder(path: "\(path)/dkim")
            let domain = try DomainName("kartapuce.test")
            let entry = try folder.generate(domain: domain, selector: DomainName("a"), key: DKIMKeyPair.generateEd25519(), stage: .active, at: .now)
            #expect(throws: PKIError.self) {
                try folder.generate(domain: domain, selector: DomainName("a"), key: DKIMKeyPair.generateEd25519(), stage: .active, at: .now)
            }
            let file = "\(path)/dkim/kartapuce.test/a.pem"
            #expect(try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int == 0o600)
            #expect(try DKIMKeyRecord(parsing: entry.record).keyType == .ed25519)
            #expect(entry.recordName == "a._domainkey.kartapuce.test")
        }
    }

    @Test func whatIsNoKeyIsSaidWithItsFile() async throws {
        try await withTemporaryFolder { path in
            let folder = DKIMKeyFolder(path: "\(path)/dkim")
            let domain = try DomainName("kartapuce.test")
            try folder.generate(domain: domain, selector: DomainName("a"), key: DKIMKeyPair.generateEd25519(), stage: .active, at: .now)
            try "nonsense".write(toFile: "\(path)/dkim/kartapuce.test/a.pem", atomically: true, encoding: .utf8)
            do {
                _ = try folder.activeKeys()
                Issue.record("a broken key was read")
            } catch {
                #expect("\(error)".contains("a.pem"))
            }
            try "{".write(toFile: "\(path)/dkim/kartapuce.test/a.json", atomically: true, encoding: .utf8)
            #expect(throws: PKIError.self) { try folder.entries() }
        }
    }
}
