import MailMessage
import NIOCore
import SASL
import Testing

@testable import SMTP

@Suite("Client session: opening")
struct ClientOpeningTests {
    @Test("greeting, EHLO, ready")
    func plain() {
        var dialogue = ClientDialogue()
        #expect(dialogue.connect() == [])
        #expect(dialogue.session.wait == .greeting)
        #expect(dialogue.server("220-mx.gmail.test\r\n220 ESMTP") == ["EHLO smtp.kartapuce.test"])
        #expect(dialogue.session.wait == .introduction)
        #expect(dialogue.server("250-mx.gmail.test\r\n250-PIPELINING\r\n250 SIZE 1000") == ["(ready)"])
        #expect(dialogue.session.extensions.pipelining)
        #expect(dialogue.session.wait == nil && dialogue.session.canBegin)
        #expect(dialogue.run(dialogue.session.quit(at: .zero)) == ["QUIT"])
        #expect(dialogue.server("221 bye") == ["(close)"])
    }

    @Test("HELO where EHLO is unknown", arguments: [500, 502, 504])
    func helo(_ code: Int) {
        var dialogue = ClientDialogue()
        _ = dialogue.connect()
        _ = dialogue.server("220 hi")
        #expect(dialogue.server("\(code) what?") == ["HELO smtp.kartapuce.test"])
        #expect(dialogue.server("250 hello") == ["(ready)"])
    }

    static let refusals: [([String], SMTPClientFailure.Stage, UInt16, Bool)] = [
        (["554 5.7.1 go away"], .greeting, 554, false), (["421 busy"], .greeting, 421, false),
        (["221 not ready"], .greeting, 451, true), (["hello"], .greeting, 451, true), (["334 x"], .greeting, 451, true),
        (["220 hi", "550 no"], .introduction, 550, false), (["220 hi", "421 later"], .introduction, 421, false),
        (["220 hi", "250-a\r\n251 b"], .introduction, 451, true), (["220 hi", "502 x", "550 y"], .introduction, 550, false),
        (["220 hi\r\n250 early"], .greeting, 451, true),
    ]

    @Test("refusals and garbage", arguments: refusals)
    func refused(_ lines: [String], _ stage: SMTPClientFailure.Stage, _ code: UInt16, _ isLocal: Bool) throws {
        var dialogue = ClientDialogue()
        _ = dialogue.connect()
        var last: [String] = []
        for line in lines { last = dialogue.server(line) }
        if lines == ["220 hi\r\n250 early"] {
            // The early reply is taken as EHLO's: a server that talks too soon harms itself alone.
            #expect(dialogue.failures.isEmpty)
            return
        }
        let failure = try #require(dialogue.failures.first)
        #expect(failure.stage == stage && failure.reply.code == code && failure.isLocal == isLocal)
        #expect(last.last == "(close)")
        #expect(dialogue.server("220 again") == [], "a closed session says nothing")
    }

    @Test("STARTTLS: all is forgotten and asked again")
    func startTLS() {
        var dialogue = ClientDialogue { $0.startTLS = .opportunistic }
        _ = dialogue.connect()
        _ = dialogue.server("220 hi")
        #expect(dialogue.server("250-mx\r\n250-PIPELINING\r\n250 STARTTLS") == ["STARTTLS"])
        #expect(dialogue.server("220 go") == ["(TLS)"])
        #expect(dialogue.session.wait == .handshake)
        #expect(dialogue.run(dialogue.session.tlsEstablished(isVerified: false, at: .zero)) == ["EHLO smtp.kartapuce.test"])
        #expect(!dialogue.session.extensions.pipelining)
        // Still offered under TLS by a confused server: not done twice.
        #expect(dialogue.server("250-mx\r\n250 STARTTLS") == ["(ready)"])
    }

    @Test("octets after the reply to STARTTLS are an attack", arguments: [true, false])
    func injection(_ inOnePacket: Bool) throws {
        var dialogue = ClientDialogue { $0.startTLS = .opportunistic }
        _ = dialogue.connect()
        _ = dialogue.server("220 hi")
        _ = dialogue.server("250-mx\r\n250 STARTTLS")
        var seen: [String]
        if inOnePacket {
            seen = dialogue.server("220 go\r\n250-evil\r\n250 AUTH PLAIN")
            #expect(!seen.contains("(TLS)"))
        } else {
            _ = dialogue.server("220 go")
            seen = dialogue.server("250 evil")
        }
        #expect(seen == ["(failed: startTLS)", "(close)"])
        #expect(try #require(dialogue.failures.first).reply.enhancedStatus == EnhancedStatusCode(4, 7, 0))
    }

