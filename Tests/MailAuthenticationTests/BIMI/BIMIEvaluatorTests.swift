import Crypto
import DNS
import Foundation
import MailAuthentication
import SwiftASN1
import Testing
import X509

/// Authorities and mark certificates of our own.
private struct Marks {
    static let now = Date(timeIntervalSince1970: 1_760_000_000)
    let key = P256.Signing.PrivateKey()
    let issuerKey = P256.Signing.PrivateKey()
    let leafKey = P256.Signing.PrivateKey()
    let root: Certificate
    var purpose: ASN1ObjectIdentifier = [1, 3, 6, 1, 5, 5, 7, 3, 31]
    var issuerPurpose: ASN1ObjectIdentifier = [1, 3, 6, 1, 5, 5, 7, 3, 31]
    var names = ["kartapuce.test"]
    var logos = [BIMIIndicatorTests.svg()]
    var hashed = BIMIIndicatorTests.svg()
    var extensionValue: [UInt8]?
    var validity = (Marks.now - 86400, Marks.now + 86400)

    init() throws {
        let name = try DistinguishedName { CommonName("Root of marks") }
        root = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: Self.now - 864_000, notValidAfter: Self.now + 864_000,
            issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions { Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil)) },
            issuerPrivateKey: .init(key))
    }

    private func logotype() throws -> [UInt8] {
        if let extensionValue { return extensionValue }
        func tlv(_ tag: UInt8, _ parts: [UInt8]...) -> [UInt8] {
            let body = parts.flatMap { $0 }
            let length: [UInt8] =
                body.count < 128 ? [UInt8(body.count)] : [0x83, UInt8(body.count >> 16), UInt8(body.count >> 8 & 255), UInt8(body.count & 255)]
            // DER wants the shortest form.
            let short =
                body.count < 128
                ? length
                : body.count < 256 ? [0x81, UInt8(body.count)] : body.count < 65536 ? [0x82, UInt8(body.count >> 8), UInt8(body.count & 255)] : length
            return [tag] + short + body
        }
        let algorithm = tlv(0x30, [0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1])
        let images = logos.map { logo in
            let uri = "data:image/svg+xml;base64," + Data(BIMITestGzip.pack(logo)).base64EncodedString()
            let hash = tlv(0x30, algorithm, tlv(0x04, Array(SHA256.hash(data: hashed))))
            return tlv(0x30, tlv(0x30, tlv(0x16, Array("image/svg+xml".utf8)), tlv(0x30, hash), tlv(0x30, tlv(0x16, Array(uri.utf8)))))
        }
        return tlv(0x30, tlv(0xA2, tlv(0xA0, tlv(0x30, images.flatMap { $0 }))))
    }

    func chain() throws -> [Certificate] {
        let issuerName = try DistinguishedName { CommonName("Issuer of marks") }
        let issuer = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(issuerKey.publicKey), notValidBefore: Self.now - 864_000,
            notValidAfter: Self.now + 864_000, issuer: root.subject, subject: issuerName, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                try ExtendedKeyUsage([.init(oid: issuerPurpose)])
            }, issuerPrivateKey: .init(key))
        var extensions = try Certificate.Extensions {
            try ExtendedKeyUsage([.init(oid: purpose)])
            SubjectAlternativeNames(names.map { .dnsName($0) })
        }
        try extensions.append(.init(oid: [1, 3, 6, 1, 5, 5, 7, 1, 12], critical: false, value: try logotype()[...]))
        let leaf = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(leafKey.publicKey), notValidBefore: validity.0, notValidAfter: validity.1,
            issuer: issuerName, subject: try DistinguishedName { CommonName("Kartapuce") }, signatureAlgorithm: .ecdsaWithSHA256, extensions: extensions,
            issuerPrivateKey: .init(issuerKey))
        return [leaf, issuer]
    }

    static func pem(_ chain: [Certificate]) throws -> [UInt8] { Array(try chain.map { try $0.serializeAsPEM().pemString + "\n" }.joined().utf8) }

    func verify(_ chain: [Certificate]? = nil, selector: String = "default", roots: BIMIRoots? = nil) async throws -> BIMIMarkReport {
        let verifier = BIMIMarkVerifier(roots: try roots ?? BIMIRoots(parsingPEM: Self.pem([root])))
        let author = try DomainName("news.kartapuce.test")
        let subject = BIMIMarkVerifier.Subject(
            authorDomain: author, organizationalDomain: try DomainName("kartapuce.test"), selector: try BIMISelector(selector))
        return await verifier.verify(try Self.pem(try chain ?? self.chain()), for: subject, at: Self.now)
    }
}

