import DNS
import FoundationEssentials

/// The pages, made of values that were checked before.
struct Pages: Sendable {
    /// The organisation's domains; every other sender is marked.
    var domains: [DomainName]
    /// The name at the top.
    var title: String
    /// The time now.
    var now: Date

    // MARK: Frame

    private func document(_ heading: String, _ content: HTML) -> HTML {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="robots" content="noindex">
        <title>\(heading) · \(title)</title>
        <link rel="stylesheet" href="/style.css">
        </head>
        <body>
        \(content)
        </body>
        </html>

        """
    }

    /// The top of every page of somebody who is logged in.
    private func top(_ viewer: Viewer) -> HTML {
        """
        <header class="top"><a class="brand" href="/mail/INBOX">\(title)</a>
        <a class="button main" href="/compose">Write</a>
        <span class="who">\(viewer.username)</span>
        <form method="post" action="/logout">\(token(viewer))<button>Log out</button></form></header>
        """
    }

    private func token(_ viewer: Viewer) -> HTML { "<input type=\"hidden\" name=\"token\" value=\"\(viewer.formToken)\">" }

    private func navigation(_ mailboxes: [MailboxSummary], current: String) -> HTML {
        let items = mailboxes.map { mailbox -> HTML in
            let label = mailbox.name == "INBOX" ? "Inbox" : mailbox.name
            let mark: HTML = mailbox.name == current ? " aria-current=\"page\"" : ""
            let count: HTML? = mailbox.unseen > 0 ? "<span class=\"count\">\(mailbox.unseen)</span>" : nil
            return "<li><a href=\"\(Self.path(mailbox.name))\"\(mark)><span>\(label)</span>\(count)</a></li>\n"
        }
        return "<nav aria-label=\"Mailboxes\"><ul>\n\(HTML.joined(items))</ul></nav>"
    }

    /// Who looks at a page.
    struct Viewer: Sendable {
        var username: String
        var formToken: String
    }

    /// The way to a mailbox.
    static func path(_ mailbox: String) -> String { "/mail/\(Percent.encode(mailbox))" }
    /// The way to a message.
    static func path(_ mailbox: String, _ uid: UInt32) -> String { "\(path(mailbox))/\(uid)" }

    // MARK: Pages

    func login(notice: String?, username: String) -> HTML {
        document(
            "Log in",
            """
            <main class="narrow"><div class="card"><h1>\(title)</h1>
            \(notice.map { "<p class=\"notice bad\" role=\"alert\">\($0)</p>" as HTML })
            <form method="post" action="/login" autocomplete="on">
            <label for="user">E-mail address</label><input type="text" inputmode="email" id="user" name="user" value="\(username)" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="254">
            <label for="password">Password</label><input type="password" id="password" name="password" autocomplete="current-password" required maxlength="512">
            <p><button class="main">Log in</button></p>
            </form>
            <p class="hint">On a computer of your own, a mail program is the safer way. You are logged out after 30 minutes without a click.</p>
            </div></main>
            """)
    }

    func mailbox(_ page: MailboxPage, search: String, notice: String?, viewer: Viewer) -> HTML {
        let showsRecipient = page.mailboxes.first { $0.name == page.name }.map { $0.use == "\\sent" || $0.use == "\\drafts" } ?? false
        let rows = page.messages.map { row($0, in: page.name, showsRecipient: showsRecipient) }
        let empty: HTML = search.isEmpty ? "<p class=\"empty\">There is no message here.</p>" : "<p class=\"empty\">No message has “\(search)” in it.</p>"
        let list: HTML = rows.isEmpty ? empty : "<ol class=\"messages\">\n\(HTML.joined(rows))</ol>"
        let title = page.name == "INBOX" ? "Inbox" : page.name
        return document(
            title,
            """
            \(top(viewer))
            <div class="frame">
            \(navigation(page.mailboxes, current: page.name))
            <main>
            \(notice.map { "<p class=\"notice\" role=\"status\">\($0)</p>" as HTML })
            <div class="toolbar"><h1>\(title) <span class="hint">\(page.total) \(page.total == 1 ? "message" : "messages")\(search.isEmpty ? "" : " found")</span></h1>
            <form class="search right" method="get" action="\(Self.path(page.name))"><input type="search" name="q" value="\(search)" aria-label="Search in \(title)" placeholder="Search" maxlength="200"><button>Search</button></form></div>
            \(list)
            \(pager(page, search))
            </main></div>
            """)
    }

    private func pager(_ page: MailboxPage, _ search: String) -> HTML? {
        guard page.pages > 1 else { return nil }
        let query = search.isEmpty ? "" : "&q=\(Percent.encode(search))"
        func link(_ number: Int, _ label: String) -> HTML {
            (1...page.pages).contains(number) ? "<a class=\"button\" href=\"\(Self.path(page.name))?page=\(number)\(query)\">\(label)</a>" : "<span></span>"
        }
        return
            "<div class=\"pages\">\(link(page.page - 1, "Newer"))<span class=\"hint\">Page \(page.page) of \(page.pages)</span>\(link(page.page + 1, "Older"))</div>"
    }

    private func row(_ message: MessageSummary, in mailbox: String, showsRecipient: Bool) -> HTML {
        let who = showsRecipient ? message.to : message.from
        let state: HTML = message.isSeen ? "" : " class=\"unread\""
        let answered: HTML? = message.isAnswered ? "<span title=\"answered\">↩ </span>" : nil
        return """
            <li\(state)><a href="\(Self.path(mailbox, message.uid))">
            <span class="from">\(showsRecipient ? "To: " : "")\(shortName(who, showsExternal: !showsRecipient))</span>
            <span class="subject">\(answered)\(message.subject.isEmpty ? "(no subject)" : message.subject)</span>
            <time>\(message.date.map { shortDate($0) } ?? "")</time></a></li>

            """
    }

    private func shortName(_ who: Correspondent?, showsExternal: Bool) -> HTML {
        guard let who else { return "(nobody)" }
        // First on its line: a name can be anything, also so long that it would push the mark out of sight.
        let mark: HTML? = showsExternal && who.isExternal(domains) ? "\(external) " : nil
        guard let name = who.name else { return "\(mark)\(who.address)" }
        return "\(name)<span class=\"address\">\(mark)\(who.address)</span>"
    }

    private var external: HTML { "<span class=\"tag\">external</span>" }

    func message(_ message: ReadableMessage, uid: UInt32, mailbox: String, mailboxes: [MailboxSummary], viewer: Viewer) -> HTML {
        let path = Self.path(mailbox, uid)
        let isInTrash = mailboxes.first { $0.name == mailbox }?.use == "\\trash"
        let subject = message.subject.isEmpty ? "(no subject)" : message.subject
        return document(
            subject,
            """
            \(top(viewer))
            <div class="frame">
            \(navigation(mailboxes, current: mailbox))
            <main>
            <div class="toolbar">
            <a class="button" href="\(Self.path(mailbox))">Back</a>
            <a class="button" href="/compose?answer=\(Percent.encode(mailbox))&amp;uid=\(uid)">Answer</a>
            <a class="button" href="/compose?answer=\(Percent.encode(mailbox))&amp;uid=\(uid)&amp;all=1">Answer all</a>
            <form method="post" action="\(path)/unread">\(token(viewer))<button>Mark unread</button></form>
            <form class="right" method="post" action="\(path)/delete">\(token(viewer))<button>\(isInTrash ? "Delete for good" : "Delete")</button></form>
            </div>
            <article class="card">
            <h1>\(subject)</h1>
            \(warnings(message))
            \(showsMark(message, in: mailbox, of: mailboxes) ? mark(message, path: path) : nil)
            <dl class="fields">
            <dt>From</dt><dd>\(message.from.map { person($0) } ?? "(nobody)")</dd>
            \(field("Also from", message.otherSenders))\(field("Answers go to", message.replyTo))\(field("To", message.to))\(field("Cc", message.cc))
            <dt>Date</dt><dd>\(message.date.map { longDate($0) } ?? "(none)")</dd>
            </dl>
            <div class="body">\(message.text.isEmpty ? "(The message has no text.)" : message.text)</div>
            \(files(message.files, path: path))
            </article>
            <p class="hint"><a href="\(path)/source">Download the whole message</a></p>
            </main></div>
            """)
    }

    /// Whether the mark of the sender's domain stands on the page: not among junk, where it would speak for what is doubted.
    func showsMark(_ message: ReadableMessage, in mailbox: String, of mailboxes: [MailboxSummary]) -> Bool {
        message.hasMark && mailboxes.first { $0.name == mailbox }?.use != "\\junk"
    }

    private func mark(_ message: ReadableMessage, path: String) -> HTML {
        let domain = message.from?.domain ?? ""
        return """
            <p class="mark"><img src="\(path)/mark" width="48" height="48" alt="The mark of \(domain)"><span class="hint">The mark of <strong>\(domain)</strong>: the message really comes from there.</span></p>
            """
    }

    private func warnings(_ message: ReadableMessage) -> HTML {
        var notices: [HTML] = []
        if let from = message.from, from.isExternal(domains) {
            let claims = from.name.map { name in domains.contains { name.lowercased().contains($0.ascii) } } ?? false
            notices.append(
                claims
                    ? "<p class=\"notice bad\">This message comes from outside, from <strong>\(from.address)</strong>, although the sender's name looks like one of ours.</p>"
                    : "<p class=\"notice warn\">This message comes from outside. Check the address before you answer or follow a link.</p>")
        }
        if message.isFromHTML {
            notices.append("<p class=\"hint\">The message is HTML; its text is shown, with the real target behind each link. Images are not loaded.</p>")
        }
        if message.isShortened { notices.append("<p class=\"notice warn\">The text is too long to be shown whole.</p>") }
        if message.isIncomplete { notices.append("<p class=\"notice warn\">The message is built so strangely that parts of it may be missing here.</p>") }
        return HTML.joined(notices)
    }

    private func field(_ label: String, _ people: [Correspondent]) -> HTML? {
        guard !people.isEmpty else { return nil }
        let shown = people.prefix(50).enumerated().map { index, who -> HTML in index == 0 ? person(who) : ", \(person(who))" }
        let more: HTML? = people.count > 50 ? " and \(people.count - 50) others" : nil
        return "<dt>\(label)</dt><dd>\(HTML.joined(shown))\(more)</dd>\n"
    }

    private func person(_ who: Correspondent) -> HTML {
        let mark: HTML? = who.isExternal(domains) ? external : nil
        guard let name = who.name else { return "\(who.address) \(mark)" }
        return "\(name) &lt;\(who.address)&gt; \(mark)"
    }

    private func files(_ files: [ReadableMessage.File], path: String) -> HTML? {
        guard !files.isEmpty else { return nil }
        let items = files.map { file -> HTML in
            "<li><a href=\"\(path)/part/\(file.index)\">\(file.name)</a> <span class=\"hint\">\(file.mediaType), \(size(file.size))</span></li>\n"
        }
        return "<ul class=\"files\" aria-label=\"Attachments\">\n\(HTML.joined(items))</ul>"
    }

    /// What stands in the fields of the form for a message.
    struct Draft: Sendable {
        var to = ""
        var cc = ""
        var subject = ""
        var text = ""
        /// The message that is answered: its mailbox and UID.
        var answeredMailbox = ""
        var answeredUID: UInt32?
    }

    func compose(_ draft: Draft, notice: String?, viewer: Viewer) -> HTML {
        document(
            "Write",
            """
            \(top(viewer))
            <main class="middle">
            <div class="card"><h1>\(draft.answeredUID == nil ? "New message" : "Answer")</h1>
            \(notice.map { "<p class=\"notice bad\" role=\"alert\">\($0)</p>" as HTML })
            <form method="post" action="/compose" enctype="multipart/form-data">\(token(viewer))
            <input type="hidden" name="answer" value="\(draft.answeredMailbox)"><input type="hidden" name="uid" value="\(draft.answeredUID.map(String.init) ?? "")">
            <p class="hint">From \(viewer.username)</p>
            <label for="to">To</label><input type="text" id="to" name="to" value="\(draft.to)" required maxlength="10000" autocapitalize="none" spellcheck="false">
            <label for="cc">Cc</label><input type="text" id="cc" name="cc" value="\(draft.cc)" maxlength="10000" autocapitalize="none" spellcheck="false">
            <label for="subject">Subject</label><input type="text" id="subject" name="subject" value="\(draft.subject)" maxlength="500">
            <label for="text">Message</label><textarea id="text" name="text">
            \(draft.text)</textarea>
            <label for="files">Attachments</label><input type="file" id="files" name="files" multiple>
            <p><button class="main">Send</button> <a class="button" href="/mail/INBOX">Cancel</a></p>
            </form></div></main>
            """)
    }

    /// A page that says why there is no other.
    func failure(_ heading: String, _ text: String, viewer: Viewer?) -> HTML {
        document(
            heading,
            """
            \(viewer.map { top($0) })
            <main class="narrow"><div class="card"><h1>\(heading)</h1><p>\(text)</p><p><a class="button" href="/mail/INBOX">To the inbox</a></p></div></main>
            """)
    }

    // MARK: Numbers

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Deliberate: UTC, and said so where a time is exact. A server doesn't know where the reader is, and without scripts nobody can tell it.
    private func parts(_ date: Date) -> (year: Int, month: Int, day: Int, hour: Int, minute: Int) {
        // Days to a civil date, by Howard Hinnant's algorithm.
        let seconds = Int(max(-62_135_596_800, min(253_402_300_799, date.timeIntervalSince1970)).rounded(.down))
        let days = Int((Double(seconds) / 86_400).rounded(.down))
        let rest = seconds - days * 86_400
        let z = days + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let doe = z - era * 146_097
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100)
        let mp = (5 * doy + 2) / 153
        let month = mp < 10 ? mp + 3 : mp - 9
        return (yoe + era * 400 + (month <= 2 ? 1 : 0), month, doy - (153 * mp + 2) / 5 + 1, rest / 3600, rest % 3600 / 60)
    }

    private func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    private func shortDate(_ date: Date) -> String {
        let (then, today) = (parts(date), parts(now))
        if (then.year, then.month, then.day) == (today.year, today.month, today.day) { return "\(two(then.hour)):\(two(then.minute))" }
        let day = "\(then.day) \(Self.months[then.month - 1])"
        return then.year == today.year ? day : "\(day) \(then.year)"
    }

    func longDate(_ date: Date) -> String {
        let then = parts(date)
        return "\(then.day) \(Self.months[then.month - 1]) \(then.year), \(two(then.hour)):\(two(then.minute)) UTC"
    }

    private func size(_ octets: Int) -> String {
        switch octets {
        case ..<1000: "\(octets) bytes"
        case ..<1_000_000: "\((octets + 500) / 1000) kB"
        default: "\(octets / 1_000_000).\(octets % 1_000_000 / 100_000) MB"
        }
    }
}
