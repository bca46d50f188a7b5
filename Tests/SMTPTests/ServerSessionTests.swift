import MailMessage
import NIOCore
import SMTP
import Testing

@Suite struct ServerSessionTests {
    static let plain = SMTPServerConfiguration(hostname: "mail.kartapuce.test")

    @Test func greetsAndOffers() {
        var dialogue = ServerDialogue(greets: false)
        dialogue.session.greet(refusal: nil)
        dialogue.run()
        #expect(dialogue.takeLines() == ["220 mail.kartapuce.test ESMTP"])
        #expect(
            dialogue.say("EHLO tom.gmail.test") == [
                "250-mail.kartapuce.test greets tom.gmail.test", "250-PIPELINING", "250-SIZE 52428800", "250-8BITMIME", "250-SMTPUTF8",
                "250-ENHANCEDSTATUSCODES", "250-CHUNKING", "250-BINARYMIME", "250-DSN", "250 LIMITS RCPTMAX=1000 MAILMAX=10000",
            ])
        #expect(dialogue.session.usesExtensions)
    }

    @Test func refusalStandsInsteadOfTheGreeting() {
        var dialogue = ServerDialogue(greets: false)
        dialogue.session.greet(refusal: SMTPReply(554, EnhancedStatusCode(5, 7, 1), "No service"))
        dialogue.run()
        #expect(dialogue.takeLines() == ["554 5.7.1 No service"])
        #expect(dialogue.closed == "refused")
    }

    @Test func takesAMessage() throws {
        var dialogue = ServerDialogue()
        #expect(dialogue.say("HELO tom.gmail.test") == ["250 mail.kartapuce.test"])
        #expect(dialogue.say("MAIL FROM:<tom@gmail.test>") == ["250 2.1.0 Sender ok"])
        #expect(dialogue.say("RCPT TO:<bob@kartapuce.test>") == ["250 2.1.5 Recipient ok"])
        #expect(dialogue.say("DATA") == ["354 Start mail input; end with <CRLF>.<CRLF>"])
        #expect(dialogue.say("Subject: hello", "", "..dot", ".also", ".") == ["250 2.0.0 Taken"])
        let message = try #require(dialogue.messages.first)
        #expect(message.content == "Subject: hello\r\n\r\n.dot\r\nalso\r\n")
        #expect(message.envelope.reversePath?.description == "tom@gmail.test")
        #expect(message.envelope.recipients.map(\.address.description) == ["bob@kartapuce.test"])
        #expect(dialogue.session.messagesAccepted == 1)
        #expect(dialogue.say("QUIT") == ["221 2.0.0 mail.kartapuce.test closing the connection"])
        #expect(dialogue.closed == "quit")
        #expect(dialogue.abandoned.isEmpty)
    }

    @Test func pipelinedTransactionsComeOutInOrder() {
        var dialogue = ServerDialogue()
        let one = "MAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nDATA\r\nA\r\n.\r\n"
        let replies = dialogue.send("EHLO x.test\r\n" + one + one + "QUIT\r\n")
        #expect(
            replies.filter { !$0.hasPrefix("250-") }.map { String($0.prefix(3)) } == ["250", "250", "250", "354", "250", "250", "250", "354", "250", "221"])
        #expect(dialogue.messages.map(\.content) == ["A\r\n", "A\r\n"])
        #expect(dialogue.messages.first?.envelope.reversePath == nil)
        #expect(dialogue.messages.first?.envelope.recipients.first?.address.description == "postmaster@mail.kartapuce.test")
    }

    /// Command → the reply it gets after EHLO, without a transaction.
    @Test(arguments: [
        ("RCPT TO:<bob@kartapuce.test>", "503 5.5.1"), ("DATA", "503 5.5.1"), ("RSET", "250 2.0.0"), ("NOOP anything", "250 2.0.0"),
        ("VRFY bob", "252 2.0.0"), ("VRFY", "501 5.5.4"), ("EXPN staff", "502 5.5.1"), ("HELP", "214-2.0.0"), ("FOO", "500 5.5.1"),
        ("", "500 5.5.1"), ("EHLO", "501 5.5.4"), ("EHLO bad name", "501 5.5.2"), ("EHLO [192.0.2.1]", "250-"),
        ("EHLO [IPv6:2001:db8::1]", "250-"), ("EHLO [300.1.1.1]", "501 5.5.2"), ("HELO desk_top", "250 mail"), ("EHLO -x.test", "501 5.5.2"),
        ("MAIL bob", "501 5.5.4"), ("MAIL FROM:bob@x.test", "501 5.5.4"), ("MAIL FROM:<bob>", "501 5.1.7"),
        ("MAIL FROM:<bob@x.test", "501 5.1.7"), ("MAIL FROM: <bob@x.test>", "250 2.1.0"), ("mail from:<\"a b\"@x.test>", "250 2.1.0"),
        ("MAIL FROM:<@a.test,@b.test:bob@x.test>", "250 2.1.0"), ("MAIL FROM:<bob@x.test> SIZE=100", "250 2.1.0"),
        ("MAIL FROM:<bob@x.test>SIZE=100", "501 5.5.4"), ("MAIL FROM:<bob@x.test> SIZE=99999999999", "552 5.3.4"),
        ("MAIL FROM:<bob@x.test> SIZE=-1", "501 5.5.4"), ("MAIL FROM:<bob@x.test> BODY=8bitmime", "250 2.1.0"),
        ("MAIL FROM:<bob@x.test> BODY=9BIT", "501 5.5.4"), ("MAIL FROM:<bob@x.test> FOO=1", "555 5.5.4"),
        ("MAIL FROM:<bob@x.test> RET=HDRS ENVID=a+2Bb", "250 2.1.0"), ("MAIL FROM:<bob@x.test> ENVID=a+0Db", "501 5.5.4"),
        ("MAIL FROM:<bob@x.test> RET=FULL RET=HDRS", "501 5.5.4"), ("MAIL FROM:<bøb@x.test>", "553 5.6.7"),
        ("MAIL FROM:<bøb@x.test> SMTPUTF8", "250 2.1.0"), ("MAIL FROM:<bob@x.test> AUTH=<>", "555 5.5.4"),
        ("MAIL FROM:<bob@x.test> REQUIRETLS", "555 5.5.4"),
        ("MAIL FROM:<bob@x.test> XTRACE=0123456789abcdef0123456789abcdef", "555 5.5.4"), ("STARTTLS", "502 5.5.1"),
        ("AUTH PLAIN", "502 5.5.1"), ("DATA now", "501 5.5.4"), ("QUIT now", "501 5.5.4"), ("BDAT x", "501 5.5.4"), ("MAIL FROM:<a\0@x.test>", "500 5.5.2"),
        ("GET / HTTP/1.1", "554 5.5.1"),
    ])
    func answers(command: String, reply: String) {
        var dialogue = ServerDialogue()
        _ = dialogue.say("EHLO x.test")
        let replies = dialogue.say(command)
        #expect(replies.first?.hasPrefix(reply) == true, "\(command) got \(replies)")
    }

    @Test(arguments: [
        ("RCPT TO:<bob@kartapuce.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob+2Bx@kartapuce.test", "250 2.1.5"),
        ("RCPT TO:<bob@kartapuce.test> NOTIFY=NEVER,DELAY", "501 5.5.4"), ("RCPT TO:<bob@kartapuce.test> ORCPT=rfc822", "501 5.5.4"),
        ("RCPT TO:<bob@kartapuce.test> ORCPT=rfc822;a+0A", "501 5.5.4"), ("RCPT TO:<>", "501 5.1.3"), ("RCPT TO:<bøb@x.test>", "553 5.6.7"),
        ("RCPT TO:<bob@kartapuce.test> SIZE=1", "555 5.5.4"), ("DATA", "554 5.5.1"), ("MAIL FROM:<>", "503 5.5.1"), ("BDAT 0 LAST", "554 5.5.1"),
    ])
    func answersInATransaction(command: String, reply: String) {
        var dialogue = ServerDialogue()
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<tom@gmail.test>")
        let replies = dialogue.say(command)
        #expect(replies.first?.hasPrefix(reply) == true, "\(command) got \(replies)")
    }

    @Test func keepsWhatDSNParametersSay() throws {
        var dialogue = ServerDialogue()
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<tom@gmail.test> RET=HDRS ENVID=a+2Bb BODY=8BITMIME SMTPUTF8")
        _ = dialogue.say("RCPT TO:<bob@kartapuce.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bob+2Bx@kartapuce.test", "DATA", ".")
        let envelope = try #require(dialogue.messages.first?.envelope)
        #expect(envelope.dsnReturn == .headers)
        #expect(envelope.envelopeID == "a+b")
        #expect(envelope.bodyType == .eightBitMIME)
        #expect(envelope.usesSMTPUTF8)
        #expect(envelope.recipients.first?.notify == [.success, .delay])
        #expect(envelope.recipients.first?.originalRecipient == "rfc822;bob+x@kartapuce.test")
    }

    @Test func heloKnowsNoParameters() {
        var dialogue = ServerDialogue()
        #expect(dialogue.say("HELO x.test", "MAIL FROM:<a@x.test> SIZE=1").last?.hasPrefix("555 5.5.4") == true)
    }

    @Test func aBarePostmasterIsTheDomains() {
        var configuration = Self.plain
        configuration.postmasterDomain = "kartapuce.test"
        var dialogue = ServerDialogue(configuration)
        #expect(dialogue.say("EHLO x.test", "MAIL FROM:<>", "RCPT TO:<PostMaster>", "DATA", ".").last == "250 2.0.0 Taken")
        #expect(dialogue.messages.first?.envelope.recipients.first?.address.description == "postmaster@kartapuce.test")
    }

    @Test func mailNeedsAGreeting() {
        var dialogue = ServerDialogue()
        #expect(dialogue.say("MAIL FROM:<a@x.test>").first?.hasPrefix("503 5.5.1") == true)
    }

    @Test func abandonedTransactionsAreTold() {
        var dialogue = ServerDialogue()
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RSET", "MAIL FROM:<a@x.test>", "EHLO x.test", "MAIL FROM:<a@x.test>", "QUIT")
        #expect(dialogue.abandoned == ["RSET", "EHLO", "quit"])
        var lost = ServerDialogue()
        _ = lost.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA", "half")
        lost.session.connectionLost()
        lost.run()
        #expect(lost.abandoned == ["lost"])
        #expect(lost.messages.isEmpty)
    }

    @Test func refusedSenderOpensNoTransaction() {
        var dialogue = ServerDialogue()
        dialogue.judgeSender = { _ in SMTPReply(550, EnhancedStatusCode(5, 7, 1), "No") }
        #expect(dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>").suffix(2) == ["550 5.7.1 No", "503 5.5.1 Need MAIL before RCPT"])
    }

    @Test func refusedMessageEndsTheTransactionOnly() {
        var dialogue = ServerDialogue()
        dialogue.judgeMessage = { SMTPReply(550, EnhancedStatusCode(5, 7, 1), "Virus") }
        #expect(dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA", "x", ".").last == "550 5.7.1 Virus")
        #expect(dialogue.session.messagesAccepted == 0)
        #expect(dialogue.say("MAIL FROM:<a@x.test>") == ["250 2.1.0 Sender ok"])
    }

    @Test func chunksMakeAMessage() throws {
        var dialogue = ServerDialogue()
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test> BODY=BINARYMIME", "RCPT TO:<b@x.test>")
        #expect(dialogue.send("BDAT 5\r\na\nb\rc") == ["250 2.0.0 5 octets received"])
        #expect(dialogue.say("DATA").first?.hasPrefix("503 5.5.1") == true)
        #expect(dialogue.say("RCPT TO:<c@x.test>").first?.hasPrefix("503 5.5.1") == true)
        #expect(dialogue.send("BDAT 3\r\n\r\n.BDAT 2 LAST\r\n\r\n") == ["250 2.0.0 3 octets received", "250 2.0.0 Taken"])
        #expect(dialogue.messages.first?.content == "a\nb\rc\r\n.\r\n")
    }

    @Test func chunksAreReadWithoutATransaction() {
        var dialogue = ServerDialogue()
        _ = dialogue.say("EHLO x.test")
        let replies = dialogue.send("BDAT 12 LAST\r\nMAIL FROM:<>NOOP\r\n")
        #expect(replies == ["503 5.5.1 Need MAIL before BDAT", "250 2.0.0 OK"])
    }

    @Test func binaryNeedsChunks() {
        var dialogue = ServerDialogue()
        #expect(dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test> BODY=BINARYMIME", "RCPT TO:<b@x.test>", "DATA").last?.hasPrefix("503 5.5.1") == true)
    }

    @Test func textInChunksHasNoBareLineEnds() {
        for text in ["a\nb", "a\rb", "ab\r"] {
            var dialogue = ServerDialogue()
            _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>")
            #expect(dialogue.send("BDAT \(text.utf8.count) LAST\r\n\(text)").first?.hasPrefix("550 5.6.11") == true, "\(text.debugDescription)")
            #expect(dialogue.messages.isEmpty)
        }
    }

    @Test func shutdownLetsAMessageFinish() {
        var dialogue = ServerDialogue()
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA", "x")
        dialogue.session.shutdown()
        dialogue.run()
        #expect(dialogue.closed == nil)
        let replies = dialogue.say(".")
        #expect(replies.first == "250 2.0.0 Taken")
        #expect(replies.last?.hasPrefix("421 4.3.2") == true)
        #expect(dialogue.closed == "shutdown")

        var idle = ServerDialogue()
        idle.session.shutdown()
        idle.run()
        #expect(idle.takeLines().first?.hasPrefix("421 4.3.2") == true)
    }

    @Test func timesOut() {
        var dialogue = ServerDialogue()
        #expect(dialogue.session.timeout == .seconds(300))
        dialogue.session.timedOut()
        dialogue.run()
        #expect(dialogue.takeLines().first?.hasPrefix("421 4.4.2") == true)
        #expect(dialogue.closed == "time-out")
    }
}
