import Foundation
import Testing

@testable import Lab

extension InteropKartapuceTests {
    /// Senders that break the rules, by mistake or on purpose: each gets the right reply, and everybody else is served meanwhile.
    @Suite struct BadInputTests {
        /// Forms of the end of data that some servers take for CRLF.CRLF, and what makes others smuggle a second message (RFC 5321 §2.3.8, §4.1.1.4).
        static let endsOfData = ["\\n.\\n", "\\n.\\r\\n", "\\r\\n.\\n", "\\r.\\r", "\\r.\\r\\n", "\\r\\n.\\r", "\\r\\n\\x00.\\r\\n"]

        @Test(arguments: endsOfData, [true, false])
        func nothingButTheRealEndOfDataEndsAMessage(form: String, inOnePacket: Bool) async throws {
            try await expectSuccess(
                #"""
                form = arguments[0].encode().decode("unicode_escape").encode("latin-1")
                one_packet = arguments[1] == "true"
                session = Session("mail", 25)
                session.expect(None, 220)
                session.expect("EHLO attacker.test", 250)
                session.expect("MAIL FROM:<attacker@gmail.test>", 250)
                session.expect("RCPT TO:<bob@kartapuce.test>", 250)
                session.expect("DATA", 354)
                outer = b"From: <attacker@gmail.test>\r\nSubject: outer\r\n\r\nouter"
                smuggled = b"MAIL FROM:<jack@kartapuce.test>\r\nRCPT TO:<bob@kartapuce.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled"
                pieces = [outer, form, smuggled, b"\r\n.\r\n", b"QUIT\r\n"]
                if one_packet: session.send(b"".join(pieces))
                else:
                    for piece in pieces:
                        try: session.send(piece)
                        except OSError: break
                        time.sleep(0.05)
                replies = session.rest()
                codes = [code for code, text in replies]
                # One reply for the one message (refused, or taken with the form as text), then the goodbye; a reply of a smuggled command would be a third.
                assert codes and (500 <= codes[0] <= 599 or codes[0] == 250), replies
                assert codes[1:] in ([], [221], [421]), replies
                # Only the form with the NUL has proper line ends, so that only it may be taken: as text.
                if codes[0] == 250: assert form == b"\r\n\x00.\r\n", "taken: %r" % (replies,)
                """#,
                [form, inOnePacket ? "true" : "false"]
            )
        }

        @Test(arguments: [("mail", 25), ("msa", 587)])
        func whatWasSaidBeforeTLSIsForgotten(host: String, port: Int) async throws {
            try await expectSuccess(
                #"""
                session = Session(arguments[0], int(arguments[1]))
                session.expect(None, 220)
                session.expect("EHLO attacker.test", 250)
                session.send(b"STARTTLS\r\nEHLO injected.test\r\nMAIL FROM:<attacker@gmail.test>\r\n")
                code, text = session.reply()
                if code == 220:
                    # A server may also take the injected octets for a broken handshake, and close.
                    try: session.start_tls()
                    except (ssl.SSLError, ConnectionError): sys.exit(0)
                    code, text = session.say("NOOP")
                    assert code == 250 and "\n" not in text, "an answer to the injected command: %r" % text
                    code, text = session.say("EHLO client.test")
                    assert code == 250 and "\n" in text, text
                    code, text = session.say("RCPT TO:<bob@kartapuce.test>")
                    assert code in (503, 530), "the injected MAIL survived: %r" % text
                else:
                    assert code >= 500 or code in (421, 0), text
                """#,
                [host, "\(port)"]
            )
        }

        @Test func passwordsAreNotTakenBeforeTLS() async throws {
            try await expectSuccess(
                #"""
                session = Session("msa", 587)
                session.expect(None, 220)
                code, offers = session.expect("EHLO laptop.test", 250)
                assert "AUTH" not in offers, offers
                token = base64.b64encode(("\0%s\0%s" % (lab["bob"], lab["bobs_password"])).encode()).decode()
                session.expect("AUTH PLAIN " + token, 502, 503, 504, 530, 538)
                session.expect("MAIL FROM:<bob@kartapuce.test>", 530)
                session.expect("NOOP", 250)
                # mx has no passwords at all, under TLS or not.
                session = Session("mail", 25)
                session.expect(None, 220)
                session.expect("EHLO laptop.test", 250)
                session.expect("STARTTLS", 220)
                session.start_tls()
                code, offers = session.expect("EHLO laptop.test", 250)
                assert "AUTH" not in offers, offers
                session.expect("AUTH PLAIN " + token, 500, 502, 503, 504, 530, 538)
                """#
            )
        }

        @Test func submissionWithoutLoginAndRelayingAreRefused() async throws {
            try await expectSuccess(
                #"""
                session = Session("msa", 465, tls=True)
                session.expect(None, 220)
                session.expect("EHLO laptop.test", 250)
                session.expect("MAIL FROM:<bob@kartapuce.test>", 530)
                session = Session("mail", 25)
                session.expect(None, 220)
                session.expect("EHLO attacker.test", 250)
                session.expect("MAIL FROM:<attacker@gmail.test>", 250)
                for foreign in ("tom@gmail.test", "tom%gmail.test@kartapuce.test", '"tom@gmail.test"@kartapuce.test', "@kartapuce.test:tom@gmail.test"):
                    session.expect("RCPT TO:<%s>" % foreign, 500, 501, 550, 551, 553, 554)
                """#
            )
        }

        @Test func anEndlessLineIsRefusedAndCostsNoMemory() async throws {
            try await expectSuccess(
                #"""
                def memory(address):
                    import glob, os
                    for folder in glob.glob("/proc/[0-9]*"):
                        try: line = open(folder + "/cmdline", "rb").read()
                        except OSError: continue
                        if ("/mail/postern.yaml").encode() in line and lab["folder"].encode() in line:
                            return int(next(l for l in open(folder + "/status") if l.startswith("VmRSS")).split()[1]) // 1024
                    raise AssertionError("the process of mail is not there")
                before = memory("mail")
                ten_mebibytes = b"A" * (10 << 20)
                for number in range(4):
                    session = Session("mail", 25)
                    session.expect(None, 220)
                    try: session.send(ten_mebibytes + b"\r\n")
                    except OSError: pass
                    code, text = session.reply()
                    assert code in (500, 421, 0), text
                session = Session("mail", 25)
                session.expect(None, 220)
                session.expect("EHLO attacker.test", 250)
                session.expect("MAIL FROM:<attacker@gmail.test>", 250)
                session.expect("RCPT TO:<bob@kartapuce.test>", 250)
                session.expect("DATA", 354)
                try: session.send(b"Subject: long\r\n\r\n" + ten_mebibytes + b"\r\n.\r\n")
                except OSError: pass
                code, text = session.reply()
                assert 500 <= code <= 599 or code == 0, text
                after = memory("mail")
                assert after < before + 64, "mail grew from %d to %d MiB" % (before, after)
                """#
            )
        }

        @Test func aThousandRecipientsAreTakenAndNoMore() async throws {
            try await expectSuccess(
                #"""
                session = Session("mail", 25)
                session.expect(None, 220)
                session.expect("EHLO attacker.test", 250)
                session.expect("MAIL FROM:<attacker@gmail.test>", 250)
                for number in range(1000): session.send(b"RCPT TO:<bob+%d@kartapuce.test>\r\n" % number)
                for number in range(1000): session.expect(None, 250)
                code, text = session.say("RCPT TO:<bob+1000@kartapuce.test>")
                assert code == 452 and "4.5.3" in text, text
                session.expect("RSET", 250)
                # Somebody who guesses addresses doesn't get to guess a thousand.
                session.expect("MAIL FROM:<attacker@gmail.test>", 250)
                refused = 0
                for number in range(1000):
                    code, text = session.say("RCPT TO:<guess%d@kartapuce.test>" % number)
                    if code != 550: break
                    refused += 1
                assert code in (421, 0) and refused < 100, (refused, code, text)
                """#
            )
        }

        @Test func garbageDoesNotKeepAnybodyFromBeingServed() async throws {
            let kartapuce = try LabRunning.kartapuce
            try await expectSuccess(
                #"""
                import random
                random.seed(7)
                for host, port in (("mail", 25), ("msa", 465), ("msa", 587), ("imap", 993), ("imap", 143), ("imap", 2525), ("smtp", 2525), ("mail", 8443)):
                    for size in (1, 17, 1000, 65536):
                        connection = socket.create_connection((lab[host], port), timeout=10, source_address=(lab["outside"], 0))
                        connection.settimeout(0.3)
                        try:
                            connection.sendall(random.randbytes(size) + b"\r\n")
                            connection.recv(4096)
                        except OSError: pass
                        connection.close()
                """#
            )
            for host in kartapuce.hosts { #expect(await host.isRunning, "\(host.name) ended:\n\(host.lastLogLines())") }
            try await expectService(seed: 801)
        }

        @Test func halfOpenSessionsDoNotKeepOthersFromBeingServed() async throws {
            let kartapuce = try LabRunning.kartapuce
            let python = PythonClient(kartapuce: kartapuce)
            async let attack = python.run(
                #"""
                held = []
                for number in range(40):
                    session = Session("mail", 25)
                    session.expect(None, 220)
                    kind = number % 4
                    if kind == 0: session.send(b"EHLO half")
                    elif kind == 1:
                        session.expect("EHLO attacker.test", 250)
                        session.expect("STARTTLS", 220)
                        session.send(b"\x16\x03\x01")
                    elif kind == 2:
                        session.expect("EHLO attacker.test", 250)
                        session.expect("MAIL FROM:<attacker@gmail.test>", 250)
                        session.expect("RCPT TO:<bob@kartapuce.test>", 250)
                        session.expect("DATA", 354)
                        session.send(b"Subject: never ends\r\n\r\nfirst line\r\n.")
                    held.append(session)
                for number in range(40):
                    connection = socket.create_connection((lab["msa"], 465), timeout=10, source_address=(lab["outside"], 0))
                    connection.sendall(b"\x16\x03\x01\x02\x00\x01")
                    held.append(connection)
                time.sleep(8)
                """#
            )
            try await Task.sleep(for: .seconds(3))
            try await expectService(seed: 802)
            let result = try await attack
            #expect(result.succeeded, "\(result.errors)")
        }

        @Test func aLinkOpensForTheRightRoleOnly() async throws {
            try await expectSuccess(
                #"""
                def outcome(host, certificate):
                    """What a stranger or a host with another role hears on a host's link."""
                    context = ssl.create_default_context(cafile=lab["folder"] + "/mail/link/authority.pem")
                    context.check_hostname = False
                    if certificate: context.load_cert_chain(lab["folder"] + "/%s/link/link.pem" % certificate, lab["folder"] + "/%s/link/link-key.pem" % certificate)
                    session = Session(host, 2525)
                    try:
                        session.socket = context.wrap_socket(session.socket, server_hostname=session.name)
                    except (OSError, ssl.SSLError): return "refused"
                    if session.reply()[0] != 220: return "refused"
                    codes = [session.say(command)[0] for command in ("EHLO attacker.test", "MAIL FROM:<bob@kartapuce.test>", "RCPT TO:<tom@gmail.test>")]
                    return "taken" if codes == [250, 250, 250] else "refused"
                assert outcome("smtp", "msa") == "taken", "the right role must be served, or this test shows nothing"
                assert outcome("smtp", None) == "refused", "a client without a certificate was served"
                assert outcome("smtp", "mail") == "refused", "mx was served by relay"
                """#
            )
        }

        private func expectSuccess(_ script: String, _ arguments: [String] = []) async throws {
            let result = try await PythonClient(kartapuce: try LabRunning.kartapuce).run(script, arguments)
            #expect(result.succeeded, "\(result.errors)\(result.outputText)")
        }

        /// Mail from outside and from inside is taken within seconds.
        private func expectService(seed: UInt64) async throws {
            let kartapuce = try LabRunning.kartapuce
            let clock = ContinuousClock()
            let start = clock.now
            let inbound = SampleMessage.make(.init(from: "tom@gmail.test", to: Kartapuce.bob.user, subject: "meanwhile", seed: seed, attachmentBytes: 1000))
            let received = try await kartapuce.client.send(
                inbound,
                to: [Kartapuce.bob.user],
                from: "tom@gmail.test",
                by: kartapuce.inboundServer,
                as: nil,
                sourceAddress: kartapuce.plan.provider
            )
            #expect(received.accepted, "\(received.dialogue)")
            let outbound = SampleMessage.make(.init(from: Kartapuce.bob.user, to: "tom@gmail.test", subject: "too", seed: seed + 50, attachmentBytes: 1000))
            let submitted = try await kartapuce.client.send(
                outbound,
                to: ["tom@gmail.test"],
                from: Kartapuce.bob.user,
                by: kartapuce.msaServer,
                as: Kartapuce.bob,
                sourceAddress: kartapuce.plan.bobsLaptop
            )
            #expect(submitted.accepted, "\(submitted.dialogue)")
            #expect(clock.now - start < .seconds(10))
        }
    }
}
