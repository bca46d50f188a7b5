import DNS
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Logging
import MailMessage
import MailTransport
import NIOCore

/// Answers requests: who may, what they want, and the page for it.
struct WebmailResponder: HTTPResponder {
    typealias Context = WebmailContext

    /// What a browser may send and wait for.
    struct Limits: Sendable {
        var loginOctets = 16 * 1024
        var formOctets = 64 * 1024
        var messageOctets = 25 * 1024 * 1024
        var bodyTimeout = Duration.seconds(120)
        var recipients = 100
    }

    static let cookieName = "__Host-postern"

    let mail: any MailBackend
    let sessions: SessionStore
    let limiter: LoginLimiter
    let domains: [DomainName]
    let title: String
    var limits = Limits()
    /// Messages that are written are held in memory with their attachments.
    let uploads = WorkGate(total: 16, perUser: 2)
    let now: @Sendable () -> Date
    let clock: @Sendable () -> ContinuousClock.Instant
    let logger: Logger

    private var pages: Pages { Pages(domains: domains, title: title, now: now()) }

    func respond(to request: Request, context: WebmailContext) async throws -> Response {
        var response: Response
        do {
            response = try await answer(request, context)
        } catch let refusal as Refusal {
            response = page(pages.failure(refusal.heading, refusal.text, viewer: nil), status: refusal.status)
        } catch let failure as MailFailure {
            response = self.response(to: failure)
        } catch {
            logger.error("request failed", metadata: ["error": "\(error)"])
            response = page(
                pages.failure("Something went wrong", "The webmail could not answer this request. Please try again.", viewer: nil), status: .internalServerError
            )
        }
        SecurityHeaders.apply(to: &response)
        return request.method == .head ? response.createHeadResponse() : response
    }

    /// A request that is not answered, with what its sender can do about it.
    struct Refusal: Error, Hashable {
        var status: HTTPResponse.Status
        var heading: String
        var text: String

        static let notFound = Refusal(status: .notFound, heading: "Not found", text: "There is no page at this address.")
        static let method = Refusal(status: .methodNotAllowed, heading: "Not possible", text: "This address can't be used that way.")
        static let strangeForm = Refusal(status: .badRequest, heading: "Not understood", text: "The form that your browser sent can't be read.")
        static let tooLarge = Refusal(status: .contentTooLarge, heading: "Too large", text: "What your browser sent is larger than what is taken here.")
        static let slow = Refusal(status: .requestTimeout, heading: "Too slow", text: "The request took too long to arrive. Please try again.")
        static let foreignForm = Refusal(
            status: .forbidden, heading: "Refused", text: "This form doesn't come from a current page of the webmail. Go back to the inbox and try again.")
    }

    // MARK: Dispatch

    private func answer(_ request: Request, _ context: WebmailContext) async throws -> Response {
        let target = request.head.path ?? "/"
        guard target.utf8.count <= 4096 else { throw Refusal.notFound }
        let halves = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let path = halves.first, path.hasPrefix("/") else { throw Refusal.notFound }
        let segments = try path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map { segment in
            guard let text = Percent.decode(segment) else { throw Refusal.notFound }
            return text
        }
        guard let query = FormBody.urlEncoded(halves.count > 1 ? String(halves[1]) : "") else { throw Refusal.notFound }
        switch request.method {
        case .get, .head: return try await get(segments, query, request)
        case .post:
            guard comesFromUs(request) else { throw Refusal.foreignForm }
            return try await post(segments, request, context)
        default: throw Refusal.method
        }
    }

    private func get(_ segments: [String], _ query: [String: String], _ request: Request) async throws -> Response {
        switch segments.first {
        case "style.css" where segments.count == 1:
            return Response(status: .ok, headers: [.contentType: "text/css; charset=utf-8"], body: .init(byteBuffer: ByteBuffer(string: StyleSheet.text)))
        case "robots.txt" where segments.count == 1:
            return Response(
                status: .ok, headers: [.contentType: "text/plain; charset=utf-8"], body: .init(byteBuffer: ByteBuffer(string: "User-agent: *\nDisallow: /\n")))
        case "login" where segments.count == 1:
            return session(of: request) == nil ? page(pages.login(notice: nil, username: "")) : redirect("/mail/INBOX")
        case "" where segments.count == 1: return redirect(session(of: request) == nil ? "/login" : "/mail/INBOX")
        case "mail", "compose":
            guard let session = session(of: request) else { return redirect("/login") }
            return try await keepingSession(request) {
                segments.first == "compose" && segments.count == 1
                    ? try await composePage(query, session) : try await mailPage(Array(segments.dropFirst()), query, session)
            }
        default: throw Refusal.notFound
        }
    }