    @Test("STARTTLS refused, or not offered")
    func noTLS() throws {
        for (offers, answer, policy) in [
            (true, "454 4.7.0 no", SMTPClientSession.Configuration.StartTLS.opportunistic), (true, "454 4.7.0 no", .required),
            (false, "", .opportunistic), (false, "", .required),
        ] {
            var dialogue = ClientDialogue { $0.startTLS = policy }
            _ = dialogue.connect()
            _ = dialogue.server("220 hi")
            var seen = dialogue.server(offers ? "250-mx\r\n250 STARTTLS" : "250 mx")
            if offers { seen = dialogue.server(answer) }
            if policy == .required {
                #expect(seen == ["(failed: startTLS)", "(close)"])
                #expect(try #require(dialogue.failures.first).reply.enhancedStatus == EnhancedStatusCode(4, 7, 5))
            } else {
                #expect(seen == ["(ready)"])
                #expect(dialogue.session.startTLSRefusal?.code == (offers ? 454 : nil))
            }
        }
    }

    @Test("LMTP says LHLO and never HELO")
    func lmtp() {
        var dialogue = ClientDialogue { $0.isLMTP = true }
        _ = dialogue.connect()
        #expect(dialogue.server("220 hi") == ["LHLO smtp.kartapuce.test"])
        #expect(dialogue.server("500 what?") == ["(failed: introduction)", "(close)"])
    }

    @Test("passwords are not shown without TLS, and never kept in exchanges")
    func authentication() throws {
        var dialogue = ClientDialogue { $0.credentials = SMTPCredentials(username: "bob", password: "secret") }
        _ = dialogue.connect()
        _ = dialogue.server("220 hi")
        #expect(dialogue.server("250-mx\r\n250 AUTH PLAIN LOGIN") == ["(failed: authentication)", "(close)"])
        #expect(!String(buffer: dialogue.wire).contains("AUTH"))

        dialogue = ClientDialogue {
            $0.credentials = SMTPCredentials(username: "bob", password: "secret")
            $0.hasImplicitTLS = true
        }
        _ = dialogue.connect()
        _ = dialogue.server("220 hi")
        #expect(dialogue.server("250-mx\r\n250 AUTH PLAIN LOGIN") == ["AUTH PLAIN AGJvYgBzZWNyZXQ="])
        var refused = dialogue
        #expect(dialogue.server("235 2.7.0 ok") == ["(ready)"])
        #expect(dialogue.session.takeExchanges().map(\.command) == ["(connect)", "EHLO smtp.kartapuce.test", "AUTH PLAIN (hidden)"])
        #expect(refused.server("535 5.7.8 wrong") == ["(failed: authentication)", "(close)"])
        #expect(try #require(refused.failures.first).reply.code == 535)

        dialogue = ClientDialogue {
            $0.credentials = SMTPCredentials(username: "bob", password: "secret")
            $0.hasImplicitTLS = true
        }
        _ = dialogue.connect()
        _ = dialogue.server("220 hi")
        #expect(dialogue.server("250-mx\r\n250 AUTH LOGIN") == ["AUTH LOGIN"])
        #expect(dialogue.server("334 VXNlcm5hbWU6") == ["Ym9i"])
        #expect(dialogue.server("334 UGFzc3dvcmQ6") == ["c2VjcmV0"])
        var greedy = dialogue
        #expect(greedy.server("334 bW9yZT8=") == ["(failed: authentication)", "(close)"], "a server that wants more gets nothing")
        #expect(dialogue.server("235 ok") == ["(ready)"])
    }

