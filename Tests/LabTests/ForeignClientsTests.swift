import Foundation
import Testing

@testable import Lab

extension InteropKartapuceTests {
    /// Clients that people use: none of them shares code with Postern.
    @Suite struct ForeignClientsTests {
        @Test(arguments: [("msa", 465, "--tls-on-connect"), ("msa", 587, "--tls"), ("internalsmtp", 465, "--tls-on-connect")], ["PLAIN", "LOGIN"])
        func swaksSubmits(server: (host: String, port: Int, tls: String), mechanism: String) async throws {
            let kartapuce = try LabRunning.kartapuce
            let address = server.host == "msa" ? kartapuce.plan.msa : kartapuce.plan.internalsmtp
            let seed = UInt64(600 + server.port + (mechanism == "PLAIN" ? 0 : 1000) + (server.host == "msa" ? 0 : 2000))
            let message = SampleMessage.make(.init(from: Kartapuce.bob.user, to: Kartapuce.jack.user, subject: "swaks", seed: seed, attachmentBytes: 30_000))
            let file = "\(kartapuce.folder)/swaks-\(seed)"
            try message.content.write(to: URL(fileURLWithPath: file))
            let result = try await Command.run(
                "swaks",
                [
                    "--server", address, "--port", "\(server.port)", server.tls, "--auth", mechanism, "--auth-user",
                    Kartapuce.bob.user, "--auth-password", Kartapuce.bob.password, "--from", Kartapuce.bob.user, "--to", Kartapuce.jack.user, "--helo",
                    "laptop.kartapuce.test", "--data", "@\(file)", "--timeout", "30",
                ]
            )
            #expect(result.succeeded, "\(result.outputText)\(result.errors)")
            try await expectArrival(message.messageID, for: Kartapuce.jack, in: kartapuce)
        }

        /// A ticket brings a session back without the server's certificate (RFC 8446 §2.2).
        @Test(arguments: ["-tls1_3", "-tls1_2"]) func sessionsAreResumedByTickets(version: String) async throws {
            let kartapuce = try LabRunning.kartapuce
            let ticket = "\(kartapuce.folder)/ticket\(version)"
            func connect(_ address: String, _ arguments: [String]) async throws -> String {
                let result = try await Command.run(
                    "openssl", ["s_client", "-connect", address, version, "-ign_eof", "-CAfile", kartapuce.authorityFile] + arguments,
                    input: Data("A LOGOUT\r\n".utf8), timeout: .seconds(30))
                return result.outputText + result.errors
            }
            let store = "\(kartapuce.plan.imap):993"
            let first = try await connect(store, ["-sess_out", ticket])
            #expect(first.contains("New, TLSv1") && first.contains("A OK"), "\(first)")
            let second = try await connect(store, ["-sess_in", ticket])
            #expect(second.contains("Reused, TLSv1") && second.contains("A OK"), "\(second)")
        }

        @Test func smtpSourceDeliversManyMessagesAtOnce() async throws {
            let kartapuce = try LabRunning.kartapuce
            let before = try await messageCount(of: Kartapuce.bob, in: kartapuce)
            let sent = try await Command.run(
                "smtp-source",
                [
                    "-s", "5", "-m", "60", "-l", "5000", "-f", "alice@gmail.test", "-t", Kartapuce.bob.user, "-M", "source.gmail.test",
                    "\(kartapuce.plan.mail):25",
                ]
            )
            #expect(sent.succeeded, "\(sent.errors)\(sent.outputText)")
            try await Waiting.until("60 more messages in Bob's inbox", timeout: .seconds(60), every: 300) { () -> Bool? in
                try await messageCount(of: Kartapuce.bob, in: kartapuce) >= before + 60 ? true : nil
            }
        }