private struct Files: BIMIFetcher {
    var files: [String: Result<[UInt8], BIMIFetchError>]
    func fetch(_ location: BIMILocation, limit: Int) async throws(BIMIFetchError) -> [UInt8] {
        guard let file = files[location.text] else { throw BIMIFetchError(.refused, reason: "404") }
        return try file.get()
    }
}

struct BIMIEvaluatorTests {
    private func codes(_ change: (inout Marks) -> Void) async throws -> [String] {
        var marks = try Marks()
        change(&marks)
        return try await marks.verify().problems.map(\.code)
    }

    @Test func marks() async throws {
        let report = try await Marks().verify()
        #expect(report.isValid && report.logotype?.svg == BIMIIndicatorTests.svg(), "\(report.problems)")
        #expect(report.matchedDomain == "kartapuce.test" && report.root?.contains("Root of marks") == true && !report.isRevocationChecked)
        #expect(try await Marks().verify(roots: BIMIRoots(parsingPEM: Marks.pem([Marks().root]))).problems.map(\.code) == ["untrusted"])
        #expect(try await codes { $0.validity.1 = Marks.now - 1 } == ["expired"])
        #expect(try await codes { $0.validity.0 = Marks.now + 60 } == ["notYetValid"])
        #expect(try await codes { $0.names = ["gmail.test"] } == ["otherDomain"])
        #expect(try await codes { $0.names = [] } == ["noDomain"])
        #expect(try await codes { $0.names = ["brand._bimi.kartapuce.test"] } == ["otherDomain"])
        #expect(try await codes { $0.names = ["*.kartapuce.test"] } == ["otherDomain"])
        #expect(try await codes { $0.names = ["default._bimi.KARTAPUCE.test"] }.isEmpty)
        #expect(try await codes { $0.purpose = [1, 3, 6, 1, 5, 5, 7, 3, 1] } == ["notForMarks"])
        #expect(try await codes { $0.issuerPurpose = [1, 3, 6, 1, 5, 5, 7, 3, 1] } == ["issuerNotForMarks", "untrusted"])
        #expect(try await codes { $0.logos.append(BIMIIndicatorTests.svg(inside: "<g/>")) } == ["logotype"])
        #expect(try await codes { $0.hashed = [1] } == ["logotype"])
        #expect(try await codes { $0.logos = [[UInt8](repeating: 0x20, count: 10 << 20)] } == ["logotype"])
        let marks = try Marks()
        let chain = try marks.chain()
        #expect(try await marks.verify([chain[1], chain[0]]).problems.map(\.code).contains("authorityFirst"))
        #expect(try await marks.verify([chain[0]]).problems.map(\.code) == ["untrusted"])
        #expect(try await marks.verify(chain + [chain[1]]).problems.map(\.code).contains("duplicate"))
        #expect(try await marks.verify(chain + [marks.root]).isValid)
        #expect(try await marks.verify(Array(repeating: chain[0], count: 7)).problems.map(\.code) == ["tooManyCertificates"])
    }

