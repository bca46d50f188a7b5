import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore
import Synchronization
import Testing

struct DKIMVerifierTests {
    private static let head = "From: Bob <bob@kartapuce.test>\r\nTo: Jack <jack@gmail.test>\r\nSubject: Hello\r\n\r\n"
    private static let body = "Hello Jack.\r\nBob\r\n"
    private static let message = head + body
    private static let time = Date(timeIntervalSince1970: 1_700_000_000)
    private static let keyName = "a._domainkey.kartapuce.test"
    private static let record = DKIMTestKeys.ed25519.recordText
    /// `printf 'Hello Jack.\r\nBob\r\n' | openssl dgst -sha256 -binary | base64`
    private static let bodyHash = "IepNMws7MjSUE3CVPSMkgVEWpPp4ErwNEOLm6hVFuR8="

    /// A message with a signature that is right, whatever its tags say.
    private func signed(_ tags: String, message: String = DKIMVerifierTests.message) throws -> String {
        let template = "DKIM-Signature: \(tags); b=AAAA\r\n"
        let header = HeaderSection(parsing: ByteBuffer(string: template + message))
        let value = try DKIMSigner.signature(completing: header, with: DKIMTestKeys.ed25519)
        return template.replacingOccurrences(of: "b=AAAA", with: "b=" + value) + message
    }

    private func tags(_ more: String = "", domain: String = "kartapuce.test", hash: String = DKIMVerifierTests.bodyHash) -> String {
        "v=1; a=ed25519-sha256; d=\(domain); s=a; h=from:to:subject; bh=\(hash)\(more)"
    }

    private func evaluate(
        _ message: String, _ records: [String] = [DKIMVerifierTests.record], limits: DKIMLimits = DKIMLimits()
    ) async throws -> DKIMEvaluation {
        var zone = ZoneResolver()
        for record in records { zone.add(try DomainName(Self.keyName), .txt, .txt(Array(record.utf8))) }
        let buffer = ByteBuffer(string: message)
        let verifier = DKIMVerifier(resolver: zone, limits: limits)
        let evaluations = try await verifier.verify(header: HeaderSection(parsing: buffer), content: BufferedContent(buffer), at: Self.time)
        return try #require(evaluations.first)
    }

    @Test func aRightSignaturePassesWithEvidence() async throws {
        let evaluation = try await evaluate(signed(tags()))
        #expect(evaluation.result == .pass, "\(evaluation.reason)")
        #expect(evaluation.domain?.ascii == "kartapuce.test")
        #expect(evaluation.selector?.ascii == "a")
        #expect(evaluation.identity == "@kartapuce.test")
        #expect(evaluation.keyLookup?.name.ascii == Self.keyName)
        #expect(evaluation.signedFields.map(\.name) == ["from", "to", "subject"])
        #expect(evaluation.signedFields.allSatisfy { $0.signedCount == 1 && $0.unsignedCount == 0 })
        #expect(evaluation.bodyDigest?.hashedOctets == UInt64(Self.body.utf8.count))
        #expect(evaluation.bodyMatches == true && evaluation.headerMatches == true)
        #expect(evaluation.fieldRange.lowerBound == 0)
    }

    @Test func aChangedBodyWithAnIntactHeaderIsTold() async throws {
        let evaluation = try await evaluate(signed(tags()) + "more\r\n")
        #expect(evaluation.failure == .bodyHash && evaluation.result == .fail)
        #expect(evaluation.headerMatches == true && evaluation.bodyMatches == false)
        let header = try await evaluate(signed(tags()).replacingOccurrences(of: "Subject: Hello", with: "Subject: Hullo"))
        #expect(header.failure == .signature && header.result == .fail)
        #expect(header.headerMatches == false && header.bodyMatches == true)
    }

