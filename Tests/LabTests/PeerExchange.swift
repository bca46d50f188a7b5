import Foundation
import Testing

@testable import Lab

/// What tests with a peer do: submit on one side, look on the other, and read in the journey what was said.
struct PeerExchange {
    let kartapuce: Kartapuce
    let peer: any MailPeer

    var neighbour: Neighbour { peer.files.neighbour }

    /// A message as it is submitted, with options that mail programs rarely use.
    struct Submission: Encodable {
        var sender: String
        var recipients: [String]
        var mailOptions: [String] = []
        var recipientOptions: [String] = []
    }

    /// The replies to the recipients, in their order.
    @discardableResult
    func submitAsBob(_ content: Data, _ submission: Submission) async throws -> [Int] {
        try await submit(content, submission, ["host": "msa", "source": kartapuce.plan.bobsLaptop])
    }

    /// Submits at the peer, as one of its own people.
    @discardableResult
    func submitAtPeer(_ content: Data, _ submission: Submission) async throws -> [Int] {
        try await submit(content, submission, ["address": neighbour.plainAddress, "source": kartapuce.plan.tomsLaptop])
    }

    private func submit(_ content: Data, _ submission: Submission, _ where: [String: String]) async throws -> [Int] {
        let scratch = try LabFiles.temporaryFolder("submission")
        defer { LabFiles.remove(scratch) }
        try LabFiles.write(content, to: "\(scratch)/message")
        var order = try #require(try JSONSerialization.jsonObject(with: JSONEncoder().encode(submission)) as? [String: Any])
        for (key, value) in `where` { order[key] = value }
        order["file"] = "\(scratch)/message"
        let json = String(decoding: try JSONSerialization.data(withJSONObject: order), as: UTF8.self)
        let result = try await PythonClient(kartapuce: kartapuce).run(
            #"""
            import smtplib
            order = json.loads(arguments[0])
            source = (order["source"], 0)
            if "host" in order:
                client = smtplib.SMTP_SSL(order["host"] + ".kartapuce.test", 465, "laptop.test", context=trusting, source_address=source, timeout=60)
                client.login(lab["bob"], lab["bobs_password"])
            else:
                client = smtplib.SMTP(order["address"], 25, "laptop.test", source_address=source, timeout=60)
            client.ehlo_or_helo_if_needed()
            code, text = client.mail(order["sender"], order["mailOptions"])
            assert code == 250, (code, text)
            codes = []
            for recipient in order["recipients"]:
                code, text = client.rcpt(recipient, order["recipientOptions"])
                codes.append(code)
            code, text = client.data(open(order["file"], "rb").read())
            assert code == 250, (code, text)
            client.quit()
            print(json.dumps(codes))
            """#,
            [json]
        )
        try #require(result.succeeded, "\(result.errors)")
        return try JSONDecoder().decode([Int].self, from: result.output)
    }

    /// Waits for a message in a mailbox at the peer.
    @discardableResult
    func expectAtPeer(_ user: String, containing identity: String, timeout: Duration = .seconds(45)) async throws -> Data {
        do {
            return try await Waiting.until("a message with \(identity) for \(user) at \(neighbour.name)", timeout: timeout, every: 100) {
                try peer.files.messages(of: user).first { $0.range(of: Data(identity.utf8)) != nil }
            }
        } catch {
            let queue = try? await kartapuce.host("smtp").command(["queue", "list"])
            throw LabError(.timedOut, "\(error)\n\(peer.files.lastLogLines())\n\(queue?.outputText ?? "")")
        }
    }

    /// Waits for a message in Bob's inbox.
    @discardableResult
    func expectForBob(_ messageID: String) async throws -> Data {
        do {
            return try await Waiting.until("\(messageID) in Bob's inbox", timeout: .seconds(45), every: 200) {
                try await kartapuce.client.fetch(
                    messageID: messageID,
                    of: Kartapuce.bob,
                    from: kartapuce.imapServer,
                    sourceAddress: kartapuce.plan.bobsLaptop
                )
            }
        } catch { throw LabError(.timedOut, "\(error)\n\(peer.files.lastLogLines())") }
    }

    /// The last line of the peer's log that contains both; an empty one where there is none.
    func logLine(containing first: some StringProtocol, _ second: String) -> Substring {
        peer.files.log.split(separator: "\n").last { $0.contains(first) && $0.contains(second) } ?? ""
    }

    /// Waits for a notice with the null reverse-path about a message in Bob's inbox. An identity of it has to stand in the notice.
    func expectNoticeForBob(about identity: String) async throws -> String {
        let result = try await PythonClient(kartapuce: kartapuce).run(
            #"""
            import imaplib
            with imaplib.IMAP4_SSL("imap.kartapuce.test", 993, ssl_context=trusting) as box:
                box.login(lab["bob"], lab["bobs_password"])
                for attempt in range(150):
                    box.select("INBOX", readonly=True)
                    found = box.uid("SEARCH", "HEADER", "Return-Path", '"<>"', "TEXT", '"%s"' % arguments[0])[1][0].split()
                    if found: break
                    time.sleep(0.3)
                assert found, "no notice came"
                sys.stdout.buffer.write(box.uid("FETCH", found[0], "(BODY.PEEK[])")[1][0][1])
            """#,
            [identity]
        )
        try #require(result.succeeded, "\(result.errors)\n\(peer.files.lastLogLines())")
        return result.outputText
    }

    /// What a host's journey of a message says, one line an event: `secured TLSv1.3 verified`, `→ RCPT TO:<…>: 250`, `delivered by mx:exim.test`, and what failed.
    /// Waits until a line contains the given text.
    func evidence(of messageID: String, at host: String, until text: String) async throws -> [String] {
        try await Waiting.until("the journey of \(messageID) saying “\(text)”", timeout: .seconds(30), every: 300) { () -> [String]? in
            let told = try await kartapuce.host("imap").command(["trace", "--message-id", messageID, "--json"])
            guard told.succeeded, let root = try JSONSerialization.jsonObject(with: told.output) as? [String: Any] else { return nil }
            let journeys = root["journeys"] as? [[String: Any]] ?? []
            let events = journeys.flatMap { $0["events"] as? [[String: Any]] ?? [] }.filter { $0["host"] as? String == "\(host).kartapuce.test" }
            let lines = events.compactMap { ($0["operation"] as? [String: [String: Any]]).flatMap(Self.line) }
            return lines.contains { $0.contains(text) } ? lines : nil
        }
    }

    private static func line(_ operation: [String: [String: Any]]) -> String? {
        if let exchange = operation["exchanged"] {
            let reply = (exchange["reply"] as? [String: Any])?["code"] as? Int ?? 0
            return "\(exchange["outbound"] as? Bool == true ? "→" : "←") \(exchange["command"] ?? ""): \(reply)"
        }
        if let secured = operation["secured"] { return "secured \(secured["version"] ?? "") \(secured["verification"] ?? "") \(secured["peer"] ?? "")" }
        if let attempt = operation["attempted"] {
            let failures = (attempt["failures"] as? [String] ?? []).joined(separator: "; ")
            return "\(attempt["result"] ?? "") by \(attempt["destination"] ?? "") for \(attempt["recipient"] ?? ""): \(attempt["reply"] ?? "") \(failures)"
        }
        return nil
    }
}

/// Messages that are hard to hand on unchanged.
enum AwkwardMessage {
    /// Octets over 127 in the body, dots, lines of 998 octets, spaces at line ends, and empty lines at the end.
    static func make(from sender: String, to recipient: String, identity: String) -> SampleMessage {
        let lines = [
            "Date: Mon, 02 Mar 2026 09:30:00 +0100", "From: <\(sender)>", "To: <\(recipient)>", "Subject: awkward", "Message-ID: \(identity)",
            "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", ".", "..", ".leading", ". ",
            "From the beginning — déjà vu ✓ 😀", "trailing space ", "trailing tab\t", "", String(repeating: "x", count: 998),
            "." + String(repeating: "y", count: 997), String(repeating: "é", count: 499), "", "QUIT", "RSET", "BDAT 5 LAST", "", "", "",
        ]
        return SampleMessage(messageID: identity, content: Data(lines.joined(separator: "\r\n").utf8))
    }

    /// A header that only SMTPUTF8 may carry (RFC 6532).
    static func international(from sender: String, to recipient: String, identity: String) -> SampleMessage {
        let lines = [
            "Date: Mon, 02 Mar 2026 09:30:00 +0100", "From: <\(sender)>", "To: <\(recipient)>", "Subject: Été à l’ombre ✓", "Message-ID: \(identity)",
            "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", "Une ligne.", "",
        ]
        return SampleMessage(messageID: identity, content: Data(lines.joined(separator: "\r\n").utf8))
    }
}