    private func mailPage(_ segments: [String], _ query: [String: String], _ session: SessionStore.Session) async throws -> Response {
        guard let mailbox = segments.first, !mailbox.isEmpty else { throw Refusal.notFound }
        let login = MailLogin(username: session.username, password: session.password)
        if segments.count == 1 {
            let search = ReadableMessage.oneLine(query["q"] ?? "", limit: 200)
            let number = min(max(1, query["page"].flatMap { Int($0) } ?? 1), 1_000_000)
            let shown = try await mail.page(number, of: mailbox, search: search, login)
            return page(pages.mailbox(shown, search: search, notice: Self.notices[query["done"] ?? ""], viewer: viewer(session)))
        }
        guard let uid = UInt32(segments[1]), uid > 0 else { throw Refusal.notFound }
        switch (segments.count, segments.count > 2 ? segments[2] : "") {
        case (2, _):
            let (octets, mailboxes) = try await mail.message(uid, in: mailbox, marksSeen: true, login)
            let readable = ReadableMessage(Message(parsing: octets))
            var response = page(pages.message(readable, uid: uid, mailbox: mailbox, mailboxes: mailboxes, viewer: viewer(session)))
            if pages.showsMark(readable, in: mailbox, of: mailboxes) { response.headers[.contentSecurityPolicy] = SecurityHeaders.markedPagePolicy }
            return response
        case (3, "mark"):
            let (octets, _) = try await mail.message(uid, in: mailbox, marksSeen: false, login)
            guard let svg = BrandMark.svg(of: Message(parsing: octets)) else { throw Refusal.notFound }
            return Response(
                status: .ok, headers: [.contentType: "image/svg+xml", .contentSecurityPolicy: SecurityHeaders.downloadPolicy], body: .init(byteBuffer: svg))
        case (3, "source"):
            let (octets, _) = try await mail.message(uid, in: mailbox, marksSeen: false, login)
            return download(octets, name: "message-\(uid).eml")
        case (4, "part"):
            guard let index = Int(segments[3]) else { throw Refusal.notFound }
            let (octets, _) = try await mail.message(uid, in: mailbox, marksSeen: false, login)
            let message = Message(parsing: octets)
            guard let file = ReadableMessage(message).files.first(where: { $0.index == index }), message.allParts.indices.contains(index) else {
                throw Refusal.notFound
            }
            return download(message.allParts[index].decodedBody().octets, name: file.name)
        default: throw Refusal.notFound
        }
    }

    /// What was done, by the word in the address: no text of anybody's is ever shown from there.
    private static let notices = [
        "sent": "The message was sent.", "uncopied": "The message was sent, but no copy could be kept.", "deleted": "The message was deleted.",
        "unread": "The message counts as unread.",
    ]

    private func post(_ segments: [String], _ request: Request, _ context: WebmailContext) async throws -> Response {
        if segments == ["login"] { return try await logIn(request, context) }
        guard let session = session(of: request) else { return redirect("/login") }
        let isMessage = segments == ["compose"]
        if isMessage, !uploads.enter(session.username) { throw MailFailure.busy }
        defer { if isMessage { uploads.leave(session.username) } }
        return try await keepingSession(request) {
            let form = try await form(request, upTo: isMessage ? limits.messageOctets + limits.messageOctets / 10 : limits.formOctets)
            guard SessionStore.areEqual(form["token"], session.formToken) else { throw Refusal.foreignForm }
            let login = MailLogin(username: session.username, password: session.password)
            switch segments.first {
            case "logout" where segments.count == 1:
                if let cookie = cookie(of: request) { sessions.end(cookie) }
                var response = redirect("/login")
                setCookie("", age: 0, on: &response)
                return response
            case "compose" where segments.count == 1: return try await send(form, session)
            case "mail" where segments.count == 4:
                guard let uid = UInt32(segments[2]), uid > 0 else { throw Refusal.notFound }
                switch segments[3] {
                case "delete":
                    try await mail.delete(uid, in: segments[1], login)
                    return redirect("\(Pages.path(segments[1]))?done=deleted")
                case "unread":
                    try await mail.markUnread(uid, in: segments[1], login)
                    return redirect("\(Pages.path(segments[1]))?done=unread")
                default: throw Refusal.notFound
                }
            default: throw Refusal.notFound
            }
        }
    }

