import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore
import Testing

struct ARCTests {
    private static let message =
        "From: Bob <bob@kartapuce.test>\r\nTo: list@gmail.test\r\nSubject: Hello\r\nDate: Mon, 2 Nov 2026 10:00:00 +0100\r\n\r\nHello.\r\n"
    private static let time = Date(timeIntervalSince1970: 1_700_000_000)
    private static let results = "gmail.test; spf=pass smtp.mailfrom=bob@kartapuce.test; dkim=pass header.d=kartapuce.test; dmarc=pass"

    private static func zone() throws -> ZoneResolver {
        try dkimKeyZone(["a._domainkey.gmail.test": DKIMTestKeys.rsa.recordText, "b._domainkey.kartapuce.test": DKIMTestKeys.ed25519.recordText])
    }

    /// Seals by RSA and by Ed25519 in turns.
    private func sealed(_ message: String, _ chain: ARCResult, results: String = ARCTests.results, number: Int) throws -> String {
        let key =
            number % 2 == 1
            ? DKIMSigningKey(domain: try DomainName("gmail.test"), selector: try DomainName("a"), key: DKIMTestKeys.rsa)
            : DKIMSigningKey(domain: try DomainName("kartapuce.test"), selector: try DomainName("b"), key: DKIMTestKeys.ed25519)
        let buffer = ByteBuffer(string: message)
        let header = HeaderSection(parsing: buffer)
        let body = try #require(buffer.getSlice(at: header.range.upperBound, length: buffer.readableBytes - header.range.upperBound))
        let fields = try ARCSealer(key: key).seal(header: header, body: body, chain: chain, results: results, at: Self.time)
        return String(buffer: fields) + message
    }

    private func evaluate(_ message: String, resolver: ZoneResolver? = nil, evaluatesEverything: Bool = false) async throws -> ARCEvaluation {
        let buffer = ByteBuffer(string: message)
        let verifier = ARCVerifier(resolver: try resolver ?? Self.zone(), evaluatesEverything: evaluatesEverything)
        return try await verifier.verify(header: HeaderSection(parsing: buffer), content: BufferedContent(buffer), at: Self.time)
    }

    @Test func aMessageWithoutAChainHasNone() async throws {
        let evaluation = try await evaluate(Self.message)
        #expect(evaluation.result == .none && evaluation.failure == nil && evaluation.sealers.isEmpty)
    }

    @Test func aChainOfThreeSealersPasses() async throws {
        var message = Self.message
        for number in 1...3 {
            message = try sealed("Received: from \(number)\r\n" + message, number == 1 ? .none : .pass, number: number)
            let evaluation = try await evaluate(message)
            #expect(evaluation.result == .pass, "\(evaluation.reason)")
            #expect(evaluation.oldestPass == 0)
            #expect(evaluation.instances.map(\.instance) == Array(1...number))
            #expect(evaluation.instances.allSatisfy { $0.seal?.isValid == true && $0.messageSignature?.result == .pass })
            #expect(evaluation.instances.last?.authenticationResults.results.hasPrefix("gmail.test;") == true)
        }
        let evaluation = try await evaluate(message)
        #expect(evaluation.sealers.map(\.ascii) == ["gmail.test", "kartapuce.test", "gmail.test"])
        #expect(message.split(separator: "\r\n").allSatisfy { $0.utf8.count <= 76 })
    }

    // RFC 8617 §4.1.2: a message may have none of the fields that are signed.
    @Test func aMessageWithoutFieldsToSignIsSealedAllTheSame() async throws {
        let message = "X-Kartapuce: yes\r\n\r\nHello.\r\n"
        let evaluation = try await evaluate(try sealed(message, .none, number: 1))
        #expect(evaluation.result == .pass, "\(evaluation.reason)")
    }

