import IMAP
import NIOCore
import Testing

/// What may be said in which state (RFC 9051 §3, §6.1).
@Suite struct SessionTests {
    private func connected(_ security: IMAPSession.Security = .implicit) -> SessionDialogue {
        var client = SessionDialogue(security)
        _ = client.hear()
        return client
    }

    @Test func greetingTellsWhatIsPossible() {
        var secured = SessionDialogue()
        #expect(
            secured.hear() == [
                "* OK [CAPABILITY IMAP4rev2 IMAP4rev1 LITERAL- SASL-IR ID ENABLE AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN] "
                    + "mail.kartapuce.test Postern is ready"
            ])
        var clear = SessionDialogue(.startTLS)
        #expect(clear.hear().first?.contains("STARTTLS LOGINDISABLED]") == true)
    }

    @Test func commandsBelongToStates() {
        var client = connected()
        for command in ["SELECT INBOX", "LIST \"\" *", "FETCH 1 FLAGS", "IDLE", "ENABLE IMAP4rev2", "EXPUNGE"] {
            #expect(client.line("a \(command)") == ["a BAD Log in first"], "\(command)")
        }
        #expect(client.line("b NOOP") == ["b OK Nothing done"])
        client.logIn()
        #expect(client.line("c FETCH 1 FLAGS").first?.hasPrefix("c BAD This command cannot be given in this state") == true)
        #expect(client.line("d LOGIN bob x").first?.hasPrefix("d BAD") == true)
        #expect(client.line("e STARTTLS").first?.hasPrefix("e BAD") == true)
        client.answer = { _ in .ok("Selected", code: "READ-WRITE", effect: .selected) }
        #expect(client.line("f SELECT INBOX") == ["f OK [READ-WRITE] Selected"])
        client.answer = { _ in .ok("Done") }
        #expect(client.line("g FETCH 1 FLAGS") == ["g OK Done"])
        client.answer = { _ in .ok("Closed", effect: .unselected) }
        #expect(client.line("h CLOSE") == ["h OK Closed"])
        #expect(client.line("i EXPUNGE").first?.hasPrefix("i BAD") == true)
        #expect(client.line("j LOGOUT") == ["* BYE Until next time", "j OK Logged out"])
        #expect(client.asked.last == "close: logged out")
        #expect(client.line("k NOOP").isEmpty)
    }

    @Test func aMailboxThatIsGoneEndsTheConnection() {
        var client = connected()
        client.logIn()
        client.answer = { _ in .no("INBOX is gone", effect: .ended) }
        #expect(client.line("a NOOP") == ["* BYE INBOX is gone"])
        #expect(client.asked.last == "close: INBOX is gone")
    }

    @Test func identityNamespaceAndEnabling() {
        var client = connected()
        #expect(client.line("a ID (\"name\" \"x\")") == ["* ID (\"name\" \"Postern\")", "a OK Identity told"])
        client.logIn()
        #expect(client.line("b NAMESPACE").first == "* NAMESPACE ((\"\" \"/\")) NIL NIL")
        #expect(client.line("c ENABLE X-NOTHING") == ["* ENABLED", "c OK Enabled"])
        #expect(!client.session.isRev2)
        #expect(client.line("d ENABLE CONDSTORE IMAP4rev2") == ["* ENABLED IMAP4rev2", "d OK Enabled"])
        #expect(client.session.isRev2)
    }

    @Test func commandsInOneFlightAreAnsweredInOrder() {
        var client = connected()
        let heard = client.say("a LOGIN bob@kartapuce.test \"correct horse\"\r\nb NOOP\r\nc LIST \"\" *\r\nd BAD\r\n")
        #expect(heard.map { $0.prefix(6) } == ["a OK [", "b OK D", "c OK D", "d BAD "])
    }

    @Test func errorsInARowEndTheConnection() {
        var client = SessionDialogue { $0.errors = 3 }
        _ = client.hear()
        #expect(client.line("a X").count == 1)
        #expect(client.line("\u{1}\u{2}").first?.hasPrefix("* BAD") == true)
        // Before the login, a sensible command doesn't make up for it.
        _ = client.line("b NOOP")
        #expect(client.line("c Y").last == "* BYE Too many errors")
        #expect(client.asked == ["close: Too many errors"])
    }

    @Test func literalsThatAreTooLarge() {
        var client = connected()
        // What follows can't be told from commands.
        #expect(client.line("a LOGIN {99999999+}").first?.hasPrefix("* BYE") == true)
        var waiting = connected()
        #expect(waiting.line("a LOGIN {99999999}").first?.hasPrefix("a BAD") == true)
        #expect(waiting.line("b NOOP") == ["b OK Nothing done"])
        #expect(waiting.line("c LOGIN {3}") == ["+ Send the literal"])
    }

    @Test func responsesAreOneLine() {
        var client = connected()
        client.logIn()
        client.answer = { _ in .no("\u{e4}\r\nb OK [ALERT] gotcha") }
        #expect(client.line("a NOOP") == ["a NO ?  b OK [ALERT] gotcha"])
    }

    // MARK: - IDLE (RFC 9051 §6.3.13)

    @Test func idleEndsWithDone() {
        var client = connected()
        client.logIn()
        #expect(client.line("a IDLE") == ["+ Idling"])
        #expect(client.session.isIdle && client.asked.last == "idle")
        #expect(client.say("DO").isEmpty)
        #expect(client.say("NE\r\nb NOOP\r\n") == ["a OK Idle no more", "b OK Done"])
        _ = client.line("c IDLE")
        #expect(client.line("d NOOP") == ["c BAD DONE expected"])
    }

    @Test func timeAndShutdownSayGoodbye() {
        var client = connected()
        client.logIn()
        _ = client.line("a IDLE")
        client.session.timedOut()
        #expect(client.hear() == ["* BYE Too long without a command"])
        var other = connected()
        other.session.shutDown()
        #expect(other.hear() == ["* BYE The server is shutting down"])
    }

    // MARK: - APPEND (RFC 9051 §6.3.12)

    @Test func appendHandsItsOctetsOut() {
        var client = connected()
        #expect(client.line("a APPEND INBOX {3}") == ["a BAD Log in first"])
        client.logIn()
        #expect(client.line("b APPEND INBOX (\\Seen) {5}") == ["+ Send the message"])
        #expect(client.say("He").isEmpty && client.session.isAppending)
        #expect(client.say("llo\r\n") == ["b OK Appended"])
        #expect(String(buffer: client.appended) == "Hello")
        #expect(client.line("c APPEND INBOX {2+}\r\nHi") == ["c OK Appended"])
        #expect(client.line("d APPEND Missing {2}") == ["d NO [TRYCREATE] No such mailbox"])
        // The octets of a message that nobody wants are no commands.
        #expect(client.line("e APPEND Missing {8+}\r\nf NOOP\r\n\r\ng NOOP") == ["e NO [TRYCREATE] No such mailbox", "g OK Done"])
        #expect(client.line("h APPEND INBOX {2+}\r\nHi {2}").last?.hasPrefix("h BAD") == true)
        #expect(client.asked.last == "append abandoned")
    }
}