    /// RFC 7677 §3, with the server's proof, without it, and with a wrong one.
    @Test("SCRAM comes first, and the server must prove itself")
    func scram() throws {
        var dialogue = ClientDialogue {
            $0.credentials = SMTPCredentials(username: "user", password: "pencil")
            $0.authenticationNonce = "rOprNGfwEbeRWgbNEkqO"
        }
        _ = dialogue.connect()
        _ = dialogue.server("220 hi")
        let seen = dialogue.server("250-mx\r\n250 AUTH PLAIN SCRAM-SHA-256-PLUS SCRAM-SHA-256")
        #expect(seen == ["AUTH SCRAM-SHA-256 \(Base64.encode(Array("n,,n=user,r=rOprNGfwEbeRWgbNEkqO".utf8)))"])
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        let final =
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        #expect(dialogue.server("334 " + Base64.encode(Array(first.utf8))) == [Base64.encode(Array(final.utf8))])
        var unproved = dialogue
        #expect(unproved.server("235 2.7.0 welcome") == ["(failed: authentication)", "(close)"])
        var wrong = dialogue
        #expect(wrong.server("334 " + Base64.encode(Array("v=AAAA".utf8))) == ["(failed: authentication)", "(close)"])
        let proof = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        #expect(dialogue.server("334 " + Base64.encode(Array(proof.utf8))) == [""])
        #expect(dialogue.server("235 2.7.0 welcome") == ["(ready)"])
        #expect(dialogue.session.takeExchanges().allSatisfy { !$0.command.contains("biws") && !$0.command.contains("bixu") })
    }
}

@Suite("Client session: transactions")
struct ClientTransactionTests {
    @Test("one command at a time without PIPELINING")
    func lockstep() {
        var dialogue = ClientDialogue.ready()
        #expect(dialogue.start(to: ["tom@gmail.test", "alice@gmail.test"]) == ["MAIL FROM:<bob@kartapuce.test>"])
        #expect(dialogue.server("250 2.1.0 ok") == ["RCPT TO:<tom@gmail.test>"])
        #expect(dialogue.server("550 5.1.1 unknown") == ["RCPT TO:<alice@gmail.test>"])
        #expect(dialogue.server("250 2.1.5 ok") == ["DATA"])
        #expect(dialogue.session.wait == .dataInitiation)
        #expect(dialogue.server("354 go") == ["Subject: hi", "", "hello", "."])
        #expect(dialogue.session.wait == .dataTermination)
        #expect(dialogue.server("250 2.0.0 queued") == ["(finished)"])
        #expect(dialogue.answers == ["550", "250"])
        #expect(dialogue.session.canBegin)
        // The next one begins without RSET.
        #expect(dialogue.start(to: ["tom@gmail.test"], from: nil) == ["MAIL FROM:<>"])
    }