    @Test func whoChangesTheMessageSealsItAgain() async throws {
        let first = try sealed(Self.message, .none, number: 1)
        let changed = first + "-- \r\nThe list\r\n"
        let broken = try await evaluate(changed)
        #expect(broken.failure == .messageSignature(instance: 1, .bodyHash) && broken.result == .fail)
        let second = try sealed(changed, .pass, number: 2)
        let evaluation = try await evaluate(second)
        #expect(evaluation.result == .pass && evaluation.oldestPass == 2, "\(evaluation.reason)")
        #expect(evaluation.instances.first?.messageSignature?.failure == .bodyHash)
        let third = try await evaluate(try sealed(second, .pass, number: 3))
        #expect(third.result == .pass && third.oldestPass == 2)
    }

    @Test func aChangedSetBreaksEverySealBehindIt() async throws {
        let second = try sealed(try sealed(Self.message, .none, number: 1), .pass, number: 2)
        let changed = second.replacingOccurrences(of: "i=1; gmail.test;", with: "i=1; other.test;")
        #expect(changed != second)
        let evaluation = try await evaluate(changed)
        #expect(evaluation.failure == .seal(instance: 2, .signature))
        #expect(evaluation.instances.map { $0.seal == nil } == [true, false])
        let all = try await evaluate(changed, evaluatesEverything: true)
        #expect(all.failure == .seal(instance: 2, .signature))
        #expect(all.instances.map { $0.seal?.isValid } == [false, false])
        #expect(all.oldestPass == nil)
    }

    @Test func aBrokenChainIsSealedOnceAsFailed() async throws {
        let broken = try sealed(Self.message, .none, number: 1) + "changed\r\n"
        let failed = try sealed(broken, .fail, number: 2)
        let evaluation = try await evaluate(failed)
        #expect(evaluation.failure == .sealedAsFailed(instance: 2))
        #expect(throws: ARCSealingRefusal.alreadySealedAsFailed) { try sealed(failed, .fail, number: 3) }
        // RFC 8617 §5.1.2: its seal covers its own set only, whatever stands before.
        let other = try sealed(broken.replacingOccurrences(of: "ARC-Seal: i=1;", with: "ARC-Seal: i=1; x=y;"), .fail, number: 2)
        let end = try #require(failed.range(of: "ARC-Seal: i=1;")).lowerBound
        #expect(other.hasPrefix(failed[..<end]))
        // A set that can't be read is as broken.
        #expect(try sealed("ARC-Seal: i=1; nonsense\r\n" + Self.message, .fail, number: 1).contains("cv=fail"))
    }

    @Test func aStatusThatCannotBeIsRefused() throws {
        let first = try sealed(Self.message, .none, number: 1)
        #expect(throws: ARCSealingRefusal.statusContradictsChain(.pass)) { try sealed(Self.message, .pass, number: 1) }
        #expect(throws: ARCSealingRefusal.statusContradictsChain(.fail)) { try sealed(Self.message, .fail, number: 1) }
        #expect(throws: ARCSealingRefusal.statusContradictsChain(.none)) { try sealed(first, .none, number: 2) }
        for results in ["", "a\nb", "a\r\nb", "a\r", "a\0"] {
            #expect(throws: ARCSealingRefusal.invalidResults) { try sealed(Self.message, .none, results: results, number: 1) }
        }
    }

    @Test func fiftySetsAreTheMost() async throws {
        var message = Self.message
        for number in 1...50 { message = try sealed(message, number == 1 ? .none : .pass, number: 2) }
        #expect(try await evaluate(message).result == .pass)
        #expect(throws: ARCSealingRefusal.tooManySets(limit: 50)) { try sealed(message, .pass, number: 2) }
        #expect(try await evaluate("ARC-Seal: i=51\r\n" + message).failure == .tooManySets(limit: 50))
    }

