import Foundation
import IMAP
import MailMessage
import MailStore
import NIOCore
import Testing

/// Sessions that share what is known of a mailbox, while others change it: each hears what it must, and fetches what is there.
@Suite(.timeLimit(.minutes(2))) struct IMAPSharedTableTests {
    private func inbox(_ house: IMAPTestHouse) async throws -> Int64 {
        try #require(try await house.store.mailbox(named: "INBOX", of: IMAPTestHouse.bob)).id
    }

    @Test func flagsOfAnotherSessionAreFetchedAtOnce() async throws {
        try await IMAPTestHouse.open { house in
            try await house.deliver("1", "2", "3")
            let (one, two) = (try await house.logIn(selecting: "INBOX"), try await house.logIn(selecting: "INBOX"))
            _ = try await one.say("STORE 2 +FLAGS.SILENT (\\Seen $Work)")
            // The answer has them; what is news is told behind it.
            #expect(try await two.say("FETCH 1:* (FLAGS)").prefix(3) == ["* 1 FETCH (FLAGS ())", "* 2 FETCH (FLAGS (\\Seen $Work))", "* 3 FETCH (FLAGS ())"])
            #expect(try await two.say("SEARCH SEEN").first == "* SEARCH 2")
            #expect(try await two.say("SEARCH KEYWORD $work UNDELETED").first == "* SEARCH 2")
            #expect(try await two.say("UID SEARCH UNSEEN NOT UID 1").first == "* SEARCH 3")
            _ = try await two.say("STORE 3 FLAGS (\\Deleted)")
            #expect(try await one.say("SEARCH DELETED").first == "* SEARCH 3")
            // FETCH and SEARCH by numbers tell no removal, and never answer for a message that is gone.
            _ = try await two.say("EXPUNGE")
            let left = try await one.say("FETCH 1:3 (FLAGS)")
            #expect(left.filter { $0.contains(" FETCH (FLAGS") }.count == 2 && left.last?.hasPrefix("NO [EXPUNGEISSUED]") == true)
            #expect(!left.contains("* 3 EXPUNGE"))
            #expect(try await one.say("SEARCH ALL").first == "* SEARCH 1 2")
            #expect(try await one.say("NOOP").first == "* 3 EXPUNGE")
            for client in [one, two] { await client.close() }
        }
    }

    @Test func changesOfAnotherProcessAreToldWhenAskedFor() async throws {
        try await IMAPTestHouse.open { house in
            try await house.deliver("1", "2", "3")
            let client = try await house.logIn(selecting: "INBOX")
            #expect(try await client.say("FETCH 1 (UID FLAGS)").first == "* 1 FETCH (UID 1 FLAGS ())")
            let other = try await MailboxStore.open(folder: house.folder)
            let inbox = try await inbox(house)
            _ = try await other.changeFlags(in: inbox, uids: [1], .add, ["\\Flagged"], unchangedSince: nil)
            #expect(try await client.say("NOOP") == ["* 1 FETCH (UID 1 FLAGS (\\Flagged))", "OK Nothing done"])
            #expect(try await client.say("FETCH 1 (UID FLAGS)").first == "* 1 FETCH (UID 1 FLAGS (\\Flagged))")
            _ = try await other.changeFlags(in: inbox, uids: [2], .add, ["\\Deleted"], unchangedSince: nil)
            _ = try await other.expunge(in: inbox, uids: nil)
            _ = try await other.deliver(
                BufferedContent(ByteBuffer(string: "Subject: new\r\n\r\n")), prefix: ByteBuffer(), to: "INBOX", of: IMAPTestHouse.bob, flags: [],
                internalDate: Date(timeIntervalSince1970: 1_795_000_000), deliveryID: nil)
            #expect(try await client.say("NOOP") == ["* 2 EXPUNGE", "* 3 EXISTS", "OK Nothing done"])
            #expect(try await client.say("SEARCH SUBJECT new").first == "* SEARCH 3")
            // Whoever opens the mailbox sees what is there now.
            _ = try await other.changeFlags(in: inbox, uids: [3], .add, ["\\Seen"], unchangedSince: nil)
            let second = try await house.logIn(selecting: "INBOX")
            #expect(try await second.say("UID SEARCH SEEN").first == "* SEARCH 3")
            for client in [client, second] { await client.close() }
            try await other.close()
        }
    }

    @Test func mailboxThatIsMadeAnewHasOtherMessages() async throws {
        try await IMAPTestHouse.open { house in
            let client = try await house.logIn()
            func validity(_ answer: [String]) -> String? { answer.first { $0.contains("[UIDVALIDITY ") } }
            _ = try await client.say("CREATE Work")
            _ = try await client.append(ByteBuffer(string: "Subject: old\r\n\r\n"), to: "Work", "(\\Flagged) ")
            let before = try await client.say("SELECT Work")
            #expect(before.contains("* 1 EXISTS"))
            _ = try await client.say("UNSELECT")
            _ = try await client.say("DELETE Work")
            _ = try await client.say("CREATE Work")
            let after = try await client.say("SELECT Work")
            #expect(after.contains("* 0 EXISTS") && validity(after) != nil && validity(after) != validity(before))
            _ = try await client.append(ByteBuffer(string: "Subject: new\r\n\r\n"), to: "Work")
            #expect(try await client.say("FETCH 1 (UID FLAGS)").first == "* 1 FETCH (UID 1 FLAGS ())")
            #expect(try await client.say("SEARCH SUBJECT old").first == "* SEARCH")
            await client.close()
        }
    }

    @Test(arguments: ["FETCH 1:* (FLAGS)", "FETCH 1:* (ENVELOPE)", "SEARCH UNSEEN", "SEARCH SUBJECT x", "NOOP"])
    func deletedMailboxEndsTheSession(command: String) async throws {
        try await IMAPTestHouse.open { house in
            let (one, two) = (try await house.logIn(), try await house.logIn())
            _ = try await one.say("CREATE Work")
            _ = try await one.append(ByteBuffer(string: "Subject: x\r\n\r\n"), to: "Work")
            _ = try await one.say("SELECT Work")
            _ = try await two.say("DELETE Work")
            #expect(try await one.say(command).last == "* BYE The selected mailbox is gone")
            for client in [one, two] { await client.close() }
        }
    }

    @Test func envelopesOfMessagesWithAndWithoutSummary() async throws {
        try await IMAPTestHouse.open { house in
            let long = "To: " + (0..<3000).map { "a\($0)@b.test" }.joined(separator: ",\r\n ")
            try await house.deliver("Subject: short\r\nFrom: tom@gmail.test\r\n\r\n", long + "\r\nSubject: long\r\n\r\n", "Subject: older\r\n\r\n")
            // One has more than is kept.
            let contents = try await house.store.table(of: try await inbox(house)).snapshot.messages([1, 2, 3]).map(\.contentID)
            #expect(try await house.store.summaries(contents).keys.sorted() == [contents[0], contents[2]])
            let client = try await house.logIn(selecting: "INBOX")
            for round in 0..<3 {
                // Those of a version that kept none are made when they are needed first.
                if round == 1 { try await house.store.forgetSummaries() }
                let answer = try await client.say("FETCH 1:* (UID ENVELOPE)")
                #expect(answer.count == 4 && answer[0].hasPrefix("* 1 FETCH (UID 1 ENVELOPE (NIL \"short\" ((NIL NIL \"tom\" \"gmail.test\"))"))
                #expect(answer[1].hasPrefix("* 2 FETCH (UID 2 ENVELOPE (NIL \"long\" NIL") && answer[1].contains("\"a2999\" \"b.test\""))
                #expect(answer[2] == "* 3 FETCH (UID 3 ENVELOPE (NIL \"older\" NIL NIL NIL NIL NIL NIL NIL NIL))")
                #expect(try await house.store.summaries(contents).keys.sorted() == [contents[0], contents[2]])
                #expect(try await client.say("SEARCH SUBJECT o").first == "* SEARCH 1 2 3")
                #expect(try await client.say("SEARCH OR TO a2999 SUBJECT older UNSEEN").first == "* SEARCH 2 3")
                #expect(try await client.say("FETCH 1 BODY.PEEK[HEADER.FIELDS (From X-None)]").count == 2)
            }
            #expect(String(buffer: client.literals.first ?? ByteBuffer()) == "From: tom@gmail.test\r\n\r\n")
            await client.close()
        }
    }
}