    @Test func unsignedOctetsAreARiskOrARefusal() async throws {
        let octets = Self.body.utf8.count
        let longer = try signed(tags("; l=\(octets)")) + "more\r\n"
        let evaluation = try await evaluate(longer)
        #expect(evaluation.result == .pass && evaluation.isRisky && evaluation.unsignedOctets == 6)
        #expect(evaluation.risks == [.unsignedBody(octets: 6)])
        var limits = DKIMLimits()
        limits.allowsUnsignedBody = false
        let refused = try await evaluate(longer, limits: limits)
        #expect(refused.result == .policy && refused.failure == .unsignedBody(6))
        #expect(try await evaluate(signed(tags("; l=\(octets)")), limits: limits).result == .pass)
        #expect(try await evaluate(signed(tags("; l=\(octets + 1)"))).failure == .bodyShorterThanSigned)
        #expect(try await evaluate(signed(tags("; l=" + String(repeating: "9", count: 76)))).failure == .bodyShorterThanSigned)
        // Nothing of the body is signed at all: the hash of nothing.
        let nothing = try await evaluate(signed(tags("; l=0", hash: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")))
        #expect(nothing.result == .pass && nothing.unsignedOctets == UInt64(octets))
    }

    @Test func timesAreHeldAgainstTheClock() async throws {
        #expect(try await evaluate(signed(tags("; x=1699999700"))).result == .pass)
        #expect(try await evaluate(signed(tags("; x=1699999699"))).failure == .expired(1_699_999_699))
        #expect(try await evaluate(signed(tags("; t=1700000300"))).result == .pass)
        #expect(try await evaluate(signed(tags("; t=1700000301"))).failure == .inTheFuture(1_700_000_301))
        #expect(try await evaluate(signed(tags("; x=999999999999"))).result == .pass)
        var limits = DKIMLimits()
        limits.refusesFutureSignatures = false
        #expect(try await evaluate(signed(tags("; t=1700000301")), limits: limits).result == .pass)
    }

    @Test func identitiesBelongToTheDomain() async throws {
        #expect(try await evaluate(signed(tags("; i=bob@mail.kartapuce.test"))).identity == "bob@mail.kartapuce.test")
        #expect(try await evaluate(signed(tags("; i=bob=40home@kartapuce.test"))).identity == "bob@home@kartapuce.test")
        #expect(try await evaluate(signed(tags("; i=@mail.kartapuce.test")), [Self.record + "; t=s"]).failure == .identityIsSubdomain)
        #expect(try await evaluate(signed(tags("; i=@kartapuce.test")), [Self.record + "; t=s"]).result == .pass)
        for identity in ["@gmail.test", "@test", "@xkartapuce.test"] {
            let evaluation = try await evaluate("DKIM-Signature: \(tags("; i=\(identity)")); b=AAAA\r\n" + Self.message)
            #expect(evaluation.result == .permerror, "\(identity): \(evaluation.reason)")
            guard case .syntax(let error) = evaluation.failure else {
                Issue.record("\(evaluation.reason)")
                continue
            }
            #expect(error.problem == .identityOutsideDomain)
        }
    }

    @Test func domainsMayBeWrittenInUnicode() async throws {
        var zone = ZoneResolver()
        zone.add(try DomainName("a._domainkey.xn--bcher-kva.test"), .txt, .txt(Array(Self.record.utf8)))
        let buffer = ByteBuffer(string: try signed(tags("; i=@post.bücher.test", domain: "bücher.test")))
        let evaluations = await DKIMVerifier(resolver: zone).verify(
            header: HeaderSection(parsing: buffer), body: ByteBuffer(string: Self.body), at: Self.time)
        #expect(evaluations.map(\.result) == [.pass], "\(evaluations.map(\.reason))")
    }

    @Test(arguments: [
        ("v=DKIM1; k=ed25519; p=", DKIMFailure.key(.revoked)),
        (
            "v=DKIM1; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKKkDn4p+DCcEcJm/HtkaikFoDPWVkGECgq4CQJ36CV6yZgxyk79TloxKioR/Kd/HTCcB4JPyrjzFEqI3wlowasCAwEAAQ==",
            .keyOfOtherType(.rsa)
        ),
        ("v=DKIM1; k=ed25519; p=QUJD", .key(.malformed)),
    ])
    func keysThatCannotBeUsedAreErrors(record: String, failure: DKIMFailure) async throws {
        let evaluation = try await evaluate(signed(tags()), [record])
        #expect(evaluation.failure == failure && evaluation.result == .permerror)
        #expect(evaluation.keyRecord != nil)
    }

    @Test(arguments: ["; h=sha1", "; s=tlsrpt", "; h=sha1; t=y"])
    func keysForSomethingElseAreErrors(more: String) async throws {
        #expect(try await evaluate(signed(tags()), [Self.record + more]).result == .permerror)
    }

    @Test func restrictionsThatAllowAreNone() async throws {
        let evaluation = try await evaluate(signed(tags()), [Self.record + "; h=sha1 : sha256; s=email:x; t=y:s; n=for=20us; g=; zz=1"])
        #expect(evaluation.result == .pass && evaluation.isTesting)
        #expect(evaluation.keyRecord?.notes == "for us")
    }

    @Test func severalRecordsAreTriedInOrder() async throws {
        let other = DKIMKeyPair.generateEd25519().recordText
        let signed = try signed(tags())
        #expect(try await evaluate(signed, ["v=spf1 -all", other, Self.record]).result == .pass)
        #expect(try await evaluate(signed, [other]).failure == .signature)
        #expect(try await evaluate(signed, ["v=spf1 -all"]).result == .permerror)
        #expect(try await evaluate(signed, []).failure == .noKey(try DomainName(Self.keyName)))
        // Beyond the limit nothing is tried.
        #expect(try await evaluate(signed, Array(repeating: other, count: 4) + [Self.record]).failure == .signature)
    }

    @Test(arguments: [
        (DNSError.Code.timeout, DKIMResult.temperror), (.serverFailure, .temperror), (.bogus, .temperror), (.invalidQuestion, .permerror),
    ])
    func failuresOfTheDNSAreTold(code: DNSError.Code, result: DKIMResult) async throws {
        var zone = ZoneResolver()
        zone.fail(try DomainName(Self.keyName), .txt, with: code)
        let buffer = ByteBuffer(string: try signed(tags()))
        let evaluations = await DKIMVerifier(resolver: zone).verify(
            header: HeaderSection(parsing: buffer), body: ByteBuffer(string: Self.body), at: Self.time)
        #expect(evaluations.map(\.result) == [result])
    }

    @Test(arguments: [
        ("v=1; a=rsa-sha1; d=kartapuce.test; s=a; h=from; bh=AAAA; b=AAAA", DKIMResult.permerror),
        ("v=1; a=rsa-sha512; d=kartapuce.test; s=a; h=from; bh=AAAA; b=AAAA", .permerror),
        ("v=2; a=rsa-sha256; d=kartapuce.test; s=a; h=from; bh=AAAA; b=AAAA", .permerror),
        ("a=rsa-sha256; d=kartapuce.test; s=a; h=from; bh=AAAA; b=AAAA", .permerror),
        ("v=1; d=kartapuce.test; s=a; h=from; bh=AAAA; b=AAAA", .permerror),
        ("v=1; a=rsa-sha256; s=a; h=from; bh=AAAA; b=AAAA", .permerror),
        ("v=1; a=rsa-sha256; d=kartapuce.test; h=from; bh=AAAA; b=AAAA", .permerror),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; bh=AAAA; b=AAAA", .permerror),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; h=from; b=AAAA", .permerror),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; h=from; bh=AAAA", .permerror),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; h=to:subject; bh=AAAA; b=AAAA", .permerror),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; q=http/x; h=from; bh=AAAA; b=AAAA", .permerror),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; h=from::to; bh=AAAA; b=AAAA", .neutral),
        ("v=1; a=rsa-sha256; d=kartapuce..test; s=a; h=from; bh=AAAA; b=AAAA", .neutral),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a_!; h=from; bh=AAAA; b=AAAA", .neutral),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; h=from; bh=A!AA; b=AAAA", .neutral),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; h=from; bh=AAAA; b=A", .neutral),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; h=from; bh=AAAA; b=", .neutral),
        ("v=1; a=rsa-sha256; c=relaxed/nofws; d=kartapuce.test; s=a; h=from; bh=AAAA; b=AAAA", .neutral),
        ("v=1; a=rsa-sha256; d=kartapuce.test; d=gmail.test; s=a; h=from; bh=AAAA; b=AAAA", .neutral),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; t=-1; h=from; bh=AAAA; b=AAAA", .neutral),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; i=nobody; h=from; bh=AAAA; b=AAAA", .neutral),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; t=5; x=5; h=from; bh=AAAA; b=AAAA", .neutral),
        ("v=1; a=rsa-sha256; d=kartapuce.test; s=a; l=" + String(repeating: "9", count: 77) + "; h=from; bh=AAAA; b=AAAA", .neutral),
        ("nothing at all", .neutral),
    ])
    func fieldsThatCannotPassNeverDo(value: String, result: DKIMResult) async throws {
        let evaluation = try await evaluate("DKIM-Signature: \(value)\r\n" + Self.message)
        #expect(evaluation.result == result, "\(evaluation.reason)")
        #expect(evaluation.failure?.phase == .signature)
    }

    @Test func unknownTagsAndOddSpacesAreRead() throws {
        let header = try DKIMSignatureHeader(
            parsing: " v = 1 ;a=rsa-sha256;zz=a b; c=relaxed ; q=http/x:dns/txt; d=Kartapuce.TEST;\r\n\ts=A.B; h= From :\r\n To ; bh= A A A A;b=QU\r\n\tJD ; ")
        #expect(header.headerCanonicalization == .relaxed && header.bodyCanonicalization == .simple)
        #expect(header.domain.ascii == "kartapuce.test" && header.selector.ascii == "a.b")
        #expect(header.signedFields == ["from", "to"])
        #expect(header.signature == Array("ABC".utf8) && header.bodyHash == [0, 0, 0])
        #expect(header.keyName?.ascii == "a.b._domainkey.kartapuce.test")
    }

    @Test func keysOfTooFewOrTooManyBitsAreRefused() throws {
        for text in [
            "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKKkDn4p+DCcEcJm/HtkaikFoDPWVkGECgq4CQJ36CV6yZgxyk79TloxKioR/Kd/HTCcB4JPyrjzFEqI3wlowasCAwEAAQ==",
            "MEgCQQCipA5+KfgwnBHCZvx7ZGopBaAz1lZBhAoKuAkCd+glesmYMcpO/U5aMSoqEfynfx0wnAeCT8q48xRKiN8JaMGrAgMBAAE=",
        ] {
            let record = try DKIMKeyRecord(parsing: "p=" + text)
            #expect(throws: DKIMKeyError.tooSmall(bits: 512, minimum: 1024)) { try DKIMPublicKey(record) }
        }
        var limits = DKIMLimits()
        limits.maximumRSABits = 2047
        let record = try DKIMKeyRecord(parsing: DKIMTestKeys.rsa.recordText)
        #expect(throws: DKIMKeyError.tooLarge(bits: 2048, maximum: 2047)) { try DKIMPublicKey(record, limits: limits) }
        limits.minimumRSABits = 2048
        limits.maximumRSABits = 2048
        #expect(try DKIMPublicKey(record, limits: limits).bits == 2048)
    }

    @Test(arguments: [
        ("k=rsa; v=DKIM1; p=QUJD", DKIMSyntaxError.Problem.unsupportedVersion), ("v=DKIM2; p=QUJD", .unsupportedVersion),
        ("v=dkim1; p=QUJD", .unsupportedVersion), ("v=DKIM1", .missingTag), ("v=DKIM1; k=dsa; p=QUJD", .unsupportedAlgorithm),
        ("v=DKIM1; p=Q!JD", .invalidValue), ("v=DKIM1; p=QUJDR", .invalidValue), ("v=DKIM1; p=QUJD====", .invalidValue),
    ])
    func brokenKeyRecordsAreRefused(text: String, problem: DKIMSyntaxError.Problem) {
        do {
            _ = try DKIMKeyRecord(parsing: text)
            Issue.record("read: \(text)")
        } catch { #expect(error.problem == problem, "\(text)") }
    }

    @Test func moreSignaturesThanTheLimitAreNotLookedAt() async throws {
        let field = try signed(tags()).replacingOccurrences(of: Self.message, with: "")
        let message = String(repeating: field, count: 12) + Self.message
        let evaluations = try await verifyDKIM(Array(message.utf8), [Self.keyName: Self.record], at: Self.time)
        #expect(evaluations.map(\.result) == Array(repeating: .pass, count: 10) + [.policy, .policy])
        #expect(evaluations.last?.failure == .tooManySignatures(limit: 10))
        #expect(evaluations.map(\.fieldIndex) == Array(0..<12))
    }

    @Test func anUnsignedMessageHasNoEvaluations() async throws {
        #expect(try await verifyDKIM(Array(Self.message.utf8), [:], at: Self.time).isEmpty)
    }

    @Test func aHeaderOfTenMebibytesIsRefusedAndNotRead() async throws {
        let field = try signed(tags()).replacingOccurrences(of: Self.message, with: "")
        let folded = "X:\r\n " + String(repeating: "y", count: 900) + "\r\n " + String(repeating: " ", count: 900) + "z\r\n"
        for (filler, octets) in [("X: y\r\n", 1_048_576), ("X: " + String(repeating: "y", count: 900) + "\r\n", 10_485_760), (folded, 2_097_152)] {
            let message = field + String(repeating: filler, count: octets / filler.utf8.count) + Self.message
            let evaluations = try await verifyDKIM(Array(message.utf8), [Self.keyName: Self.record], at: Self.time)
            #expect(evaluations.map(\.failure) == [.headerOverLimits])
            #expect(evaluations.map(\.result) == [.policy])
        }
    }

    @Test func manyNamesForManyFieldsTakeEachFieldOnce() async throws {
        let fields = String(repeating: "X: y\r\n", count: 1900)
        let names = String(repeating: "x:", count: 990)
        let text = "v=1; a=ed25519-sha256; d=kartapuce.test; s=a; h=\(names)from; bh=\(Self.bodyHash)"
        let evaluation = try await evaluate(signed(text, message: fields + Self.message))
        #expect(evaluation.result == .pass, "\(evaluation.reason)")
        #expect(evaluation.signedFields.map(\.signedCount) == [990, 1])
        #expect(evaluation.signedFields.map(\.unsignedCount) == [910, 0])
    }

    /// Counts the questions.
    private final class CountingResolver: Resolver {
        let base: ZoneResolver
        let timeToLive: UInt32
        let count = Mutex(0)
        init(_ base: ZoneResolver, timeToLive: UInt32) {
            self.base = base
            self.timeToLive = timeToLive
        }
        func lookup(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer {
            count.withLock { $0 += 1 }
            var answer = try await base.lookup(name, type)
            answer.timeToLive = timeToLive
            return answer
        }
    }

    @Test func keysAreKeptForTheirTimeToLive() async throws {
        let buffer = ByteBuffer(string: try signed(tags()))
        let header = HeaderSection(parsing: buffer)
        func count(_ zone: ZoneResolver, timeToLive: UInt32, at offsets: [TimeInterval]) async -> Int {
            let resolver = CountingResolver(zone, timeToLive: timeToLive)
            let verifier = DKIMVerifier(resolver: resolver, keyCache: DKIMKeyCache())
            for offset in offsets { _ = await verifier.verify(header: header, body: ByteBuffer(string: Self.body), at: Self.time.addingTimeInterval(offset)) }
            return resolver.count.withLock { $0 }
        }
        let zone = try dkimKeyZone([Self.keyName: Self.record])
        #expect(await count(zone, timeToLive: 60, at: [0, 59, 60, 61]) == 2)
        #expect(await count(zone, timeToLive: 0, at: [0, 0]) == 2)
        #expect(await count(zone, timeToLive: .max, at: [0, 86399, 86400]) == 2)
        // No key is kept for five minutes at most, a failure not at all.
        #expect(await count(ZoneResolver(), timeToLive: 86400, at: [0, 299, 300]) == 2)
        #expect(await count(ZoneResolver(), timeToLive: 10, at: [0, 9, 10]) == 2)
        var failing = ZoneResolver()
        failing.fail(try DomainName(Self.keyName), with: .timeout)
        #expect(await count(failing, timeToLive: 60, at: [0, 0]) == 2)
    }

    @Test func aFullCacheForgets() async throws {
        let cache = DKIMKeyCache(entryLimit: 1)
        let zone = try dkimKeyZone([Self.keyName: Self.record])
        let resolver = CountingResolver(zone, timeToLive: 60)
        let verifier = DKIMVerifier(resolver: resolver, keyCache: cache)
        let one = try signed(tags())
        let other = one.replacingOccurrences(of: "s=a;", with: "s=b;")
        for message in [one, other, one] {
            let buffer = ByteBuffer(string: message)
            _ = await verifier.verify(header: HeaderSection(parsing: buffer), body: ByteBuffer(string: Self.body), at: Self.time)
        }
        #expect(resolver.count.withLock { $0 } == 3)
    }
}
