import IMAP
import NIOCore
import Testing

/// Mailboxes and messages over real connections and a real store.
@Suite(.timeLimit(.minutes(2))) struct IMAPMailboxTests {
    private static let small = "From: Tom <tom@gmail.test>\r\nTo: bob@kartapuce.test\r\nSubject: Hello\r\n\r\nGr\u{fc}\u{df}e\r\n"

    @Test func selectTellsTheMailbox() async throws {
        try await IMAPTestHouse.open { house in
            try await house.deliver("a", "b")
            let client = try await house.logIn()
            let old = try await client.say("SELECT inbox")
            #expect(old.contains("* 2 EXISTS") && old.contains("* 0 RECENT") && old.contains("* OK [UNSEEN 1] The first unseen message"))
            #expect(old.contains("* OK [UIDNEXT 3] The next UID") && old.contains { $0.hasPrefix("* OK [UIDVALIDITY ") })
            #expect(old.contains("* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] These flags are kept"))
            _ = try await client.say("ENABLE IMAP4rev2")
            let new = try await client.say("EXAMINE INBOX")
            #expect(new.first == "* OK [CLOSED] The mailbox before is closed" && new.last == "OK [READ-ONLY] Examined")
            #expect(new.contains("* LIST (\\HasNoChildren \\Subscribed) \"/\" INBOX") && !new.contains("* 0 RECENT"))
            #expect(try await client.say("STORE 1 +FLAGS (\\Seen)").last?.hasPrefix("NO") == true)
            #expect(try await client.say("EXPUNGE").last?.hasPrefix("NO") == true)
            #expect(try await client.say("SELECT Missing").last?.hasPrefix("NO [NONEXISTENT]") == true)
            // RFC 9051 §6.3.2: now nothing is selected.
            #expect(try await client.say("FETCH 1 FLAGS").last?.hasPrefix("BAD") == true)
            await client.close()
        }
    }

    @Test(arguments: [100, 300_000, 5_000_000])
    func appendedIsFetchedOctetByOctet(length: Int) async throws {
        try await IMAPTestHouse.open { house in
            var message = ByteBuffer(string: Self.small)
            var state: UInt32 = 1
            while message.readableBytes < length {
                state = state &* 1_664_525 &+ 1_013_904_223
                message.writeInteger(max(1, UInt8(truncatingIfNeeded: state >> 24)))
            }
            let client = try await house.logIn(selecting: "INBOX")
            let appended = try await client.append(message, to: "INBOX", "(\\Flagged $Work) \"17-Jul-1996 02:44:25 -0700\" ")
            #expect(appended.contains("* 1 EXISTS"))
            #expect(appended.last?.hasPrefix("OK [APPENDUID ") == true && appended.last?.hasSuffix(" 1] Appended") == true)
            let peeked = try await client.say("FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
            #expect(
                peeked.first
                    == "* 1 FETCH (UID 1 FLAGS ($Work \\Flagged) INTERNALDATE \"17-Jul-1996 09:44:25 +0000\" RFC822.SIZE \(message.readableBytes) "
                    + "BODY[] {\(message.readableBytes)}…)")
            #expect(client.literals == [message])
            let partial = try await client.say("UID FETCH 1 BODY.PEEK[]<6.3>")
            #expect(partial.first == "* 1 FETCH (UID 1 BODY[]<6> {3}…)")
            #expect(client.literals == [ByteBuffer(string: "Tom")])
            #expect(try await client.say("FETCH 1 BODY.PEEK[]<9999999.3>").first == "* 1 FETCH (BODY[]<9999999> {0}…)")
            let read = try await client.say("FETCH 1 RFC822")
            // RFC 9051 §6.4.5: what isn't peeked at is seen, and that is told.
            #expect(read.first?.hasPrefix("* 1 FETCH (FLAGS ($Work \\Flagged \\Seen) RFC822 {") == true && read.count == 2)
            #expect(client.literals == [message])
            await client.close()
        }
    }

    @Test func sessionsSeeEachOther() async throws {
        try await IMAPTestHouse.open { house in
            try await house.deliver("a", "b", "c")
            let idler = try await house.logIn(selecting: "INBOX")
            let worker = try await house.logIn(selecting: "INBOX")
            try await idler.send("a IDLE\r\n")
            #expect(await idler.line() == "+ Idling")
            #expect(try await worker.say("STORE 2 +FLAGS (\\Deleted)") == ["* 2 FETCH (UID 2 FLAGS (\\Deleted))", "OK Flags are stored"])
            #expect(await idler.line() == "* 2 FETCH (UID 2 FLAGS (\\Deleted))")
            #expect(try await worker.say("EXPUNGE") == ["* 2 EXPUNGE", "OK Expunged"])
            #expect(await idler.line() == "* 2 EXPUNGE")
            try await house.deliver("d")
            #expect(await idler.line() == "* 3 EXISTS")
            try await idler.send("DONE\r\n")
            #expect(await idler.answer(to: "a") == ["OK Idle no more"])
            #expect(try await worker.say("NOOP") == ["* 3 EXISTS", "OK Nothing done"])
            await idler.close()
            await worker.close()
        }
    }

    @Test func numbersStayWhileTheyAreUsed() async throws {
        try await IMAPTestHouse.open { house in
            try await house.deliver("a", "b", "c")
            let reader = try await house.logIn(selecting: "INBOX")
            let worker = try await house.logIn(selecting: "INBOX")
            _ = try await worker.say("STORE 1 +FLAGS.SILENT (\\Deleted)")
            _ = try await worker.say("EXPUNGE")
            // RFC 9051 §7.5.1: the reader's third message is the third until the reader is told otherwise.
            #expect(try await reader.say("FETCH 3 UID") == ["* 3 FETCH (UID 3)", "OK Fetched"])
            #expect(try await reader.say("FETCH 1 UID") == ["NO [EXPUNGEISSUED] Some of the messages are gone"])
            #expect(try await reader.say("STORE 1 +FLAGS (\\Seen)") == ["NO [EXPUNGEISSUED] Some of the messages are gone"])
            #expect(try await reader.say("SEARCH ALL") == ["* SEARCH 2 3", "OK Searched"])
            #expect(try await reader.say("UID FETCH 3 UID") == ["* 3 FETCH (UID 3)", "* 1 EXPUNGE", "OK Fetched"])
            #expect(try await reader.say("FETCH 3 UID") == ["BAD There is no message of this number"])
            await reader.close()
            await worker.close()
        }
    }

    @Test func storeChangesFlags() async throws {
        try await IMAPTestHouse.open { house in
            try await house.deliver("a", "b")
            let client = try await house.logIn(selecting: "INBOX")
            #expect(try await client.say("STORE 1 FLAGS (\\Seen $A)").contains("* 1 FETCH (UID 1 FLAGS ($A \\Seen))"))
            #expect(try await client.say("STORE 1 -FLAGS.SILENT (\\Seen)") == ["OK Flags are stored"])
            #expect(try await client.say("FETCH 1:* FLAGS") == ["* 1 FETCH (FLAGS ($A))", "* 2 FETCH (FLAGS ())", "OK Fetched"])
            #expect(try await client.say("UID STORE 2,77 FLAGS \\Flagged \\Draft") == ["* 2 FETCH (UID 2 FLAGS (\\Draft \\Flagged))", "OK Flags are stored"])
            await client.close()
        }
    }

    @Test func copyMoveAndExpungeTellUIDs() async throws {
        try await IMAPTestHouse.open { house in
            try await house.deliver("a", "b", "c", "d")
            let client = try await house.logIn(selecting: "INBOX")
            #expect(try await client.say("COPY 1 Missing").last?.hasPrefix("NO [TRYCREATE]") == true)
            let copied = try await client.say("COPY 2:3 Archive")
            #expect(copied.count == 1 && copied.last?.hasSuffix(" 2:3 1:2] Copied") == true)
            let moved = try await client.say("UID MOVE 1,3 Trash")
            #expect(moved.count == 4 && moved.first?.hasSuffix(" 1,3 1:2] The new messages") == true)
            #expect(moved.dropFirst() == ["* 1 EXPUNGE", "* 2 EXPUNGE", "OK Moved"])
            #expect(try await client.say("STATUS Trash (MESSAGES UIDNEXT SIZE)").first == "* STATUS \"Trash\" (MESSAGES 2 UIDNEXT 3 SIZE 2)")
            _ = try await client.say("STORE 1:* +FLAGS.SILENT (\\Deleted)")
            // RFC 9051 §6.4.9: only what the set names too.
            #expect(try await client.say("UID EXPUNGE 4:9") == ["* 2 EXPUNGE", "OK Expunged"])
            #expect(try await client.say("UID EXPUNGE 3") == ["OK Expunged"])
            #expect(try await client.say("UID COPY 99 Archive") == ["OK Copied"])
            #expect(try await client.say("CLOSE") == ["OK Closed"])
            #expect(try await client.say("STATUS INBOX (MESSAGES)").first == "* STATUS INBOX (MESSAGES 0)")
            await client.close()
        }
    }

    @Test func searchKeepsItsResult() async throws {
        try await IMAPTestHouse.open { house in
            try await house.deliver("Subject: one\r\n\r\n", "Subject: two\r\n\r\n", "Subject: two\r\n\r\n")
            let client = try await house.logIn(selecting: "INBOX")
            #expect(try await client.say("SEARCH SUBJECT two") == ["* SEARCH 2 3", "OK Searched"])
            #expect(try await client.say("UID SEARCH RETURN (SAVE) SUBJECT two") == ["OK Searched"])
            #expect(try await client.say("FETCH $ UID") == ["* 2 FETCH (UID 2)", "* 3 FETCH (UID 3)", "OK Fetched"])
            #expect(try await client.say("STORE $ +FLAGS.SILENT (\\Flagged)") == ["OK Flags are stored"])
            #expect(try await client.say("SEARCH RETURN (MIN COUNT) $ FLAGGED").first?.hasSuffix(") MIN 2 COUNT 2") == true)
            #expect(try await client.say("UID MOVE $ Archive").last == "OK Moved")
            #expect(try await client.say("FETCH $ UID") == ["OK Fetched"])
            #expect(try await client.say("SEARCH CHARSET KOI8-R ALL").last?.hasPrefix("NO [BADCHARSET") == true)
            _ = try await client.say("ENABLE IMAP4rev2")
            #expect(try await client.say("SEARCH ALL").first?.hasSuffix(") ALL 1") == true)
            await client.close()
        }
    }

    @Test func mailboxesAreManaged() async throws {
        try await IMAPTestHouse.open { house in
            let client = try await house.logIn()
            #expect(try await client.say("CREATE Projects/").last == "OK Created")
            #expect(try await client.say("CREATE Projects").last?.hasPrefix("NO [ALREADYEXISTS]") == true)
            #expect(try await client.say("CREATE \"Projects/Gr&APw-n\"").last == "OK Created")
            #expect(try await client.say("CREATE Spam (USE (\\Junk))").last == "OK Created")
            #expect(try await client.say("CREATE Every (USE (\\All))").last?.hasPrefix("NO [USEATTR]") == true)
            #expect(try await client.say("CREATE a//b").last?.hasPrefix("NO [CANNOT]") == true)
            #expect(try await client.say("SUBSCRIBE Projects").last == "OK Subscribed")
            #expect(try await client.say("LSUB \"\" Pro*").first == "* LSUB () \"/\" \"Projects\"")
            #expect(
                try await client.say("LIST (SUBSCRIBED) \"\" Pro* RETURN (STATUS (MESSAGES UNSEEN))") == [
                    "* LIST (\\HasChildren \\Subscribed) \"/\" \"Projects\"", "* STATUS \"Projects\" (MESSAGES 0 UNSEEN 0)", "OK Listed",
                ])
            #expect(try await client.say("RENAME Projects Work").last == "OK Renamed")
            #expect(try await client.say("LIST \"\" Work/%").first == "* LIST (\\HasNoChildren) \"/\" \"Work/Gr&APw-n\"")
            #expect(try await client.say("DELETE Work").last == "OK Deleted")
            #expect(try await client.say("LIST \"\" Work").first == "* LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Work\"")
            #expect(try await client.say("DELETE Work").last?.hasPrefix("NO [NONEXISTENT]") == true)
            #expect(try await client.say("DELETE INBOX").last?.hasPrefix("NO [CANNOT]") == true)
            await client.close()
        }
    }

    @Test func usersDoNotSeeEachOther() async throws {
        try await IMAPTestHouse.open { house in
            try await house.deliver("a")
            let jack = try await house.logIn(user: "jack")
            #expect(try await jack.say("STATUS INBOX (MESSAGES)").first == "* STATUS INBOX (MESSAGES 0)")
            await jack.close()
        }
    }

    @Test func aMailboxThatIsDeletedEndsItsSessions() async throws {
        try await IMAPTestHouse.open { house in
            let owner = try await house.logIn(selecting: "Trash")
            let idler = try await house.logIn(selecting: "Trash")
            try await idler.send("a IDLE\r\n")
            _ = await idler.line()
            let other = try await house.logIn()
            #expect(try await other.say("DELETE Trash").last == "OK Deleted")
            #expect(await idler.line()?.hasPrefix("* BYE") == true)
            #expect(try await owner.say("NOOP").last?.hasPrefix("* BYE") == true)
            await other.close()
        }
    }
}