    // MARK: Sessions

    /// A password that the store no longer takes ends the session.
    private func keepingSession(_ request: Request, _ body: () async throws -> Response) async throws -> Response {
        do {
            return try await body()
        } catch MailFailure.loginRefused {
            if let cookie = cookie(of: request) { sessions.end(cookie) }
            var response = page(pages.login(notice: "The store no longer takes your password. Please log in again.", username: ""), status: .forbidden)
            setCookie("", age: 0, on: &response)
            return response
        }
    }

    private func logIn(_ request: Request, _ context: WebmailContext) async throws -> Response {
        let form = try await form(request, upTo: limits.loginOctets)
        let username = normalized(form["user"])
        let password = form["password"]
        guard !username.isEmpty, username.utf8.count <= 254, !password.isEmpty, password.utf8.count <= 512,
            (username + password).unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f })
        else {
            return page(pages.login(notice: Self.wrongLogin, username: ""), status: .forbidden)
        }
        let began = clock()
        let delay: Duration
        switch limiter.begin(context.remoteAddress, user: username) {
        case .go(let least): delay = least
        case .tooMany:
            logger.notice("logins refused", metadata: ["net.peer": "\(context.remoteAddress)"])
            return page(pages.login(notice: "Too many attempts failed. Please wait a quarter of an hour.", username: ""), status: .tooManyRequests)
        case .busy: throw MailFailure.busy
        }
        do {
            try await mail.verify(MailLogin(username: username, password: password))
        } catch {
            limiter.ended(context.remoteAddress, user: username, succeeded: false, counts: error == .loginRefused)
            guard error == .loginRefused else { throw error }
            logger.notice("login failed", metadata: ["net.peer": "\(context.remoteAddress)"])
            let wait = delay - (clock() - began)
            if wait > .zero { try? await Task.sleep(for: wait) }
            return page(pages.login(notice: Self.wrongLogin, username: ""), status: .forbidden)
        }
        limiter.ended(context.remoteAddress, user: username, succeeded: true)
        // A session of before ends: its identifier may be known to somebody.
        if let old = cookie(of: request) { sessions.end(old) }
        guard let identifier = try sessions.begin(username: username, password: password) else { throw MailFailure.busy }
        logger.info("logged in", metadata: ["net.peer": "\(context.remoteAddress)", "user": "\(username)"])
        var response = redirect("/mail/INBOX")
        setCookie(identifier, age: nil, on: &response)
        return response
    }

    private static let wrongLogin = "The address or the password is wrong."

    /// `Bob@Kartapuce.test` is one user with `bob@kartapuce.test`; without a domain the first of ours is meant.
    private func normalized(_ text: String) -> String {
        let trimmed = text.filter { !$0.isWhitespace }.lowercased()
        guard !trimmed.isEmpty, !trimmed.contains("@"), let domain = domains.first else { return trimmed }
        return "\(trimmed)@\(domain.ascii)"
    }

    private func cookie(of request: Request) -> String? {
        for value in request.headers[values: .cookie] {
            for pair in value.split(separator: ";") {
                let pair = pair.drop(while: \.isWhitespace)
                if pair.hasPrefix("\(Self.cookieName)=") { return String(pair.dropFirst(Self.cookieName.count + 1)) }
            }
        }
        return nil
    }

    private func session(of request: Request) -> SessionStore.Session? { cookie(of: request).flatMap { sessions.session($0) } }

    private func setCookie(_ value: String, age: Int?, on response: inout Response) {
        let lifetime = age.map { "; Max-Age=\($0)" } ?? ""
        response.headers[.setCookie] = "\(Self.cookieName)=\(value); Path=/; Secure; HttpOnly; SameSite=Strict\(lifetime)"
    }

    private func viewer(_ session: SessionStore.Session) -> Pages.Viewer { Pages.Viewer(username: session.username, formToken: session.formToken) }

    /// Whether a form was sent by a page of ours. Browsers say so by `Sec-Fetch-Site`, older ones by `Origin`; since our pages send no referrer, the
    /// first kind has `Origin: null` beside it.
    private func comesFromUs(_ request: Request) -> Bool {
        let origin = request.headers[.origin]
        let isOurs = origin.map { SessionStore.areEqual($0.lowercased(), "https://\(request.head.authority?.lowercased() ?? "")") } ?? false
        if let site = HTTPField.Name("Sec-Fetch-Site").flatMap({ request.headers[$0] }) {
            return site == "same-origin" && (origin == nil || origin == "null" || isOurs)
        }
        return isOurs
    }

    // MARK: Writing

    private func composePage(_ query: [String: String], _ session: SessionStore.Session) async throws -> Response {
        guard let mailbox = query["answer"], let uid = query["uid"].flatMap({ UInt32($0) }), uid > 0 else {
            return page(pages.compose(Pages.Draft(), notice: nil, viewer: viewer(session)))
        }
        let login = MailLogin(username: session.username, password: session.password)
        let (octets, _) = try await mail.message(uid, in: mailbox, marksSeen: false, login)
        let readable = ReadableMessage(Message(parsing: octets))
        var draft = Pages.Draft(answeredMailbox: mailbox, answeredUID: uid)
        let authors = readable.replyTo.isEmpty ? [readable.from].compactMap { $0 } : readable.replyTo
        draft.to = authors.map(\.address).joined(separator: ", ")
        if query["all"] == "1" {
            let known = Set(authors.map { $0.address.lowercased() } + [session.username])
            draft.cc = (readable.to + readable.cc).map(\.address).filter { !known.contains($0.lowercased()) }.prefix(limits.recipients).joined(separator: ", ")
        }
        draft.subject = readable.subject.lowercased().hasPrefix("re:") ? readable.subject : "Re: \(readable.subject)"
        let date = readable.date.map { "On \(pages.longDate($0)), " } ?? ""
        let quoted = readable.text.prefix(100_000).split(separator: "\n", omittingEmptySubsequences: false).map { $0.hasPrefix(">") ? ">\($0)" : "> \($0)" }
        draft.text = "\n\n\(date)\(readable.from?.address ?? "somebody") wrote:\n\(quoted.joined(separator: "\n"))\n"
        return page(pages.compose(draft, notice: nil, viewer: viewer(session)))
    }

    private func send(_ form: FormBody, _ session: SessionStore.Session) async throws -> Response {
        let login = MailLogin(username: session.username, password: session.password)
        let uid = UInt32(form["uid"])
        let draft = Pages.Draft(
            to: form["to"], cc: form["cc"], subject: form["subject"], text: form["text"], answeredMailbox: uid == nil ? "" : form["answer"], answeredUID: uid)
        func again(_ notice: String) -> Response { page(pages.compose(draft, notice: notice, viewer: viewer(session)), status: .unprocessableContent) }
        guard let sender = EmailAddress(session.username) else { return again("Your login is no address that mail can be sent from.") }
        let (to, cc) = (AddressList(parsing: draft.to), AddressList(parsing: draft.cc))
        let mailboxes = to.mailboxes + cc.mailboxes
        guard !to.mailboxes.isEmpty else { return again("Please say who shall get the message.") }
        guard mailboxes.count <= limits.recipients else { return again("At most \(limits.recipients) people can get a message from here.") }
        var recipients: [EmailAddress] = []
        for mailbox in mailboxes {
            guard let address = mailbox.address, !mailbox.domain.isEmpty else {
                return again("“\(ReadableMessage.oneLine(mailbox.localPart, limit: 100))” is no complete address.")
            }
            if !recipients.contains(address) { recipients.append(address) }
        }
        guard to.isWellFormed, cc.isWellFormed || draft.cc.allSatisfy(\.isWhitespace) else {
            return again("The addresses can't be read. Separate them by commas.")
        }
        guard recipients.allSatisfy(\.isASCII) else { return again("Addresses with other than ASCII letters can't be used from here.") }
        var outgoing = OutgoingMessage(
            from: sender, to: to.mailboxes, cc: cc.mailboxes, subject: ReadableMessage.oneLine(draft.subject, limit: 500), text: draft.text, inReplyTo: [],
            references: [],
            files: form.files.map {
                .init(name: FileName.clean($0.name, number: 1, type: .plainFile), mediaType: $0.mediaType, content: $0.content)
            })
        if let uid {
            // Read again instead of taken from the form: what the form says is the browser's.
            let answered = try? await mail.message(uid, in: draft.answeredMailbox, marksSeen: false, login)
            if let readable = answered.map({ ReadableMessage(Message(parsing: $0.0)) }), let identity = readable.messageID {
                outgoing.inReplyTo = [identity]
                outgoing.references = readable.references + [identity]
            }
        }
        let message = outgoing.octets(date: now(), identity: Self.identity())
        guard message.readableBytes <= limits.messageOctets else { return again("The message is larger than what may be sent from here.") }
        let envelope = Envelope(reversePath: sender, recipients: recipients.map { EnvelopeRecipient(address: $0) })
        do {
            try await mail.send(envelope, message, login)
        } catch {
            switch error {
            case .refused(let reply): return again("The message was refused: \(ReadableMessage.oneLine(reply, limit: 500))")
            case .unavailable:
                return again("The message could not be sent now. Nothing is lost: please try again in some minutes. Attachments have to be chosen again.")
            case .loginRefused, .notFound, .tooLarge, .busy: throw error
            }
        }
        do {
            try await mail.keep(message, answering: uid.map { ($0, draft.answeredMailbox) }, login)
        } catch {
            logger.notice("no copy of a sent message", metadata: ["mail.failure": "\(error)"])
            return redirect("/mail/INBOX?done=uncopied")
        }
        return redirect("/mail/INBOX?done=sent")
    }

    private static func identity() -> String {
        var generator = SystemRandomNumberGenerator()
        return SessionStore.text((0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    // MARK: Bodies

    private func form(_ request: Request, upTo limit: Int) async throws -> FormBody {
        if let announced = request.headers[.contentLength].flatMap({ Int($0) }), announced > limit { throw Refusal.tooLarge }
        let body = try await withThrowingTaskGroup(of: ByteBuffer.self) { group in
            group.addTask {
                do { return try await request.body.collect(upTo: limit) } catch is NIOTooManyBytesError { throw Refusal.tooLarge }
            }
            group.addTask {
                try await Task.sleep(for: limits.bodyTimeout)
                throw Refusal.slow
            }
            defer { group.cancelAll() }
            guard let first = try await group.next() else { throw Refusal.slow }
            return first
        }
        guard let form = FormBody(body, contentType: request.headers[.contentType] ?? "") else { throw Refusal.strangeForm }
        return form
    }

    private func page(_ html: HTML, status: HTTPResponse.Status = .ok) -> Response {
        Response(status: status, headers: [.contentType: "text/html; charset=utf-8"], body: .init(byteBuffer: ByteBuffer(string: html.description)))
    }

    private func redirect(_ path: String) -> Response { Response(status: .seeOther, headers: [.location: path]) }

    private func download(_ octets: ByteBuffer, name: String) -> Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "application/octet-stream", .contentDisposition: FileName.disposition(name),
                .contentSecurityPolicy: SecurityHeaders.downloadPolicy,
            ], body: .init(byteBuffer: octets))
    }

    private func response(to failure: MailFailure) -> Response {
        switch failure {
        case .loginRefused: page(pages.login(notice: Self.wrongLogin, username: ""), status: .forbidden)
        case .unavailable:
            page(
                pages.failure("Not now", "The mail store can't be reached at the moment. Please try again in some minutes.", viewer: nil),
                status: .serviceUnavailable)
        case .notFound: page(pages.failure("Not found", "There is no such mailbox or message, or not any more.", viewer: nil), status: .notFound)
        case .tooLarge:
            page(pages.failure("Too large", "This message is too large for the webmail. A mail program can read it.", viewer: nil), status: .contentTooLarge)
        case .refused(let reply): page(pages.failure("Refused", reply, viewer: nil), status: .unprocessableContent)
        case .busy:
            page(pages.failure("Busy", "Too much is going on at the moment. Please try again in a minute.", viewer: nil), status: .serviceUnavailable)
        }
    }
}

extension ContentType {
    /// For files whose type nobody names.
    fileprivate static let plainFile = ContentType(type: "application", subtype: "octet-stream")
}

/// A request's surroundings: who sent it.
struct WebmailContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let remoteAddress: IPAddress

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        remoteAddress = source.channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) } ?? .v4(0)
    }
}