    @Test("one flight with PIPELINING")
    func pipelined() {
        var dialogue = ClientDialogue.ready(["PIPELINING", "SIZE", "8BITMIME"])
        #expect(
            dialogue.start(to: ["tom@gmail.test", "alice@gmail.test"], content: "a: b\r\n\r\nü\r\n") == [
                "MAIL FROM:<bob@kartapuce.test> SIZE=12 BODY=8BITMIME", "RCPT TO:<tom@gmail.test>", "RCPT TO:<alice@gmail.test>", "DATA",
            ])
        #expect(dialogue.server("250 ok\r\n250 ok\r\n452 4.2.2 full\r\n354 go") == ["a: b", "", "ü", "."])
        #expect(dialogue.server("250 ok") == ["(finished)"])
        #expect(dialogue.answers == ["250", "452"])
    }

    @Test("an empty message where DATA succeeds although every recipient was refused (RFC 2920 §3.1)")
    func emptyMessage() {
        for answer in ["554 no valid recipients", "250 queued"] {
            var dialogue = ClientDialogue.ready(["PIPELINING"])
            _ = dialogue.start(to: ["tom@gmail.test"])
            #expect(dialogue.server("250 ok\r\n550 no\r\n354 go") == ["."])
            #expect(dialogue.server(answer) == ["(finished)"])
            #expect(dialogue.answers == ["550"])
            #expect(dialogue.results.last?.connectionIsUsable == true)
        }
    }

    @Test("all refused: RSET before the next MAIL")
    func reset() {
        var dialogue = ClientDialogue.ready(["PIPELINING"])
        _ = dialogue.start(to: ["tom@gmail.test"])
        #expect(dialogue.server("250 ok\r\n550 no\r\n503 no recipients") == ["(finished)"])
        #expect(
            dialogue.start(to: ["alice@gmail.test"]) == [
                "RSET", "MAIL FROM:<bob@kartapuce.test>", "RCPT TO:<alice@gmail.test>", "DATA",
            ])
        dialogue = ClientDialogue.ready()
        _ = dialogue.start(to: ["tom@gmail.test"])
        _ = dialogue.server("250 ok")
        #expect(dialogue.server("550 no") == ["(finished)"])
        #expect(dialogue.start(to: ["alice@gmail.test"]) == ["RSET"])
        #expect(dialogue.server("250 ok") == ["MAIL FROM:<bob@kartapuce.test>"])
    }

    @Test("MAIL refused: everybody has its reply")
    func mailRefused() {
        for extensions in [[], ["PIPELINING"], ["PIPELINING", "CHUNKING"]] {
            var dialogue = ClientDialogue.ready(extensions)
            _ = dialogue.start(to: ["tom@gmail.test", "alice@gmail.test"])
            _ = dialogue.server("550 5.7.1 not you")
            if !extensions.isEmpty { _ = dialogue.server("503 no\r\n503 no") }
            if extensions == ["PIPELINING"] { _ = dialogue.server("503 no") }
            #expect(dialogue.answers == ["550", "550"], "\(extensions)")
            #expect(dialogue.session.canBegin)
        }
    }

    @Test("BDAT: chunks without dots, pipelined after the recipients")
    func chunks() {
        var dialogue = ClientDialogue.ready(["PIPELINING", "CHUNKING"]) { $0.chunkOctets = 10 }
        _ = dialogue.start(to: ["tom@gmail.test"], content: "a: b\r\n\r\n.\r\n.x\r\n")
        _ = dialogue.server("250 ok\r\n250 ok")
        #expect(String(buffer: dialogue.wire).hasSuffix("BDAT 10\r\na: b\r\n\r\n.\rBDAT 5 LAST\r\n\n.x\r\n"))
        #expect(dialogue.server("250 10 octets\r\n250 queued") == ["(finished)"])
        #expect(dialogue.answers == ["250"])

        // Without PIPELINING each chunk waits (RFC 3030 §4.2).
        dialogue = ClientDialogue.ready(["CHUNKING"]) { $0.chunkOctets = 10 }
        _ = dialogue.start(to: ["tom@gmail.test"], content: "a: b\r\n\r\nab\r\ncd\r\n")
        _ = dialogue.server("250 ok")
        #expect(dialogue.server("250 ok") == ["BDAT 10", "a: b", "", "ab"])
        #expect(dialogue.server("250 ok") == ["BDAT 6 LAST", "", "cd"])
        #expect(dialogue.server("250 ok") == ["(finished)"])
    }

    @Test("a refused chunk is the message's answer")
    func chunkRefused() {
        var dialogue = ClientDialogue.ready(["PIPELINING", "CHUNKING"]) { $0.chunkOctets = 4 }
        dialogue.answersReads = false
        _ = dialogue.start(to: ["tom@gmail.test"], content: "abcdefghij\r\n")
        #expect(dialogue.server("250 ok\r\n250 ok") == ["(read 0..<4)"])
        #expect(dialogue.run(dialogue.session.content(ByteBuffer(string: "abcd"), at: .zero)) == ["BDAT 4", "abcd", "(read 4..<8)"])
        #expect(dialogue.server("552 5.3.4 too much") == ["(finished)"])
        #expect(dialogue.answers == ["552"])
        #expect(dialogue.run(dialogue.session.content(ByteBuffer(string: "efgh"), at: .zero)) == [], "a late piece goes nowhere")
        #expect(dialogue.start(to: ["tom@gmail.test"]).first == "RSET")
    }

    @Test("one flight for all on links")
    func earlyContent() {
        for (replies, expected) in [
            ("250 ok\r\n250 ok\r\n250 queued", "250"), ("250 ok\r\n550 no\r\n554 no recipients", "550"),
            ("450 later\r\n503 no\r\n503 no", "450"), ("250 ok\r\n250 ok\r\n451 disk", "451"),
        ] {
            var dialogue = ClientDialogue.ready(["PIPELINING", "CHUNKING", "XTRACE"]) {
                $0.earlyContentOctets = 1000
                $0.handsOnTrace = true
            }
            let trace = TraceID("000102030405060708090a0b0c0d0e0f")
            #expect(
                dialogue.start(to: ["tom@gmail.test"], content: "hello\r\n", trace: trace) == [
                    "MAIL FROM:<bob@kartapuce.test> XTRACE=000102030405060708090a0b0c0d0e0f", "RCPT TO:<tom@gmail.test>",
                    "BDAT 7 LAST", "hello",
                ])
            #expect(dialogue.server(replies) == ["(finished)"])
            #expect(dialogue.answers == [expected])
        }
        // Lost before any reply: the peer may have the message.
        var dialogue = ClientDialogue.ready(["PIPELINING", "CHUNKING"]) { $0.earlyContentOctets = 1000 }
        _ = dialogue.start(to: ["tom@gmail.test"])
        _ = dialogue.run(dialogue.session.closed())
        #expect(dialogue.results.last?.nothingWasAnswered == false)
    }

    @Test("the trace identity goes to nobody else")
    func noTrace() {
        var dialogue = ClientDialogue.ready(["XTRACE"])
        #expect(dialogue.start(to: ["tom@gmail.test"], trace: .random()) == ["MAIL FROM:<bob@kartapuce.test>"])
    }

    @Test("LMTP answers for each recipient")
    func lmtp() {
        for extensions in [["PIPELINING"], ["PIPELINING", "CHUNKING"]] {
            var dialogue = ClientDialogue.ready(extensions) { $0.isLMTP = true }
            _ = dialogue.start(to: ["tom@gmail.test", "alice@gmail.test", "mike@gmail.test"])
            _ = dialogue.server("250 ok\r\n250 ok\r\n550 no\r\n250 ok")
            if extensions.count == 1 { _ = dialogue.server("354 go") }
            #expect(dialogue.server("250 yes") == [])
            #expect(dialogue.server("452 4.2.2 full") == ["(finished)"])
            #expect(dialogue.answers == ["250", "550", "452"])
        }
    }

    @Test("limits split the recipients into transactions")
    func limits() {
        var dialogue = ClientDialogue.ready(["PIPELINING", "LIMITS RCPTMAX=2 MAILMAX=2"])
        let recipients = (1...5).map { "u\($0)@gmail.test" }
        #expect(dialogue.start(to: recipients).count == 4)
        _ = dialogue.server("250 ok\r\n250 ok\r\n250 ok\r\n354 go")
        #expect(dialogue.server("250 ok") == ["MAIL FROM:<bob@kartapuce.test>", "RCPT TO:<u3@gmail.test>", "RCPT TO:<u4@gmail.test>", "DATA"])
        _ = dialogue.server("250 ok\r\n250 ok\r\n250 ok\r\n354 go")
        #expect(dialogue.server("250 ok") == ["(finished)"])
        #expect(dialogue.answers == ["250", "250", "250", "250", "not tried"])
        #expect(!dialogue.session.canBegin)

        dialogue = ClientDialogue.ready(["PIPELINING", "LIMITS RCPTDOMAINMAX=1"])
        #expect(dialogue.start(to: ["a@gmail.test", "b@gmail.test", "c@evil.test"]).count == 4)
    }

    @Test("452 after some recipients postpones the rest to another transaction")
    func tooManyRecipients() {
        var dialogue = ClientDialogue.ready(["PIPELINING"])
        _ = dialogue.start(to: ["a@gmail.test", "b@gmail.test"])
        _ = dialogue.server("250 ok\r\n250 ok\r\n452 4.5.3 too many\r\n354 go")
        #expect(dialogue.server("250 ok") == ["MAIL FROM:<bob@kartapuce.test>", "RCPT TO:<b@gmail.test>", "DATA"])
        _ = dialogue.server("250 ok\r\n452 4.5.3 too many\r\n503 no")
        #expect(dialogue.answers == ["250", "452"], "and it ends")
    }

    static let localRefusals: [([String], String, @Sendable (inout Envelope) -> Void, String)] = [
        (["SIZE 10"], "Subject: long\r\n", { _ in }, "local 552 5.3.4"),
        ([], "a: b\r\n\r\nü\r\n", { _ in }, "local 554 5.6.3"),
        (["8BITMIME"], "a: ü\r\n", { $0.usesSMTPUTF8 = true }, "local 554 5.6.7"),
        (["8BITMIME", "CHUNKING"], "a\r\n", { $0.bodyType = .binaryMIME }, "local 554 5.6.3"),
        ([], "a\r\n", { $0.reversePath = EmailAddress(localPart: "jürgen", domain: "kartapuce.test") }, "local 553 5.6.7"),
        ([], "a\r\n", { $0.recipients[0].address = EmailAddress(localPart: "jürgen", domain: "gmail.test") }, "local 553 5.6.7"),
        ([], "a\r\n", { $0.recipients[0].address = EmailAddress(localPart: "a\r\nDATA", domain: "gmail.test") }, "local 553 5.1.3"),
        ([], "a\r\n", { $0.recipients[0].address = EmailAddress(localPart: "a", domain: "x> SIZE=1") }, "local 553 5.1.3"),
        ([], "a\r\n", { $0.reversePath = EmailAddress(localPart: "a\n", domain: "gmail.test") }, "local 553 5.1.7"),
        ([], "a\r\n", { $0.requiresTLS = true }, "local 550 5.7.10"),
        ([], "a\nb\r\n", { _ in }, "local 554 5.6.0"),
    ]

    @Test("what the peer cannot take is refused here", arguments: localRefusals)
    func refusals(_ extensions: [String], _ content: String, _ change: @Sendable (inout Envelope) -> Void, _ expected: String) {
        var dialogue = ClientDialogue.ready(extensions)
        #expect(dialogue.start(to: ["tom@gmail.test"], content: content, change: change) == ["(finished)"])
        #expect(dialogue.answers == [expected])
        #expect(dialogue.wire.readableBytes == 0)
        #expect(dialogue.session.canBegin)
    }

    @Test("binary content goes as it is where the peer takes it")
    func binary() {
        var dialogue = ClientDialogue.ready(["PIPELINING", "CHUNKING", "BINARYMIME", "8BITMIME"])
        #expect(
            dialogue.start(to: ["tom@gmail.test"], content: "a\n\r\u{0}.\n") { $0.bodyType = .binaryMIME }.first
                == "MAIL FROM:<bob@kartapuce.test> BODY=BINARYMIME")
        _ = dialogue.server("250 ok\r\n250 ok")
        #expect(String(buffer: dialogue.wire).hasSuffix("BDAT 6 LAST\r\na\n\r\u{0}.\n"))
    }

    @Test("parameters only where they are offered")
    func parameters() {
        let change: (inout Envelope) -> Void = { envelope in
            envelope.envelopeID = "QQ+314=159"
            envelope.dsnReturn = .headers
            envelope.recipients[0].notify = [.success, .delay]
            envelope.recipients[0].originalRecipient = "rfc822;tom+x@gmail.test"
            envelope.recipients[1].notify = .never
            envelope.recipients[1].originalRecipient = "utf-8;jürgen@gmail.test"
        }
        var dialogue = ClientDialogue.ready(["PIPELINING", "DSN", "CHUNKING"])
        #expect(
            dialogue.start(to: ["tom@gmail.test", "a b@gmail.test"], change: change) == [
                "MAIL FROM:<bob@kartapuce.test> RET=HDRS ENVID=QQ+2B314+3D159",
                "RCPT TO:<tom@gmail.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;tom+2Bx@gmail.test",
                "RCPT TO:<\"a b\"@gmail.test> NOTIFY=NEVER ORCPT=utf-8;j\\x{FC}rgen@gmail.test",
            ])
        dialogue = ClientDialogue.ready(["PIPELINING", "CHUNKING"])
        #expect(
            dialogue.start(to: ["tom@gmail.test", "jack@gmail.test"], change: change) == [
                "MAIL FROM:<bob@kartapuce.test>", "RCPT TO:<tom@gmail.test>", "RCPT TO:<jack@gmail.test>",
            ])
        dialogue = ClientDialogue.ready(["PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8"])
        #expect(
            dialogue.start(to: ["jürgen@gmail.test"]) == ["MAIL FROM:<bob@kartapuce.test> SMTPUTF8", "RCPT TO:<jürgen@gmail.test>"])
    }

    @Test("domains go out as A-labels to a peer without SMTPUTF8 (RFC 6531 §3.2)")
    func internationalDomains() {
        var dialogue = ClientDialogue.ready(["PIPELINING"])
        let seen = dialogue.start(to: ["tom@bücher.test", "jürgen@bücher.test", "jack@gmail.test"], from: "bob@kärtapuce.test")
        #expect(
            seen == [
                "MAIL FROM:<bob@xn--krtapuce-0za.test>", "RCPT TO:<tom@xn--bcher-kva.test>", "RCPT TO:<jack@gmail.test>", "DATA",
            ])
        _ = dialogue.server("250 ok\r\n250 ok\r\n250 ok\r\n354 go")
        _ = dialogue.server("250 taken")
        #expect(dialogue.answers == ["250", "local 553 5.6.7", "250"])
        dialogue = ClientDialogue.ready(["PIPELINING", "SMTPUTF8"])
        #expect(
            dialogue.start(to: ["tom@bücher.test"]) == ["MAIL FROM:<bob@kartapuce.test> SMTPUTF8", "RCPT TO:<tom@bücher.test>", "DATA"])
    }

    @Test("REQUIRETLS goes to verified peers that know it (RFC 8689 §4.2.1)")
    func requireTLS() {
        for (isVerified, extensions, expected) in [
            (true, ["REQUIRETLS"], "MAIL FROM:<bob@kartapuce.test> REQUIRETLS"), (true, [], "local 550 5.7.30"),
            (false, ["REQUIRETLS"], "local 550 5.7.10"),
        ] {
            var dialogue = ClientDialogue { $0.hasImplicitTLS = true }
            _ = dialogue.run(dialogue.session.connected(isVerified: isVerified, at: .zero))
            _ = dialogue.server("220 hi")
            _ = dialogue.server(ClientDialogue.ehlo(extensions))
            let seen = dialogue.start(to: ["tom@gmail.test"]) { $0.requiresTLS = true }
            #expect(seen.first == expected || dialogue.answers == [expected])
        }
        // A notice isn't lost for want of it (RFC 8689 §5).
        for (extensions, command) in [([], "MAIL FROM:<>"), (["REQUIRETLS"], "MAIL FROM:<> REQUIRETLS")] as [([String], String)] {
            var dialogue = ClientDialogue.ready(extensions)
            let seen = dialogue.start(to: ["tom@gmail.test"]) {
                $0.requiresTLS = true
                $0.reversePath = nil
            }
            #expect(seen.first == command)
        }
    }

    @Test("a loss at each step leaves everybody with an answer")
    func losses() {
        let replies = ["250 ok", "250 ok", "550 no", "354 go"]
        for step in 0...replies.count {
            for end in ["lost", "silent", "421", "garbage", "early"] {
                var dialogue = ClientDialogue.ready()
                _ = dialogue.start(to: ["tom@gmail.test", "alice@gmail.test"])
                for reply in replies[..<step] { _ = dialogue.server(reply) }
                switch end {
                case "lost": _ = dialogue.run(dialogue.session.closed())
                case "silent": #expect(dialogue.run(dialogue.session.timedOut()).last == "(close)")
                case "421": #expect(dialogue.server("421 4.3.2 down").last == "(close)")
                case "garbage": #expect(dialogue.server("<html>").last == "(close)")
                default: #expect(dialogue.server("250-x\r\n551 y").last == "(close)")
                }
                let expected = end == "421" ? "421" : end == "lost" || end == "silent" ? "local 451 4.4.2" : "local 451 4.5.0"
                #expect(dialogue.answers == [expected, step < 3 ? expected : "550"], "\(end) at \(step)")
                #expect(dialogue.results.last?.nothingWasAnswered == (step == 0), "\(end) at \(step)")
                #expect(dialogue.results.last?.connectionIsUsable == false)
            }
        }
    }

    @Test("a reply in the middle of the message is the message's")
    func earlyRefusal() {
        var dialogue = ClientDialogue.ready()
        dialogue.answersReads = false
        _ = dialogue.start(to: ["tom@gmail.test"])
        for reply in ["250 ok", "250 ok", "354 go"] { _ = dialogue.server(reply) }
        #expect(dialogue.server("552 5.3.4 enough") == ["(finished)", "(close)"])
        #expect(dialogue.answers == ["552"])
    }
}
