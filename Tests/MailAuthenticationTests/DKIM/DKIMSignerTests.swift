import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore
import Testing

struct DKIMSignerTests {
    private static let rsa = DKIMTestKeys.rsa
    private static let ed25519 = DKIMTestKeys.ed25519
    static let message = """
        From: Bob <bob@kartapuce.test>\r
        To: Jack <jack@gmail.test>\r
        Subject: Hello\r
        Date: Mon, 2 Nov 2026 10:00:00 +0100\r
        Message-ID: <1@kartapuce.test>\r
        \r
        Hello Jack.\r
        \r
        Bob\r

        """
    private static let time = Date(timeIntervalSince1970: 1_700_000_000)

    private static func keys() throws -> [DKIMSigningKey] {
        [
            DKIMSigningKey(domain: try DomainName("kartapuce.test"), selector: try DomainName("rsa1"), key: rsa),
            DKIMSigningKey(domain: try DomainName("kartapuce.test"), selector: try DomainName("ed1"), key: ed25519),
        ]
    }

    static let zone = ["rsa1._domainkey.kartapuce.test": rsa.recordText, "ed1._domainkey.kartapuce.test": ed25519.recordText]

    static func signed(_ message: String, options: DKIMSigningOptions = DKIMSigningOptions()) throws -> String {
        let buffer = ByteBuffer(string: message)
        let header = HeaderSection(parsing: buffer)
        let body = buffer.getSlice(at: header.range.upperBound, length: buffer.readableBytes - header.range.upperBound)
        let fields = try DKIMSigner(keys: try keys(), options: options).sign(header: header, body: try #require(body), at: time)
        return String(buffer: fields) + message
    }

    private func results(_ message: String, at time: Date = DKIMSignerTests.time) async throws -> [DKIMResult] {
        try await verifyDKIM(Array(message.utf8), Self.zone, at: time).map(\.result)
    }

    @Test func twoKeysMakeTwoSignaturesThatPass() async throws {
        let signed = try Self.signed(Self.message)
        let evaluations = try await verifyDKIM(Array(signed.utf8), Self.zone, at: Self.time)
        #expect(evaluations.map(\.result) == [.pass, .pass], "\(evaluations.map(\.reason))")
        #expect(evaluations.map(\.keyBits) == [2048, 256])
        #expect(evaluations.allSatisfy { !$0.isRisky })
        #expect(evaluations.map(\.identity) == ["@kartapuce.test", "@kartapuce.test"])
    }

    /// An MTA adds what is missing behind a filter that signs.
    @Test(arguments: [false, true]) func fieldsThatAreAddedLaterLeaveTheSignatureGood(isTold: Bool) async throws {
        let identity = "Message-ID: <1@kartapuce.test>\r\n"
        var options = DKIMSigningOptions()
        if isTold { options.fieldsAddedLater = ["Date", "Message-ID"] }
        let signed = try Self.signed(Self.message.replacing(identity, with: ""), options: options)
        #expect(try await results(identity + signed) == Array(repeating: isTold ? .pass : .fail, count: 2))
        // What is there is signed with one more, as ever.
        #expect(try await results("Date: Tue, 3 Nov 2026 10:00:00 +0100\r\n" + signed) == [.fail, .fail])
        guard isTold else { return }
        let date = "Date: Mon, 2 Nov 2026 10:00:00 +0100\r\n"
        #expect(try await results(date + Self.signed(Self.message.replacing(date, with: ""), options: options)) == [.pass, .pass])
    }

    @Test func linesStayWithinTheirColumns() throws {
        let signed = try Self.signed(Self.message)
        for line in signed.split(separator: "\r\n") {
            let columns = line.reduce(0) { $0 + ($1 == "\t" ? 8 : 1) }
            #expect(columns <= 76, "\(line)")
        }
    }

    @Test(arguments: DKIMCanonicalization.allCases, DKIMCanonicalization.allCases)
    func everyCanonicalizationVerifies(header: DKIMCanonicalization, body: DKIMCanonicalization) async throws {
        var options = DKIMSigningOptions()
        options.headerCanonicalization = header
        options.bodyCanonicalization = body
        options.lifetimeSeconds = 3600
        let signed = try Self.signed(Self.message, options: options)
        #expect(try await results(signed) == [.pass, .pass])
        #expect(try await results(signed, at: Self.time.addingTimeInterval(3600)) == [.pass, .pass])
        #expect(try await results(signed, at: Self.time.addingTimeInterval(3600 + 301)) == [.fail, .fail])
        #expect(try await results(signed, at: Self.time.addingTimeInterval(-301)) == [.fail, .fail])
        // A blank more at the end of a line of the body, and another case and fold of a name.
        let spaced = signed.replacingOccurrences(of: "Hello Jack.\r\n", with: "Hello  Jack. \t\r\n").replacingOccurrences(of: "Hello  Jack", with: "Hello Jack")
        #expect(try await results(spaced) == Array(repeating: body == .relaxed ? .pass : .fail, count: 2))
        let folded = signed.replacingOccurrences(of: "\r\nTo: Jack <", with: "\r\ntO :  Jack\r\n  <")
        #expect(try await results(folded) == Array(repeating: header == .relaxed ? .pass : .fail, count: 2))
        // Line ends of files.
        #expect(try await results(signed.replacingOccurrences(of: "\r\n", with: "\n")) == [.pass, .pass])
    }

    @Test func everyChangedOctetOfWhatIsSignedBreaksIt() async throws {
        var options = DKIMSigningOptions()
        options.headerCanonicalization = .simple
        options.bodyCanonicalization = .simple
        let signed = Array(try Self.signed(Self.message, options: options).utf8)
        let start = signed.count - Self.message.utf8.count
        for index in start..<signed.count {
            var changed = signed
            changed[index] ^= 0x01
            let results = try await verifyDKIM(changed, Self.zone, at: Self.time).map(\.result)
            #expect(!results.contains(.pass), "octet \(index)")
        }
    }

    @Test(arguments: [
        "From: Attacker <a@gmail.test>\r\n", "Subject: Other\r\n", "To: x@gmail.test\r\n", "Cc: x@gmail.test\r\n", "Reply-To: x@gmail.test\r\n",
        "Content-Type: text/html\r\n",
    ])
    func aFieldThatIsAddedBreaksIt(field: String) async throws {
        #expect(try await results(field + Self.signed(Self.message)) == [.fail, .fail])
    }

    @Test func withoutOversigningAnAddedFieldIsARisk() async throws {
        var options = DKIMSigningOptions()
        options.signedFields = ["From", "Subject"]
        let signed = "Subject: Other\r\n" + (try Self.signed(Self.message, options: options))
        let evaluations = try await verifyDKIM(Array(signed.utf8), Self.zone, at: Self.time)
        #expect(evaluations.map(\.result) == [.pass, .pass])
        #expect(evaluations.first?.risks == [.addedField("subject"), .unsignedField("date"), .unsignedField("to")])
    }

    @Test func traceFieldsAreNotSigned() async throws {
        let trace = "Received: from a by b; Mon, 2 Nov 2026 10:00:00 +0100\r\nAuthentication-Results: kartapuce.test; none\r\n"
        let signed = try Self.signed(trace + Self.message)
        #expect(try await results(signed.replacingOccurrences(of: trace, with: "Received: other\r\n")) == [.pass, .pass])
        var options = DKIMSigningOptions()
        options.signedFields = ["From", "Received"]
        #expect(throws: DKIMSigningRefusal.traceField("Received")) { try Self.signed(Self.message, options: options) }
        options.signedFields = ["Subject"]
        #expect(throws: DKIMSigningRefusal.fromNotSigned) { try Self.signed(Self.message, options: options) }
    }

    static let refusals: [(String, DKIMSigningRefusal)] = [
        (message.replacingOccurrences(of: "From: Bob <bob@kartapuce.test>\r\n", with: ""), .missingField("From")),
        (message.replacingOccurrences(of: "Date: Mon, 2 Nov 2026 10:00:00 +0100\r\n", with: ""), .missingField("Date")),
        (message.replacingOccurrences(of: "Mon, 2 Nov 2026 10:00:00 +0100", with: "yesterday"), .unreadableDate),
        ("From: bob@kartapuce.test\r\n" + message, .repeatedField("From", count: 2)),
        ("Subject: x\r\n" + message, .repeatedField("Subject", count: 2)),
        (message.replacingOccurrences(of: "Bob <bob@kartapuce.test>", with: "nobody"), .unreadableFrom),
        (message.replacingOccurrences(of: "Hello Jack.\r\n", with: "Hello Jack.\n"), .bareLineFeed(offset: 159)),
        (message.replacingOccurrences(of: "Hello Jack.\r\n", with: "Hello\rJack.\r\n"), .bareCarriageReturn(offset: 153)),
        (message.replacingOccurrences(of: "Subject: Hello\r\n", with: "Subject: Hello\n"), .bareLineFeed(offset: 74)),
        (message.replacingOccurrences(of: "Hello Jack", with: "Hello\0Jack"), .nulOctet(offset: 153)),
        (message.replacingOccurrences(of: "Hello Jack", with: String(repeating: "x", count: 999)), .lineTooLong(offset: 148)),
        (message.replacingOccurrences(of: "Subject: Hello", with: "Subject: Héllo"), .eightBitHeader(offset: 70)),
        (message.replacingOccurrences(of: "Hello Jack", with: "Héllo Jack"), .eightBitBody(offset: 149)),
        (message.replacingOccurrences(of: "Subject: Hello\r\n", with: "Subject: Hello\r\nno field\r\n"), .missingField("Date")),
        (message.replacingOccurrences(of: "\r\n\r\nHello Jack", with: "\r\nno field\r\n\r\nHello Jack"), .malformedHeader),
        (" folded from nothing\r\n" + message, .malformedHeader),
        (String(repeating: "X: y\r\n", count: 2001) + message, .headerOverLimits),
    ]

    @Test(arguments: refusals.indices)
    func whatRFC5322DoesNotAllowIsRefused(index: Int) {
        let (message, refusal) = Self.refusals[index]
        do {
            _ = try Self.signed(message)
            Issue.record("signed, and should be refused: \(refusal)")
        } catch let error as DKIMSigningRefusal { #expect(error == refusal) } catch { Issue.record("\(error)") }
    }

    @Test func mailOfOtherDomainsIsRefusedUnlessItIsAllowed() async throws {
        let foreign = Self.message.replacingOccurrences(of: "bob@kartapuce.test", with: "bob@gmail.test")
        #expect(throws: DKIMSigningRefusal.foreignAuthor("gmail.test", signer: try DomainName("kartapuce.test"))) { try Self.signed(foreign) }
        var options = DKIMSigningOptions()
        options.allowsForeignAuthors = true
        #expect(try await results(Self.signed(foreign, options: options)) == [.pass, .pass])
        let below = Self.message.replacingOccurrences(of: "bob@kartapuce.test", with: "bob@list.kartapuce.test")
        #expect(try await results(Self.signed(below)) == [.pass, .pass])
    }

    @Test func internationalizedAndMIMEMailIsSigned() async throws {
        var options = DKIMSigningOptions()
        options.allowsInternationalizedHeader = true
        let text = Self.message.replacingOccurrences(of: "Hello", with: "Héllo").replacingOccurrences(of: "\r\n\r\nH", with: "\r\nMIME-Version: 1.0\r\n\r\nH")
        #expect(try await results(Self.signed(text, options: options)) == [.pass, .pass])
    }

    @Test func messagesAtRandomVerifyInAnyPieces() async throws {
        var generator = DKIMSeededGenerator(seed: 42)
        for round in 0..<60 {
            let body = String(
                (0..<Int.random(in: 0...600, using: &generator)).flatMap { _ in
                    ["a", "b", " ", "  ", "\t", "\r\n", "\r\n\r\n", " \r\n"].randomElement(using: &generator)!
                })
            var options = DKIMSigningOptions()
            options.bodyCanonicalization = round % 2 == 0 ? .simple : .relaxed
            let signed = Array(try Self.signed(Self.message + body, options: options).utf8)
            #expect(try await verifyDKIM(signed, Self.zone, at: Self.time).map(\.result) == [.pass, .pass], "round \(round)")
        }
    }

    @Test func keysAreReadInTheirForms() throws {
        for key in [Self.rsa, Self.ed25519] {
            let again = try DKIMPrivateKey(parsing: key.pem)
            #expect(again.publicKeyData == key.publicKeyData && again.algorithm == key.algorithm)
            let record = try DKIMKeyRecord(parsing: key.recordText)
            #expect(try DKIMPublicKey(record).bits == key.bits)
            #expect(!"\(key)".contains("="))
            #expect(!String(reflecting: key).contains("backing"))
        }
        #expect(throws: DKIMPrivateKeyError.malformed) { try DKIMPrivateKey(parsing: "QUJD") }
        #expect(throws: DKIMPrivateKeyError.encrypted) {
            try DKIMPrivateKey(parsing: "-----BEGIN ENCRYPTED PRIVATE KEY-----\nQUJD\n-----END ENCRYPTED PRIVATE KEY-----\n")
        }
        #expect(throws: DKIMPrivateKeyError.unsupported("CERTIFICATE")) {
            try DKIMPrivateKey(parsing: "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n")
        }
        #expect(throws: DKIMPrivateKeyError.size(bits: 1024)) { try DKIMKeyPair.generate(rsaBits: 1024) }
    }
}