    @Test func setsMustBeComplete() async throws {
        let message = try sealed(Self.message, .none, number: 1)
        for (field, name) in [
            (ARCFailure.Field.seal, "ARC-Seal:"), (.messageSignature, "ARC-Message-Signature:"), (.authenticationResults, "ARC-Authentication-Results:"),
        ] {
            #expect(try await evaluate(message.replacingOccurrences(of: name, with: "X-" + name)).failure == .missingField(field, instance: 1))
            let start = try #require(message.range(of: name)).lowerBound
            let rest = message[start...]
            let end = rest.range(of: "\r\nARC-")?.lowerBound ?? rest.range(of: "\r\nFrom:")?.lowerBound
            let copy = String(rest[..<(try #require(end))]) + "\r\n"
            #expect(try await evaluate(copy + message).failure == .repeatedField(field, instance: 1))
        }
        #expect(try await evaluate(message.replacingOccurrences(of: "cv=none", with: "cv=pass")).failure == .wrongChainStatus(.pass, instance: 1))
    }

    @Test func aFailureOfTheDNSIsTemporaryAndFailsAllTheSame() async throws {
        var zone = try Self.zone()
        zone.fail(try DomainName("a._domainkey.gmail.test"), with: .timeout)
        let evaluation = try await evaluate(try sealed(Self.message, .none, number: 1), resolver: zone)
        #expect(evaluation.result == .fail && evaluation.isTemporary)
        #expect(try await evaluate(sealed(Self.message, .none, number: 1) + "x\r\n").isTemporary == false)
    }

    /// What begins a body would be header behind the fields of a set, and the body another one.
    @Test(arguments: ["no field\r\nFrom: bob@gmail.test\r\n\r\nTea\r\n", "Tea at five\r\n", "From bob: today\r\n\r\nTea\r\n", " a fold\r\n\r\nTea\r\n"])
    func whatBeginsWithoutAFieldIsNotSealed(message: String) {
        #expect(throws: ARCSealingRefusal.malformedHeader) { try sealed(message, .none, number: 1) }
    }

    @Test func aMessageWithoutFieldsIsSealed() async throws {
        let evaluation = try await evaluate(sealed("\r\nTea at five\r\n", .none, number: 1))
        #expect(evaluation.result == .pass)
    }

    @Test func tracesAndResultsAreNotSigned() throws {
        let key = DKIMSigningKey(domain: try DomainName("gmail.test"), selector: try DomainName("a"), key: DKIMTestKeys.ed25519)
        for name in ["ARC-Seal", "arc-message-signature", "Authentication-Results", "Received"] {
            let header = HeaderSection(parsing: ByteBuffer(string: Self.message))
            #expect(throws: ARCSealingRefusal.forbiddenField(name)) {
                try ARCSealer(key: key, signedFields: ["From", name]).begin(header, chain: .none, results: Self.results)
            }
        }
    }

    @Test func resultsKeepTheirFoldsAndQuotedSemicolons() throws {
        let folded = try sealed(Self.message, .none, results: "gmail.test;\r\n  none", number: 2)
        #expect(folded.contains("\r\nARC-Authentication-Results: i=1; gmail.test;\r\n  none\r\n"))
        let quoted = try sealed(Self.message, .none, results: "gmail.test; dkim=fail reason=\"a; b\"; spf=none", number: 2)
        #expect(quoted.contains("i=1; gmail.test;\r\n\tdkim=fail reason=\"a; b\";\r\n\tspf=none\r\n"))
    }

    @Test(arguments: ["spf=pass; i=1; x", "i=0; x", "i=51; x", "i=1", "i=1 x; y", "i=+1; x", "i=; x", "=1; x", "(i=1; x"])
    func brokenResultsAreRefused(value: String) {
        #expect(throws: DKIMSyntaxError.self) { try ARCAuthenticationResults(parsing: Array(value.utf8)) }
    }

    @Test func resultsMayHaveComments() throws {
        let results = try ARCAuthenticationResults(parsing: Array(" (a (b)) i = 3 (c) ;\r\n gmail.test; none".utf8))
        #expect(results.instance == 3 && results.results == "gmail.test; none")
    }
}
