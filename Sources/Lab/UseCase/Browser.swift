import Foundation

/// Somebody's browser, outside: curl with cookies.
struct Browser: Sendable {
    /// An answer of the webmail.
    struct Page: Sendable {
        var status: Int
        var text: String
        /// Where a redirection leads.
        var location: String?
    }

    let kartapuce: Kartapuce
    /// The folder of the cookies.
    let folder: String

    private var host: String { "webmail.\(LabNames.domain)" }

    /// Gets a page, without following anything.
    func get(_ path: String) async throws -> Page { try await request(path, []) }

    /// Sends a form as a browser does from a page of the same site.
    func post(_ path: String, _ fields: [(name: String, value: String)]) async throws -> Page {
        try await request(path, ["--header", "Origin: https://\(host)"] + fields.flatMap { ["--form-string", "\($0.name)=\($0.value)"] })
    }

    private func request(_ path: String, _ more: [String]) async throws -> Page {
        let result = try await Command.run(
            "curl",
            [
                "--silent", "--show-error", "--include", "--cacert", kartapuce.authorityFile, "--resolve", "\(host):443:\(kartapuce.plan.webmail)",
                "--interface",
                kartapuce.plan.tomsLaptop, "--cookie", "\(folder)/cookies", "--cookie-jar", "\(folder)/cookies", "--max-time", "60", "https://\(host)\(path)",
            ] + more,
            launcher: kartapuce.plan.launcher(at: kartapuce.plan.tomsLaptop)
        )
        guard result.succeeded else { throw LabError(.processFailed, "the webmail doesn't answer \(path): \(result.errors)") }
        let text = result.outputText.replacingOccurrences(of: "\r\n", with: "\n")
        let halves = text.components(separatedBy: "\n\n")
        // curl shows the interim answer too, where there is one.
        let head = halves.first { !$0.hasPrefix("HTTP/1.1 100") } ?? ""
        let lines = head.components(separatedBy: "\n")
        let status = lines.first.flatMap { $0.split(separator: " ").dropFirst().first }.flatMap { Int($0) } ?? 0
        let location = lines.first { $0.lowercased().hasPrefix("location:") }.map { $0.dropFirst(9).trimmingCharacters(in: .whitespaces) }
        return Page(status: status, text: text, location: location)
    }

    /// What stands between two texts for the first time.
    static func between(_ start: String, _ end: String, in text: String) -> String? {
        guard let opening = text.range(of: start), let closing = text.range(of: end, range: opening.upperBound..<text.endIndex) else { return nil }
        return String(text[opening.upperBound..<closing.lowerBound])
    }
}

extension UseCase {
    /// Bob is on his way, with nothing but a browser: he reads what Tom wrote, answers, and logs out.
    func answerByWebmail() async throws -> Finding {
        let folder = try LabFiles.temporaryFolder("browser")
        defer { LabFiles.remove(folder) }
        let browser = Browser(kartapuce: kartapuce, folder: folder)
        let question = sample(from: "tom@gmail.test", to: Kartapuce.bob.user, subject: "Une question <b>urgente</b> & simple", 8)
        try await injectAtProvider(question, to: Kartapuce.bob.user)
        try await expectInInbox(of: Kartapuce.bob, question, from: kartapuce.plan.bobsLaptop)

        let refused = try await browser.get("/mail/INBOX")
        guard refused.status == 303, refused.location == "/login" else { throw LabError(.processFailed, "a stranger sees \(refused.status): \(refused.text)") }
        let login = try await browser.post("/login", [("user", Kartapuce.bob.user), ("password", Kartapuce.bob.password)])
        guard login.status == 303, login.location == "/mail/INBOX" else { throw LabError(.processFailed, "Bob can't log in: \(login.text)") }
        let inbox = try await browser.get("/mail/INBOX")
        guard let row = inbox.text.components(separatedBy: "<li").first(where: { $0.contains("Une question &lt;b&gt;urgente&lt;/b&gt; &amp; simple") }),
            let path = Browser.between("href=\"", "\"", in: row), let uid = path.split(separator: "/").last
        else { throw LabError(.processFailed, "Tom's message isn't in the list: \(inbox.text)") }
        let message = try await browser.get(path)
        guard message.text.contains("indicateurs de compromission"), message.text.contains("tom@gmail.test"), message.text.contains(">external<") else {
            throw LabError(.processFailed, "the page of Tom's message lacks its text, its address or its mark: \(message.text)")
        }
        let form = try await browser.get("/compose?answer=INBOX&uid=\(uid)")
        guard let token = Browser.between("name=\"token\" value=\"", "\"", in: form.text) else { throw LabError(.processFailed, "no form: \(form.text)") }
        let phrase = "Réponse par le webmail \(seed)"
        let answer = [("token", token), ("answer", "INBOX"), ("uid", String(uid)), ("to", "tom@gmail.test"), ("subject", phrase), ("text", "Oui.\n.\nBob")]
        let forged = try await browser.post("/compose", answer.filter { $0.0 != "token" })
        guard forged.status == 403 else { throw LabError(.processFailed, "a form without its token is taken: \(forged.status)") }
        let sent = try await browser.post("/compose", answer)
        guard sent.status == 303, sent.location == "/mail/INBOX?done=sent" else { throw LabError(.processFailed, "Bob's answer isn't sent: \(sent.text)") }

        let arrived = try await Waiting.until("Bob's answer in Tom's mailbox", timeout: .seconds(60), every: 200) {
            try kartapuce.provider.messages(of: "tom").map { String(decoding: $0, as: UTF8.self) }
                .first { $0.contains("In-Reply-To: \(question.messageID)") }
        }
        guard
            let messageID = arrived.components(separatedBy: .newlines).first(where: { $0.lowercased().hasPrefix("message-id:") })?.dropFirst(11)
                .trimmingCharacters(in: .whitespaces)
        else { throw LabError(.processFailed, "Bob's answer has no Message-ID: \(arrived)") }
        let copies = try await browser.get("/mail/Sent")
        guard copies.text.contains(phrase) else { throw LabError(.processFailed, "no copy of the answer: \(copies.text)") }
        let left = try await browser.post("/logout", [("token", token)])
        guard left.status == 303 else { throw LabError(.processFailed, "Bob can't log out: \(left.text)") }
        let afterwards = try await browser.get("/mail/INBOX")
        guard afterwards.location == "/login" else { throw LabError(.processFailed, "the session outlives the logout: \(afterwards.status)") }
        return Finding(detail: "read, answered with its copy in Sent, logged out; Tom has the answer", messageID: messageID, hosts: ["msa", "smtp"])
    }
}