        @Test func pythonSubmitsInternationalMailAndReadsItBack() async throws {
            let kartapuce = try LabRunning.kartapuce
            let result = try await PythonClient(kartapuce: kartapuce).run(
                #"""
                import smtplib, imaplib
                identity = "<python-1@kartapuce.test>"
                text = ("Message-ID: %s\r\nFrom: Bob <%s>\r\nTo: <%s>\r\nDate: Mon, 02 Mar 2026 09:30:00 +0100\r\n"
                    "Subject: Été à l’ombre – ✓\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                    "Content-Transfer-Encoding: 8bit\r\n\r\n.Première ligne\r\n..\r\n.\r\nfin: é€😀\r\n" % (identity, lab["bob"], lab["jack"])).encode()
                with smtplib.SMTP("internalsmtp.kartapuce.test", 587, timeout=30) as client:
                    client.ehlo("laptop.kartapuce.test")
                    assert not client.has_extn("auth"), "AUTH was offered before TLS"
                    client.starttls(context=trusting)
                    client.ehlo("laptop.kartapuce.test")
                    for name in ("auth", "size", "pipelining", "8bitmime", "smtputf8", "enhancedstatuscodes", "chunking", "dsn"):
                        assert client.has_extn(name), "the server doesn't offer " + name
                    assert not client.has_extn("starttls"), "STARTTLS was offered within TLS"
                    client.login(lab["bob"], lab["bobs_password"])
                    client.sendmail(lab["bob"], [lab["jack"]], text, mail_options=["SMTPUTF8", "BODY=8BITMIME"])

                with imaplib.IMAP4_SSL("imap.kartapuce.test", 993, ssl_context=trusting) as box:
                    box.login(lab["jack"], lab["jacks_password"])
                    for attempt in range(100):
                        box.select("INBOX")
                        found = box.uid("SEARCH", None, "HEADER", "Message-ID", '"%s"' % identity)[1][0].split()
                        if found: break
                        time.sleep(0.2)
                    assert found, "the message did not arrive"
                    content = box.uid("FETCH", found[0], "(BODY.PEEK[])")[1][0][1]
                    assert content.endswith(text), content
                    flags = box.uid("FETCH", found[0], "(FLAGS)")[1][0]
                    assert b"Seen" not in flags, flags
                    assert box.uid("STORE", found[0], "+FLAGS", r"(\Seen \Flagged)")[0] == "OK"
                    assert b"Flagged" in box.uid("FETCH", found[0], "(FLAGS)")[1][0]
                    assert box.create("Project")[0] == "OK"
                    assert box.uid("COPY", found[0], "Project")[0] == "OK"
                    assert box.append("Project", r"(\Draft)", None, b"Subject: draft\r\n\r\nlater\r\n")[0] == "OK"
                    assert box.select("Project")[1] == [b"2"]
                    assert box.uid("FETCH", "1", "(BODY.PEEK[])")[1][0][1] == content
                    assert box.store("1:2", "+FLAGS", r"(\Deleted)")[0] == "OK"
                    assert box.expunge()[0] == "OK"
                    assert box.select("Project")[1] == [b"0"]
                    assert box.close()[0] == "OK"
                    assert box.delete("Project")[0] == "OK"

                with imaplib.IMAP4("imap.kartapuce.test", 143) as box:
                    try:
                        box.login(lab["jack"], lab["jacks_password"])
                        raise AssertionError("login was possible before TLS")
                    except imaplib.IMAP4.error: pass
                    box.starttls(ssl_context=trusting)
                    box.login(lab["jack"], lab["jacks_password"])
                    assert box.select("INBOX", readonly=True)[0] == "OK"
                """#
            )
            #expect(result.succeeded, "\(result.errors)")
        }

        @Test func mbsyncMirrorsAnInboxBothWays() async throws {
            let kartapuce = try LabRunning.kartapuce
            let folder = "\(kartapuce.folder)/mbsync"
            try LabFiles.makeFolder("\(folder)/mail")
            let received = SampleMessage.make(.init(from: "tom@gmail.test", to: Kartapuce.bob.user, subject: "mbsync", seed: 701, attachmentBytes: 20_000))
            let sent = try await kartapuce.client.send(
                received,
                to: [Kartapuce.bob.user],
                from: "tom@gmail.test",
                by: kartapuce.inboundServer,
                as: nil,
                sourceAddress: kartapuce.plan.provider
            )
            #expect(sent.accepted, "\(sent.dialogue)")
            try await expectArrival(received.messageID, for: Kartapuce.bob, in: kartapuce)
            // The empty lines between the sections are part of the syntax.
            try LabFiles.write(
                """
                IMAPAccount bob
                Host imap.kartapuce.test
                Port 993
                User \(Kartapuce.bob.user)
                Pass \(Kartapuce.bob.password)
                SSLType IMAPS
                SystemCertificates no
                CertificateFile \(kartapuce.authorityFile)
                AuthMechs LOGIN

                IMAPStore far
                Account bob

                MaildirStore near
                Path \(folder)/mail/
                Inbox \(folder)/mail/INBOX
                SubFolders Verbatim

                Channel bob
                Far :far:
                Near :near:
                Patterns INBOX
                Create Near
                Expunge Both
                SyncState *

                """,
                to: "\(folder)/mbsyncrc"
            )
            let first = try await runWithNames("mbsync", ["-c", "\(folder)/mbsyncrc", "-a"], in: kartapuce)
            #expect(first.succeeded, "\(first.errors)\(first.outputText)")
            let mirrored = try ["new", "cur"].flatMap { part in
                try LabFiles.list("\(folder)/mail/INBOX/\(part)").map { try LabFiles.read("\(folder)/mail/INBOX/\(part)/\($0)") }
            }
            #expect(mirrored.contains { $0.range(of: Data(received.messageID.utf8)) != nil })

            let draft = SampleMessage.make(.init(from: Kartapuce.bob.user, to: "mike@gmail.test", subject: "local", seed: 702, attachmentBytes: 500))
            let text = String(decoding: draft.content, as: UTF8.self).replacing("\r\n", with: "\n")
            try LabFiles.write(text, to: "\(folder)/mail/INBOX/cur/1772440000.1_1.laptop:2,S")
            let second = try await runWithNames("mbsync", ["-c", "\(folder)/mbsyncrc", "-a"], in: kartapuce)
            #expect(second.succeeded, "\(second.errors)\(second.outputText)")
            let uploaded = try await kartapuce.client.fetch(
                messageID: draft.messageID,
                of: Kartapuce.bob,
                from: kartapuce.imapServer,
                sourceAddress: kartapuce.plan.bobsLaptop
            )
            // mbsync marks what it uploads with a field of its own.
            let marked = String(decoding: try #require(uploaded), as: UTF8.self)
            let unmarked = marked.split(separator: "\r\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("X-TUID: ") }
            #expect(Data(unmarked.joined(separator: "\r\n").utf8) == draft.content)
        }

        /// Runs a program that checks certificates against names and knows no other way to resolve them than the system's: with a hosts file of its own.
        private func runWithNames(_ program: String, _ arguments: [String], in kartapuce: Kartapuce) async throws -> CommandResult {
            let file = "\(kartapuce.folder)/hosts"
            try LabFiles.write("127.0.0.1 localhost\n\(kartapuce.plan.imap) imap.kartapuce.test\n", to: file)
            let script = "mount --make-rprivate / && mount --bind \"$1\" /etc/hosts && shift && exec \"$@\""
            return try await Command.run("unshare", ["-m", "sh", "-c", script, "sh", file, program] + arguments)
        }

        private func expectArrival(_ messageID: String, for person: MailClient.Login, in kartapuce: Kartapuce) async throws {
            try await Waiting.until("\(messageID) in \(person.user)'s inbox", timeout: .seconds(30), every: 200) {
                try await kartapuce.client.fetch(messageID: messageID, of: person, from: kartapuce.imapServer, sourceAddress: kartapuce.plan.bobsLaptop)
            }
        }

        private func messageCount(of person: MailClient.Login, in kartapuce: Kartapuce) async throws -> Int {
            let result = try await PythonClient(kartapuce: kartapuce).run(
                """
                import imaplib
                with imaplib.IMAP4_SSL("imap.kartapuce.test", 993, ssl_context=trusting) as box:
                    box.login(lab["bob"], lab["bobs_password"])
                    print(box.select("INBOX", readonly=True)[1][0].decode())
                """
            )
            #expect(result.succeeded, "\(result.errors)")
            return try #require(Int(result.outputText.trimmingCharacters(in: .whitespacesAndNewlines)))
        }
    }
}