    /// Octets of an attacker's own making: refused, whatever they are.
    @Test func hostileDER() async throws {
        let values: [[UInt8]] = [
            [], [0x30], [0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF], [0x30, 0x80, 0, 0], [0x30, 0x88, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            Array(repeating: [0x30, 0x80] as [UInt8], count: 5000).flatMap { $0 }, [0x30, 2, 0xA2, 0], [0x30, 4, 0xA2, 2, 0xA1, 0], [0x04, 0], [0x30, 0],
            [0x30, 6, 0xA2, 4, 0xA0, 2, 0x30, 0],
        ]
        for value in values { #expect(try await codes { $0.extensionValue = value } == ["logotype"], "\(value.prefix(8))") }
        let marks = try Marks()
        let verifier = BIMIMarkVerifier(roots: try BIMIRoots(parsingPEM: Marks.pem([marks.root])))
        let pem = try Marks.pem(marks.chain())
        for end in stride(from: 0, to: pem.count - 2, by: 97) {
            #expect(await !verifier.verify(Array(pem[..<end]), for: nil, at: Marks.now).isValid || end > pem.count - 40)
        }
        let large = await verifier.verify([UInt8](repeating: 0x41, count: 10 << 20), for: nil, at: Marks.now)
        #expect(large.problems.map(\.code) == ["tooLarge"])
        for index in stride(from: 30, to: pem.count, by: 211) {
            var changed = pem
            changed[index] = changed[index] == 0x41 ? 0x42 : 0x41
            #expect(await !verifier.verify(changed, for: nil, at: Marks.now).problems.isEmpty || index > pem.count / 2)
        }
    }

    private let good = BIMIIndicatorTests.svg()

    private func evaluate(
        _ records: [(String, String)], files: [String: Result<[UInt8], BIMIFetchError>] = [:], roots: BIMIRoots = BIMIRoots(), selector: String = "default",
        localPart: String? = nil, failing: String? = nil, evidence: BIMIEvaluator.Evidence = .optional, passed: Bool = true
    ) async throws -> BIMIEvaluation {
        var zone = ZoneResolver()
        for (name, text) in records { zone.add(try DomainName(name), .txt, .txt(Array(text.utf8))) }
        if let failing { zone.fail(try DomainName(failing), with: .timeout) }
        let evaluator = BIMIEvaluator(resolver: zone, fetcher: Files(files: files), roots: roots, options: .init(evidence: evidence))
        let subject = BIMIEvaluator.Subject(
            authorDomain: try DomainName("news.kartapuce.test"), organizationalDomain: try DomainName("kartapuce.test"), localPart: localPart,
            selector: try BIMISelector(selector), precondition: .init(isAuthenticated: passed, authorPolicy: .init(domain: .reject)))
        return await evaluator.evaluate(subject, at: Marks.now)
    }

    @Test func results() async throws {
        let l = "https://logos.kartapuce.test/logo.svg"
        let a = "https://logos.kartapuce.test/mark.pem"
        let own = "default._bimi.news.kartapuce.test"
        let organization = "default._bimi.kartapuce.test"
        let record = "v=BIMI1; l=\(l)"
        #expect(try await evaluate([(own, record)], passed: false).result == .skipped)
        #expect(try await evaluate([]).result == .none)
        #expect(try await evaluate([(own, record), (own, record)]).result == .none)
        #expect(try await evaluate([(own, "v=spf1"), (organization, "v=BIMI1; l=; a=;")]).result == .declined)
        #expect(try await evaluate([(own, "v=BIMI1"), (organization, record)]).result == .fail)
        #expect(try await evaluate([(organization, record)], failing: own).result == .temperror)
        #expect(try await evaluate([(own, record)], evidence: .required).result == .skipped)
        #expect(try await evaluate([(own, record)]).result == .fail)
        #expect(try await evaluate([(own, "v=BIMI1; l=; a=\(a)")]).result == .fail)
        #expect(try await evaluate([(own, record)], files: [l: .failure(.init(.nameLookupFailed, reason: "x"))]).result == .temperror)
        #expect(try await evaluate([(own, record)], files: [l: .success([UInt8](repeating: 0, count: 10 << 20))]).result == .fail)

        let passed = try await evaluate([(organization, record)], files: [l: .success(BIMITestGzip.pack(good))])
        #expect(passed.result == .pass && passed.authority == .none && passed.domain?.ascii == "kartapuce.test" && passed.selector == .default)
        #expect(passed.locationField == "BIMI-Location: v=BIMI1;\r\n l=\(l)\r\n")
        #expect(passed.preferenceField == "BIMI-Logo-Preference: avp=brand;\r\n")
        let field = try #require(passed.indicatorField)
        #expect(field.split(separator: "\r\n").allSatisfy { $0.utf8.count <= 76 } && field.hasSuffix("\r\n"))
        #expect(Data(base64Encoded: field.dropFirst(15).filter { !$0.isWhitespace }).map(Array.init) == good)
        #expect(passed.indicatorHash.map { passed.indicator?.digest.hasSuffix($0) == true && $0.count == 8 } == true)
        let json = try JSONSerialization.jsonObject(with: JSONEncoder().encode(passed)) as? [String: Any]
        #expect(json?["result"] as? String == "pass" && (json?["lookups"] as? [Any])?.count == 2)
        let hostile = try await evaluate([(own, record)], files: [l: .success(BIMIIndicatorTests.svg(inside: "<script/>"))])
        #expect(hostile.result == .fail && hostile.indicatorField == nil && hostile.locationField == nil && hostile.preferenceField == nil)

        let marks = try Marks()
        let roots = try BIMIRoots(parsingPEM: Marks.pem([marks.root]))
        let mark = try Marks.pem(marks.chain())
        let certified = [(own, record + "; a=\(a)")]
        let full = try await evaluate(certified, files: [l: .success(good), a: .success(mark)], roots: roots, evidence: .required)
        #expect(full.result == .pass && full.authority == .pass && full.locationMatchesEvidence == true, "\(full.reason ?? "")")
        #expect(full.locationField == "BIMI-Location: v=BIMI1;\r\n l=\(l);\r\n a=\(a)\r\n")
        let other = try await evaluate(certified, files: [l: .success(BIMIIndicatorTests.svg(inside: "<g/>")), a: .success(mark)], roots: roots)
        #expect(other.result == .fail && other.authority == .fail && other.locationMatchesEvidence == false)
        #expect(try await evaluate(certified, files: [l: .success(good), a: .success(mark)]).result == .fail)
    }

    @Test func selectorsAndLocalParts() async throws {
        let l = "https://logos.kartapuce.test/logo.svg"
        let files: [String: Result<[UInt8], BIMIFetchError>] = [l: .success(good)]
        // Appendix B.5: the default isn't what stands in for a selector.
        #expect(try await evaluate([("default._bimi.kartapuce.test", "v=BIMI1; l=\(l)")], files: files, selector: "brand").result == .none)
        let fallback = try await evaluate([("brand._bimi.kartapuce.test", "v=BIMI1; l=\(l)")], files: files, selector: "brand")
        #expect(fallback.result == .pass && fallback.selector?.name == "brand")
        let local = [("default._bimi.kartapuce.test", "v=BIMI1; l=; a=; lps=brand-"), ("brand-a._bimi.kartapuce.test", "v=BIMI1; l=\(l)")]
        let found = try await evaluate(local, files: files, localPart: "Brand_A+x")
        #expect(found.result == .pass && found.selector?.name == "brand-a" && found.discovery?.steps.count == 3)
        #expect(try await evaluate(local, files: files, localPart: "bob").result == .declined)
        #expect(try await evaluate(local, files: files, localPart: "brand-b").result == .declined)
        #expect(try await evaluate(local, files: files, localPart: "brand-b", failing: "brand-b._bimi.kartapuce.test").result == .temperror)
    }
}
