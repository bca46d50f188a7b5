import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import MailMessage
import NIOCore
import Synchronization
import Testing

@testable import Portal

/// Requests as a browser sends them, and the answers.
private struct Visitor {
    let client: any TestClientProtocol
    var cookie: String?

    static let site = HTTPField.Name("Sec-Fetch-Site")

    func send(_ method: HTTPRequest.Method, _ path: String, _ fields: [String: String] = [:], _ more: [String: String] = [:]) async throws -> TestResponse {
        var headers: HTTPFields = [:]
        if let cookie { headers[.cookie] = "other=1; \(cookie)" }
        var body: ByteBuffer?
        if method == .post {
            headers[.contentType] = "application/x-www-form-urlencoded"
            if let site = Self.site { headers[site] = "same-origin" }
            headers[.origin] = "null"
            body = ByteBuffer(string: fields.map { "\($0.key)=\(Percent.encode($0.value))" }.sorted().joined(separator: "&"))
        }
        for (name, value) in more {
            if let name = HTTPField.Name(name) { headers[name] = value.isEmpty ? nil : value }
        }
        return try await client.executeRequest(uri: path, method: method, headers: headers, body: body)
    }

    func get(_ path: String) async throws -> TestResponse { try await send(.get, path) }

    /// Logs in, and keeps the cookie.
    mutating func logIn(user: String = "bob@kartapuce.test", password: String = "correct horse") async throws -> TestResponse {
        let response = try await send(.post, "/login", ["user": user, "password": password])
        if let set = response.headers[.setCookie] { cookie = String(set.prefix { $0 != ";" }) }
        return response
    }

    func token() async throws -> String {
        let page = try await get("/compose").text
        guard let start = page.range(of: "name=\"token\" value=\"") else { return "" }
        return String(page[start.upperBound...].prefix { $0 != "\"" })
    }
}

extension TestResponse {
    var text: String { String(buffer: body) }
}

@Suite("The webmail")
struct WebmailTests {
    private let clock = MovableClock()

    private static let hostile = """
        From: "<img src=x onerror=alert(1)>" <attacker@gmail.test>
        To: "</dd><script>alert(2)</script>" <bob@kartapuce.test>
        Reply-To: "\\"'><script>" <x@gmail.test>
        Subject: </title><script>alert(3)</script>
        Message-ID: <1@gmail.test>
        Date: Tue, 24 Nov 2026 00:20:00 +0000
        Content-Type: multipart/mixed; boundary=b

        --b

        </div><script>alert(4)</script></textarea>
        --b
        Content-Type: text/html; charset="<script>"
        Content-Disposition: attachment; filename="\\"><script>alert(5)</script>"

        <script>alert(6)</script>
        --b--

        """

