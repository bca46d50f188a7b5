import Foundation
import Testing

@testable import Lab

extension InteropPeersTests {
    /// Mail programs that people use, driven by scripts: none of them shares code with Postern. What they did is checked by another client, Python's imaplib.
    @Suite struct InteropMailProgramsTests {
        @Test(arguments: MailProgramScript.allCases)
        func works(script: MailProgramScript) async throws {
            let kartapuce = try LabRunning.kartapuce
            let folder = "\(kartapuce.folder)/\(script)"
            try LabFiles.makeFolder(folder, permissions: 0o700)
            let result = try await PythonClient(kartapuce: kartapuce).run(
                MailProgramScript.common + script.text,
                [folder],
                layer: try PeerLayer("clients"),
                timeout: .seconds(280)
            )
            #expect(result.succeeded, "\(result.errors.suffix(4000))\(result.outputText.suffix(1000))")
        }
    }
}

/// What each mail program does, as a script in Python.
enum MailProgramScript: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case mutt, msmtp, fetchmail, mbsync, thunderbird

    var testDescription: String { rawValue }

    var text: String {
        switch self {
        case .mutt: Self.muttText
        case .msmtp: Self.msmtpText
        case .fetchmail: Self.fetchmailText
        case .mbsync: Self.mbsyncText
        case .thunderbird: Self.thunderbirdText
        }
    }

    static let common = #"""
        import fcntl, imaplib, os, pty, re, select, shutil, smtplib, struct, subprocess, termios
        folder = arguments[0]

        def imap(who="jack"):
            box = imaplib.IMAP4_SSL("imap.kartapuce.test", 993, ssl_context=trusting)
            box.login(lab[who], lab[who + "s_password"])
            return box

        def until(what, question, seconds=60):
            end = time.time() + seconds
            while time.time() < end:
                answer = question()
                if answer: return answer
                time.sleep(0.2)
            raise AssertionError(what + " did not happen")

        def message(subject):
            return ("From: Tom <tom@gmail.test>\r\nTo: <jack@kartapuce.test>\r\nSubject: %s\r\nDate: Mon, 02 Mar 2026 09:30:00 +0100\r\n"
                "Message-ID: <%s@gmail.test>\r\n\r\nThe words of %s.\r\n" % (subject, subject, subject)).encode()

        def deliver(subject):
            with smtplib.SMTP(lab["mail"], 25, "laptop.test", source_address=(lab["outside"], 0), timeout=60) as client:
                client.sendmail("tom@gmail.test", [lab["jack"]], message(subject))

        def found(mailbox, subject, *criteria):
            """The UIDs of messages with this word in their subject, as another client sees them."""
            with imap() as box:
                if box.select('"%s"' % mailbox, readonly=True)[0] != "OK": return []
                return box.uid("SEARCH", "SUBJECT", subject, *criteria)[1][0].split()

        def write(name, text, mode=0o600):
            path = folder + "/" + name
            with open(path, "w") as file: file.write(text)
            os.chmod(path, mode)
            return path

        """#

    /// Mutt in a terminal: sends, keeps a copy in Sent, opens, flags, copies, deletes, and hears of new mail while it is idle.
    private static let muttText = #"""
        # Without smtp_authenticators Mutt 2.2 insists on SCRAM-SHA-256-PLUS, for which it hands no binding of TLS 1.3 to its own library.
        write("muttrc", """
        set folder="imaps://imap.kartapuce.test/" spoolfile="+INBOX" record="+Sent" postponed="+Drafts" imap_user="%s" imap_pass="%s"
        set smtp_url="smtps://%s@msa.kartapuce.test:465/" smtp_pass="%s" from="%s" realname="Jack" use_envelope_from=yes smtp_authenticators="scram-sha-256"
        set ssl_ca_certificates_file="%s" ssl_force_tls=yes ssl_verify_host=yes certificate_file="%s/none"
        set imap_idle=yes timeout=1 mail_check=600 imap_keepalive=900 delete=yes move=no confirmcreate=no confirmappend=no quit=yes beep=no
        set header_cache="" tmpdir="%s" editor=true wait_key=no mark_old=no help=no sleep_time=0
        """ % (lab["jack"], lab["jacks_password"], lab["jack"].replace("@", "%40"), lab["jacks_password"], lab["jack"], lab["ca"], folder, folder))
        environment = dict(os.environ, HOME=folder, TERM="vt100", LANG="C.UTF-8")

        with open(write("words", "Written by Mutt, sent by Mutt.\n")) as words:
            sent = subprocess.run(["mutt", "-F", folder + "/muttrc", "-s", "mutt-sent", "--", lab["bob"]], stdin=words, env=environment, capture_output=True, timeout=60)
        assert sent.returncode == 0, sent
        until("the copy in Sent", lambda: found("Sent", "mutt-sent"))

        deliver("mutt-one")
        until("arrival", lambda: found("INBOX", "mutt-one"))
        process, terminal = pty.fork()
        if process == 0: os.execvpe("mutt", ["mutt", "-F", folder + "/muttrc"], environment)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        screen = b""
        def read(seconds):
            global screen
            end = time.time() + seconds
            while time.time() < end:
                if select.select([terminal], [], [], 0.05)[0]:
                    try: screen += os.read(terminal, 65536)
                    except OSError: return
        def sees(text):
            def look():
                read(0.2)
                return text in re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]", b"", screen)
            try: until("Mutt showing %r" % text, look)
            except AssertionError as error: raise AssertionError("%s; it showed %r" % (error, screen[-3000:]))
        def press(keys):
            global screen
            read(0.3)
            screen = b""
            os.write(terminal, keys.encode())
        try:
            sees(b"mutt-one")
            press("*")
            press("\r")
            sees(b"The words of mutt-one")
            press("i")
            press("F")
            press("$")
            until("flagged and seen on the server", lambda: found("INBOX", "mutt-one", "SEEN", "FLAGGED"))
            press("C")
            press("\x15=Kept\r")
            until("the copy", lambda: found("Kept", "mutt-one"))
            press("d")
            press("$")
            until("the deletion on the server", lambda: not found("INBOX", "mutt-one"))
            # It asks the server for news once in ten minutes only: what it shows sooner, IDLE told it.
            deliver("mutt-idle")
            sees(b"mutt-idle")
            press("q")
            end = time.time() + 20
            while process and time.time() < end:
                read(0.1)
                if os.waitpid(process, os.WNOHANG)[0]: process = 0
            assert process == 0, "Mutt doesn't end"
        finally:
            if process:
                os.kill(process, 9)
                os.waitpid(process, 0)
        """#

    /// msmtp sends with three mechanisms on both ports.
    private static let msmtpText = #"""
        for number, (port, starttls, method) in enumerate([(465, "off", "scram-sha-256"), (587, "on", "plain"), (587, "on", "login")]):
            file = write("msmtprc", "account default\nhost msa.kartapuce.test\nport %d\ntls on\ntls_starttls %s\ntls_trust_file %s\nauth %s\nuser %s\n"
                "password %s\nfrom %s\n" % (port, starttls, lab["ca"], method, lab["bob"], lab["bobs_password"], lab["bob"]))
            subject = "msmtp-%d" % number
            text = "Subject: %s\r\nFrom: <%s>\r\nTo: <%s>\r\n\r\nwords\n.\n..dots\n" % (subject, lab["bob"], lab["jack"])
            done = subprocess.run(["msmtp", "-C", file, lab["jack"]], input=text.encode(), capture_output=True, timeout=60)
            assert done.returncode == 0, done
            uid = until(subject, lambda: found("INBOX", subject))[0]
            with imap() as box:
                box.select("INBOX", readonly=True)
                body = box.uid("FETCH", uid, "(BODY.PEEK[TEXT])")[1][0][1]
                assert body == b"words\r\n.\r\n..dots\r\n", body
        """#

    /// fetchmail takes everything out of the inbox.
    private static let fetchmailText = #"""
        for subject in ("fetchmail-one", "fetchmail-two"): deliver(subject)
        until("arrival", lambda: found("INBOX", "fetchmail-one") and found("INBOX", "fetchmail-two"))
        write("append", "#!/bin/sh\ncat >>%s/fetched\n" % folder, 0o755)
        file = write("fetchmailrc", 'poll imap.kartapuce.test protocol IMAP port 993 user "%s" password "%s" ssl sslcertck sslcertfile "%s" fetchall nokeep '
            'expunge 2 mda "%s/append"\n' % (lab["jack"], lab["jacks_password"], lab["ca"], folder))
        done = subprocess.run(["fetchmail", "-f", file, "--nosyslog", "--idfile", folder + "/ids", "--pidfile", folder + "/pid"],
            env=dict(os.environ, HOME=folder, FETCHMAILHOME=folder), capture_output=True, timeout=100)
        assert done.returncode == 0, done
        with open(folder + "/fetched") as fetched: text = fetched.read()
        for subject in ("fetchmail-one", "fetchmail-two"): assert "The words of %s." % subject in text, text
        assert not found("INBOX", "fetchmail"), "what was fetched is still there"
        """#

    /// mbsync mirrors a mailbox both ways, after changes on both sides, and has nothing to do afterwards.
    private static let mbsyncText = #"""
        near = folder + "/mail/Mirror"
        os.makedirs(folder + "/mail")
        with imap() as box:
            assert box.create("Mirror")[0] == "OK"
            for name in ("flagged-here", "deleted-here", "seen-there", "deleted-there"): assert box.append("Mirror", None, None, message(name))[0] == "OK"
        # The empty lines between the sections are part of the syntax.
        file = write("mbsyncrc", """IMAPAccount jack
        Host imap.kartapuce.test
        Port 993
        User %s
        Pass %s
        SSLType IMAPS
        SystemCertificates no
        CertificateFile %s
        AuthMechs LOGIN

        IMAPStore far
        Account jack

        MaildirStore near
        Path %s/mail/
        Inbox %s/mail/INBOX
        SubFolders Verbatim

        Channel jack
        Far :far:
        Near :near:
        Patterns Mirror
        Create Near
        Expunge Both
        SyncState *

        """ % (lab["jack"], lab["jacks_password"], lab["ca"], folder, folder))
        def sync():
            done = subprocess.run(["mbsync", "-c", file, "-a"], capture_output=True, timeout=60)
            assert done.returncode == 0, done
        def here():
            """The paths of the local messages by their subject."""
            result = {}
            for part in ("new", "cur"):
                for name in os.listdir(near + "/" + part):
                    path = near + "/" + part + "/" + name
                    with open(path) as content: result[re.search(r"Subject: (\S+)", content.read())[1]] = path
            return result
        def flags_here(subject):
            return here()[subject].rpartition(":2,")[2]
        def flag_here(subject, flags):
            path = here()[subject]
            name = os.path.basename(path).partition(":2,")[0]
            os.rename(path, near + "/cur/" + re.sub(r"$", ":2," + flags, name))
        def there():
            with imap() as box:
                count = int(box.select("Mirror", readonly=True)[1][0])
                result = {}
                for number in range(1, count + 1):
                    parts = box.fetch(str(number), "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
                    text = b" ".join(part if isinstance(part, bytes) else b" ".join(part) for part in parts)
                    result[re.search(rb"Subject: (\S+)", text)[1].decode()] = sorted(f.decode() for f in imaplib.ParseFlags(text) if f != b"\\Recent")
                return result
        def change_there(subject, flag):
            with imap() as box:
                box.select("Mirror")
                uid = box.uid("SEARCH", "SUBJECT", subject)[1][0]
                assert box.uid("STORE", uid, "+FLAGS", "(%s)" % flag)[0] == "OK"
                box.expunge()

        sync()
        assert set(here()) == {"flagged-here", "deleted-here", "seen-there", "deleted-there"}, here()

        flag_here("flagged-here", "FS")
        flag_here("deleted-here", "T")
        with open(near + "/cur/1772440000.1_1.laptop:2,S", "wb") as new: new.write(message("new-here").replace(b"\r\n", b"\n"))
        change_there("seen-there", r"\Seen")
        change_there("deleted-there", r"\Deleted")
        with imap() as box: assert box.append("Mirror", r"(\Answered)", None, message("new-there"))[0] == "OK"
        sync()
        expected = {"flagged-here": [r"\Flagged", r"\Seen"], "seen-there": [r"\Seen"], "new-here": [r"\Seen"], "new-there": [r"\Answered"]}
        assert there() == expected, there()
        assert {name: flags_here(name) for name in here()} == {"flagged-here": "FS", "seen-there": "S", "new-here": "S", "new-there": "R"}, here()

        # A third time nothing is left to do, and what was uploaded isn't downloaded as new.
        before = here()
        sync()
        assert there() == expected and here() == before, (there(), here())
        """#
}
