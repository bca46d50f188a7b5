extension MailProgramScript {
    /// Thunderbird without a window, by Mozilla's remote protocol: opens the inbox, reads, marks as read and starred, hears of new mail while it is idle, and sends
    /// with a copy in Sent.
    static let thunderbirdText = #"""
        profile = folder + "/profile"
        os.makedirs(profile)
        for command in (["-N", "--empty-password"], ["-A", "-n", "lab", "-t", "CT,C,C", "-i", lab["ca"]]):
            subprocess.run(["certutil", command[0], "-d", "sql:" + profile] + command[1:], check=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        user, sent = lab["jack"], "imap://%s@imap.kartapuce.test/Sent" % lab["jack"].replace("@", "%40")
        preferences = {
            "marionette.port": port, "app.update.enabled": False, "datareporting.policy.dataSubmissionEnabled": False, "mail.rights.version": 1,
            "mail.provider.suppress_dialog_on_startup": True, "mail.spotlight.firstRunDone": True, "mail.winsearch.firstRunDone": True,
            "mailnews.start_page.enabled": False, "mail.shell.checkDefaultClient": False, "network.proxy.type": 0,
            "network.connectivity-service.enabled": False, "security.sandbox.content.level": 0,
            "mail.accountmanager.accounts": "account1", "mail.accountmanager.defaultaccount": "account1",
            "mail.account.account1.server": "server1", "mail.account.account1.identities": "id1",
            # 3: TLS from the first octet, and for authMethod a password under it.
            "mail.server.server1.type": "imap", "mail.server.server1.hostname": "imap.kartapuce.test", "mail.server.server1.port": 993,
            "mail.server.server1.socketType": 3, "mail.server.server1.authMethod": 3, "mail.server.server1.userName": user,
            "mail.server.server1.name": "Jack", "mail.server.server1.login_at_startup": False, "mail.server.server1.check_new_mail": False,
            "mail.server.server1.use_idle": True, "mail.server.server1.offline_download": False,
            "mail.identity.id1.fullName": "Jack", "mail.identity.id1.useremail": user, "mail.identity.id1.smtpServer": "smtp1",
            "mail.identity.id1.valid": True, "mail.identity.id1.fcc": True, "mail.identity.id1.fcc_folder": sent,
            "mail.smtpservers": "smtp1", "mail.smtp.defaultserver": "smtp1", "mail.smtpserver.smtp1.type": "smtp",
            "mail.smtpserver.smtp1.hostname": "msa.kartapuce.test", "mail.smtpserver.smtp1.port": 465, "mail.smtpserver.smtp1.try_ssl": 3,
            "mail.smtpserver.smtp1.authMethod": 3, "mail.smtpserver.smtp1.username": user,
        }
        write("profile/user.js", "".join("user_pref(%s, %s);\n" % (json.dumps(key), json.dumps(value)) for key, value in preferences.items()))
        log = open(folder + "/thunderbird.log", "w")
        process = subprocess.Popen(
            ["/usr/lib/thunderbird/thunderbird", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", profile, "--headless"],
            env=dict(os.environ, HOME=folder, MOZ_HEADLESS="1", MOZ_CRASHREPORTER_DISABLE="1"), stdout=log, stderr=log, start_new_session=True)

        class Marionette:
            """Mozilla's remote protocol: messages of JSON, each after its length and a colon."""
            def __init__(self):
                def connect():
                    assert process.poll() is None, open(folder + "/thunderbird.log").read()[-2000:]
                    try: return socket.create_connection(("127.0.0.1", port), timeout=120)
                    except OSError: return None
                self.socket = until("Thunderbird listening", connect, 120)
                self.buffer, self.number = b"", 0
                self.message()
                self.call("WebDriver:NewSession", capabilities={"alwaysMatch": {}})
                self.call("Marionette:SetContext", value="chrome")
                self.call("WebDriver:SetTimeouts", script=90000)
            def message(self):
                while b":" not in self.buffer: self.more()
                length, self.buffer = self.buffer.split(b":", 1)
                while len(self.buffer) < int(length): self.more()
                text, self.buffer = self.buffer[:int(length)], self.buffer[int(length):]
                return json.loads(text)
            def more(self):
                data = self.socket.recv(65536)
                assert data, "Thunderbird is gone"
                self.buffer += data
            def call(self, command, **parameters):
                self.number += 1
                text = json.dumps([0, self.number, command, parameters]).encode()
                self.socket.sendall(b"%d:%s" % (len(text), text))
                kind, number, error, result = self.message()
                assert error is None, error
                return result
            def run(self, script, *values):
                """Runs JavaScript with Thunderbird's own rights; `values` are there under that name."""
                whole = ("const done = arguments[arguments.length - 1], values = arguments[0]; (async () => {" + COMMON + script
                    + "})().then(done, error => done({failed: String(error) + error.stack}));")
                value = self.call("WebDriver:ExecuteAsyncScript", script=whole, args=[list(values)], newSandbox=True, sandbox="system")["value"]
                assert not (isinstance(value, dict) and "failed" in value), value
                return value

        COMMON = """
        const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
        const account = MailServices.accounts.accounts.find(account => account.incomingServer.type == "imap");
        const server = account.incomingServer;
        const waitFor = async (what, question) => {
            for (let i = 0; i < 600; i++) { const answer = question(); if (answer) return answer; await new Promise(next => setTimeout(next, 100)); }
            throw new Error(what + " did not happen");
        };
        const inbox = () => server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
        const find = subject => [...inbox().messages].find(header => header.mime2DecodedSubject == subject);
        """
        try:
            bird = Marionette()
            print(bird.run("return Services.appinfo.name + ' ' + Services.appinfo.version"))
            bird.run("""
                for (const origin of ["imap://imap.kartapuce.test", "smtp://msa.kartapuce.test"]) {
                    const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
                    login.init(origin, null, origin, values[0], values[1], "", "");
                    await Services.logins.addLoginAsync(login);
                }
                """, user, lab["jacks_password"])

            deliver("bird-one")
            until("arrival", lambda: found("INBOX", "bird-one"))
            bird.run("""
                server.performExpand(null);
                await waitFor("an inbox", inbox);
                await new Promise(resolve => inbox().QueryInterface(Ci.nsIMsgImapMailFolder).updateFolderWithListener(null,
                    { OnStartRunningUrl() {}, OnStopRunningUrl(url, code) { resolve(code); } }));
                await waitFor("the message", () => find("bird-one"));
                """)

            text = bird.run("""
                const header = find("bird-one"), uri = inbox().getUriForMsg(header);
                const text = await new Promise((resolve, reject) => {
                    const chunks = [];
                    MailServices.messageServiceFromURI(uri).streamMessage(uri, {
                        QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]), onStartRequest() {},
                        onDataAvailable(request, input, offset, count) {
                            const stream = Cc["@mozilla.org/scriptableinputstream;1"].createInstance(Ci.nsIScriptableInputStream);
                            stream.init(input);
                            chunks.push(stream.read(count));
                        },
                        onStopRequest(request, status) { Components.isSuccessCode(status) ? resolve(chunks.join("")) : reject(new Error("status " + status)); },
                    }, null, null, false, "", false);
                });
                inbox().markMessagesRead([header], true);
                inbox().markMessagesFlagged([header], true);
                return text;
                """)
            assert "The words of bird-one." in text, text
            until("seen and flagged on the server", lambda: found("INBOX", "bird-one", "SEEN", "FLAGGED"))

            # It never asks by itself: what it shows now, IDLE told it.
            deliver("bird-idle")
            assert bird.run("""
                await waitFor("the new message", () => find("bird-idle"));
                return server.QueryInterface(Ci.nsIImapIncomingServer).useIdle;
                """)

            outgoing = write("outgoing.eml", "From: Jack <%s>\r\nTo: <%s>\r\nSubject: bird-sent\r\nDate: Mon, 02 Mar 2026 09:30:00 +0100\r\n"
                "Message-ID: <bird-sent@kartapuce.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n.A line\r\nby Thunderbird.\r\n"
                % (user, lab["bob"]))
            bird.run("""
                const identity = account.defaultIdentity;
                const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
                fields.from = identity.email;
                fields.to = values[0];
                fields.subject = "bird-sent";
                fields.fcc = values[2];
                const file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
                file.initWithPath(values[1]);
                const send = Cc["@mozilla.org/messengercompose/send;1"].createInstance(Ci.nsIMsgSend);
                await new Promise((resolve, reject) => send.sendMessageFile(identity, account.key, fields, file, false, false,
                    Ci.nsIMsgSend.nsMsgDeliverNow, null, {
                        QueryInterface: ChromeUtils.generateQI(["nsIMsgSendListener", "nsIMsgCopyServiceListener"]),
                        onStartSending() {}, onProgress() {}, onSendProgress() {}, onStatus() {}, onGetDraftFolderURI() {}, onSendNotPerformed() {},
                        onTransportSecurityError(id, status) { reject(new Error("TLS: " + status)); },
                        onStopSending(id, status) { Components.isSuccessCode(status) ? resolve() : reject(new Error("status " + status.toString(16))); },
                        onStartCopy() {}, setMessageKey() {}, getMessageId() { return null; }, onStopCopy() {},
                    }, null, ""));
                """, lab["bob"], outgoing, sent)
            until("the copy in Sent", lambda: found("Sent", "bird-sent"))
            with imap("bob") as box:
                def arrived():
                    box.select("INBOX", readonly=True)
                    return box.uid("SEARCH", "SUBJECT", "bird-sent")[1][0].split()
                content = box.uid("FETCH", until("arrival at Bob's", arrived)[0], "(BODY.PEEK[TEXT])")[1][0][1]
            assert content == b".A line\r\nby Thunderbird.\r\n", content
        finally:
            os.killpg(process.pid, 15)
            try: process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
        """#
}