    private func visit(_ mail: FakeMail, _ body: @Sendable (Visitor, SessionStore) async throws -> Void) async throws {
        let sessions = SessionStore(now: clock.now)
        var limits = LoginLimiter.Limits()
        limits.firstDelay = .milliseconds(1)
        let responder = WebmailResponder(
            mail: mail, sessions: sessions, limiter: LoginLimiter(limits: limits, now: clock.now), domains: [try DomainNames.kartapuce],
            title: "kartapuce.test mail",
            now: { Date(timeIntervalSince1970: 1_795_479_600) }, clock: clock.now, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await Application(responder: responder).test(.router) { client in try await body(Visitor(client: client), sessions) }
    }

    @Test("Every answer has every header field that keeps browsers safe")
    func headers() async throws {
        try await visit(FakeMail(Self.hostile)) { visitor, _ in
            var bob = visitor
            _ = try await bob.logIn()
            let paths = [
                "/", "/login", "/style.css", "/robots.txt", "/mail/INBOX", "/mail/INBOX?q=x&page=2", "/mail/INBOX/1", "/mail/INBOX/1/source",
                "/mail/INBOX/1/part/2", "/mail/INBOX/99", "/compose",
                "/compose?answer=INBOX&uid=1", "/nowhere", "/mail", "/mail/", "/%zz", "/mail/INBOX/0", "/mail/INBOX/1/part/77", "/..%2f..", "//evil.test/",
            ]
            for path in paths {
                for who in [visitor, bob] {
                    for method in [HTTPRequest.Method.get, .head, .post, .put, .delete, .options] {
                        let answer = try await who.send(method, path)
                        #expect(answer.headers[.xContentTypeOptions] == "nosniff", "\(path)")
                        #expect(answer.headers[.strictTransportSecurity]?.hasPrefix("max-age=63072000") == true, "\(path)")
                        #expect(answer.headers[.cacheControl] == "no-store", "\(path)")
                        let policy = answer.headers[.contentSecurityPolicy] ?? ""
                        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] { #expect(policy.contains(part), "\(method) \(path)") }
                        #expect(!policy.contains("unsafe") && !policy.contains("script-src") && !policy.contains("http"), "\(path)")
                        for (name, value) in SecurityHeaders.others { #expect(answer.headers[try #require(HTTPField.Name(name))] == value, "\(path)") }
                        if let location = answer.headers[.location] { #expect(location.hasPrefix("/") && !location.hasPrefix("//"), "\(path)") }
                    }
                }
            }
        }
    }

    private static let svg = """
        <svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" viewBox="0 0 10 10"><title>Gmail</title><rect width="10" height="10" fill="#1f5f8b"/></svg>
        """

    private static func marked(_ indicators: [String]) -> String {
        let fields = indicators.map {
            "BIMI-Indicator:\n " + Data($0.utf8).base64EncodedString(options: .lineLength76Characters).replacing("\r\n", with: "\n ") + "\n"
        }
        return fields.joined() + "From: Tom <tom@gmail.test>\nTo: <bob@kartapuce.test>\nSubject: x\n\nText\n"
    }

    @Test("The mark of a sender's domain is shown where it is harmless, and loads nothing")
    func mark() async throws {
        try await visit(FakeMail(Self.marked([Self.svg]))) { visitor, _ in
            var bob = visitor
            #expect(try await bob.get("/mail/INBOX/1/mark").status == .seeOther)
            _ = try await bob.logIn()
            let page = try await bob.get("/mail/INBOX/1")
            #expect(page.text.contains("<img src=\"/mail/INBOX/1/mark\"") && page.text.contains("The mark of gmail.test"))
            #expect(page.headers[.contentSecurityPolicy]?.contains("img-src 'self'") == true)
            let mark = try await bob.get("/mail/INBOX/1/mark")
            #expect(mark.text == Self.svg)
            #expect(mark.headers[.contentType] == "image/svg+xml")
            #expect(mark.headers[.contentSecurityPolicy] == SecurityHeaders.downloadPolicy)
        }
        let hostile = [
            Self.svg.replacing("<rect", with: "<script>alert(1)</script><rect"), Self.svg.replacing("<rect", with: "<image href=\"http://evil.test/x\"/><rect"),
            "no svg",
        ]
        for indicators in hostile.map({ [$0] }) + [[Self.svg, Self.svg]] {
            try await visit(FakeMail(Self.marked(indicators))) { visitor, _ in
                var bob = visitor
                _ = try await bob.logIn()
                let page = try await bob.get("/mail/INBOX/1")
                #expect(page.status == .ok && !page.text.contains("<img") && page.headers[.contentSecurityPolicy] == SecurityHeaders.pagePolicy)
                #expect(try await bob.get("/mail/INBOX/1/mark").status == .notFound)
            }
        }
    }

    @Test("Nothing of a message becomes markup, on no page")
    func markup() async throws {
        try await visit(FakeMail(Self.hostile)) { visitor, _ in
            var bob = visitor
            _ = try await bob.logIn()
            for path in [
                "/mail/INBOX", "/mail/INBOX/1", "/compose?answer=INBOX&uid=1", "/compose?answer=INBOX&uid=1&all=1", "/mail/%3Cscript%3E?q=%3Cscript%3E%22",
            ] {
                let page = try await bob.get(path)
                #expect(page.status == .ok, "\(path)")
                #expect(!page.text.lowercased().contains("<script") && !page.text.contains("<img") && !page.text.contains("<b>&\""), "\(path)")
                #expect(page.text.components(separatedBy: "</textarea>").count <= 2 && page.text.components(separatedBy: "</title>").count == 2, "\(path)")
            }
            let message = try await bob.get("/mail/INBOX/1").text
            for text in ["&lt;script&gt;alert(3)", "&lt;script&gt;alert(4)", "attacker@gmail.test", "external"] { #expect(message.contains(text), "\(text)") }
        }
    }

    @Test("Attachments are downloads in a sandbox, whatever they say they are")
    func attachments() async throws {
        try await visit(FakeMail(Self.hostile)) { visitor, _ in
            var bob = visitor
            _ = try await bob.logIn()
            for path in ["/mail/INBOX/1/part/2", "/mail/INBOX/1/source"] {
                let file = try await bob.get(path)
                #expect(file.status == .ok && file.headers[.contentType] == "application/octet-stream")
                #expect(file.headers[.contentDisposition]?.hasPrefix("attachment; filename=\"") == true)
                #expect(file.headers[.contentSecurityPolicy]?.hasPrefix("sandbox;") == true)
            }
            #expect(try await bob.get("/mail/INBOX/1/part/2").text == "<script>alert(6)</script>")
            // The text of the message is no file.
            #expect(try await bob.get("/mail/INBOX/1/part/1").status == .notFound)
        }
    }

    @Test("The cookie is for this host alone, new at each login, and dead after logout")
    func cookies() async throws {
        try await visit(FakeMail()) { visitor, sessions in
            var bob = visitor
            let first = try await bob.logIn()
            #expect(first.status == .seeOther)
            let set = try #require(first.headers[.setCookie])
            #expect(set.hasPrefix("__Host-postern="))
            for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] { #expect(set.contains("; \(attribute)")) }
            #expect(!set.contains("Domain"))
            let old = bob
            _ = try await bob.logIn()
            #expect(bob.cookie != old.cookie && sessions.count == 1)
            #expect(try await old.get("/mail/INBOX").headers[.location] == "/login")
            let token = try await bob.token()
            #expect(try await bob.send(.post, "/logout", ["token": token]).headers[.setCookie]?.contains("Max-Age=0") == true)
            #expect(try await bob.get("/mail/INBOX").headers[.location] == "/login")
            #expect(sessions.count == 0)
        }
    }

    @Test("A session that was not used for half an hour is over")
    func idle() async throws {
        try await visit(FakeMail()) { visitor, _ in
            var bob = visitor
            _ = try await bob.logIn()
            clock.advance(.seconds(1801))
            #expect(try await bob.get("/mail/INBOX").headers[.location] == "/login")
        }
    }

    @Test("Strangers see the login, and nothing is done for them")
    func strangers() async throws {
        let mail = FakeMail(Self.hostile)
        try await visit(mail) { visitor, _ in
            for path in ["/mail/INBOX", "/mail/INBOX/1", "/mail/INBOX/1/source", "/compose"] {
                let answer = try await visitor.get(path)
                #expect(answer.headers[.location] == "/login")
            }
            for path in ["/compose", "/mail/INBOX/1/delete", "/logout"] {
                let answer = try await visitor.send(.post, path, ["to": "tom@gmail.test"])
                #expect(answer.headers[.location] == "/login")
            }
        }
        #expect(mail.state.withLock { $0.sent.isEmpty && $0.deleted.isEmpty })
    }

    @Test("Unknown users, wrong passwords and nonsense get one and the same answer")
    func wrongLogins() async throws {
        try await visit(FakeMail()) { visitor, sessions in
            var answers: Set<String> = []
            for (user, password) in [
                ("bob@kartapuce.test", "wrong"), ("nobody@kartapuce.test", "wrong"), ("", ""), ("<script>", "x"), ("bob@kartapuce.test", "correct horse\u{0}"),
                (String(repeating: "a", count: 400), "x"),
            ] {
                var somebody = visitor
                let answer = try await somebody.logIn(user: user, password: password)
                #expect(answer.status == .forbidden && answer.headers[.setCookie] == nil)
                answers.insert(answer.text)
            }
            #expect(answers.count == 1 && sessions.count == 0)
            for attempt in 0..<10 {
                var somebody = visitor
                let answer = try await somebody.logIn(password: "guess \(attempt)")
                #expect(answer.status == (attempt < 9 ? .forbidden : .tooManyRequests))
            }
            // Now the right one is of no use either.
            var bob = visitor
            let locked = try await bob.logIn()
            #expect(locked.status == .tooManyRequests)
        }
    }

    @Test("A store that is down is no wrong password")
    func storeDown() async throws {
        let mail = FakeMail()
        mail.state.withLock { $0.failure = .unavailable }
        try await visit(mail) { visitor, _ in
            var bob = visitor
            for _ in 0..<15 {
                let answer = try await bob.logIn()
                #expect(answer.status == .serviceUnavailable)
            }
            mail.state.withLock { $0.failure = nil }
            let answer = try await bob.logIn()
            #expect(answer.status == .seeOther)
            // A password that was changed inside ends the session.
            mail.state.withLock { $0.password = "another" }
            let refused = try await bob.get("/mail/INBOX")
            #expect(refused.status == .forbidden)
            mail.state.withLock { $0.password = "correct horse" }
            let ended = try await bob.get("/mail/INBOX")
            #expect(ended.headers[.location] == "/login")
        }
    }

    @Test(
        "Forms of other sites are refused, whatever they know",
        arguments: [
            ["Sec-Fetch-Site": "cross-site"], ["Sec-Fetch-Site": "same-site"], ["Sec-Fetch-Site": "none"], ["Sec-Fetch-Site": ""],
            ["Sec-Fetch-Site": "", "Origin": ""],
            ["Sec-Fetch-Site": "", "Origin": "https://evil.test"], ["Origin": "https://evil.test"], ["Sec-Fetch-Site": "", "Origin": "http://localhost"],
        ])
    func foreignForms(_ headers: [String: String]) async throws {
        let mail = FakeMail(Self.hostile)
        try await visit(mail) { visitor, _ in
            var bob = visitor
            _ = try await bob.logIn()
            let token = try await bob.token()
            for path in ["/mail/INBOX/1/delete", "/compose", "/logout", "/login"] {
                let answer = try await bob.send(
                    .post, path, ["token": token, "to": "tom@gmail.test", "user": "bob@kartapuce.test", "password": "correct horse"], headers)
                #expect(answer.status == .forbidden && answer.headers[.setCookie] == nil, "\(path)")
            }
        }
        #expect(mail.state.withLock { $0.sent.isEmpty && $0.deleted.isEmpty })
    }

    @Test("A form needs the token of its own session")
    func tokens() async throws {
        let mail = FakeMail(Self.hostile)
        try await visit(mail) { visitor, _ in
            var (bob, other) = (visitor, visitor)
            _ = try await bob.logIn()
            _ = try await other.logIn()
            let foreign = try await other.token()
            for token in ["", "0", foreign] {
                for path in ["/mail/INBOX/1/delete", "/mail/INBOX/1/unread", "/compose", "/logout"] {
                    #expect(try await bob.send(.post, path, ["token": token, "to": "tom@gmail.test"]).status == .forbidden)
                }
            }
            #expect(mail.state.withLock { $0.sent.isEmpty && $0.deleted.isEmpty && $0.unread.isEmpty })
            let token = try await bob.token()
            #expect(try await bob.send(.post, "/mail/INBOX/1/delete", ["token": token]).headers[.location] == "/mail/INBOX?done=deleted")
            // An older browser names its origin instead.
            let origin = ["Sec-Fetch-Site": "", "Origin": "https://localhost"]
            #expect(try await bob.send(.post, "/mail/INBOX/1/unread", ["token": token], origin).headers[.location] == "/mail/INBOX?done=unread")
            #expect(mail.state.withLock { $0.deleted == [1] && $0.unread == [1] })
        }
    }

    @Test("An answer goes out as its user, with what ties it to the question, and a copy stays")
    func answering() async throws {
        let mail = FakeMail(Self.hostile)
        try await visit(mail) { visitor, _ in
            var bob = visitor
            _ = try await bob.logIn()
            let token = try await bob.token()
            let fields = [
                "token": token, "to": "Tom <tom@gmail.test>, tom@gmail.test", "cc": "jack@kartapuce.test", "subject": "Re: x", "text": "Oui ✓",
                "answer": "INBOX", "uid": "1", "from": "ceo@kartapuce.test",
            ]
            #expect(try await bob.send(.post, "/compose", fields).headers[.location] == "/mail/INBOX?done=sent")
        }
        let (envelope, octets) = try #require(mail.state.withLock { $0.sent.first })
        #expect(envelope.reversePath?.description == "bob@kartapuce.test")
        #expect(envelope.recipients.map(\.address.description) == ["tom@gmail.test", "jack@kartapuce.test"])
        let message = Message(parsing: octets)
        #expect(message.from.mailboxes.map(\.localPart) == ["bob"] && message.inReplyTo == ["<1@gmail.test>"] && message.root.text() == "Oui ✓\r\n")
        #expect(mail.state.withLock { $0.kept } == 1)
    }

    @Test(
        "What can't be sent comes back with its text and a reason",
        arguments: [
            ("", "who shall get"), ("tom", "no complete address"), ("tom@gmail.test, <", "can't be read"), ("tömäs@gmail.test", "ASCII"),
            ((0..<101).map { "u\($0)@gmail.test" }.joined(separator: ","), "At most 100"),
        ])
    func badRecipients(_ to: String, _ reason: String) async throws {
        let mail = FakeMail()
        try await visit(mail) { visitor, _ in
            var bob = visitor
            _ = try await bob.logIn()
            let answer = try await bob.send(.post, "/compose", ["token": try await bob.token(), "to": to, "text": "precious <text>"])
            #expect(answer.status == .unprocessableContent && answer.text.contains("precious &lt;text&gt;"))
            #expect(answer.text.contains(HTML.escaped(reason)), "\(to)")
        }
        #expect(mail.state.withLock { $0.sent.isEmpty })
    }

    @Test("The submission host's refusal is told as text")
    func refused() async throws {
        let mail = FakeMail()
        mail.state.withLock { $0.sendFailure = .refused("550 5.7.1 <script>no") }
        try await visit(mail) { visitor, _ in
            var bob = visitor
            _ = try await bob.logIn()
            let answer = try await bob.send(.post, "/compose", ["token": try await bob.token(), "to": "tom@gmail.test", "text": "precious"])
            #expect(answer.text.contains("550 5.7.1 &lt;script&gt;no") && answer.text.contains("precious"))
        }
    }

    @Test("Bodies have limits")
    func largeBodies() async throws {
        try await visit(FakeMail()) { visitor, _ in
            var bob = visitor
            #expect(try await bob.send(.post, "/login", ["user": "bob", "password": String(repeating: "x", count: 17_000)]).status == .contentTooLarge)
            _ = try await bob.logIn()
            #expect(try await bob.send(.post, "/logout", ["token": String(repeating: "x", count: 70_000)]).status == .contentTooLarge)
            #expect(try await bob.send(.post, "/compose", ["text": "x"], ["Content-Type": "application/json"]).status == .badRequest)
        }
    }
}
