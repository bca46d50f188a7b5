import FoundationEssentials
import MailMessage
import NIOCore
import Testing

@testable import Portal

@Suite("Escaping")
struct EscapingTests {
    @Test(
        "Text stays text",
        arguments: [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"), ("\"'&", "&quot;&#39;&amp;"), ("&amp;", "&amp;amp;"),
            ("a\u{0}b\u{1b}[2J", "a\u{fffd}b\u{fffd}[2J"), ("exe\u{202e}gpj", "exegpj"), ("\u{2066}x\u{2069}\u{200f}", "x"), ("a\tb\nc", "a\tb\nc"),
            ("é✓😀", "é✓😀"),
            ("\u{85}", "\u{fffd}"),
        ])
    func table(_ text: String, _ expected: String) {
        #expect(HTML.text(text).description == expected)
        #expect(("<p title=\"\(text)\">\(text)</p>" as HTML).description == "<p title=\"\(expected)\">\(expected)</p>")
    }

    @Test("Markup goes into markup as it is, once")
    func nesting() {
        let inner: HTML = "<b>\("<")</b>"
        #expect(("<i>\(inner)\(3)\(nil as HTML?)</i>" as HTML).description == "<i><b>&lt;</b>3</i>")
    }
}

@Suite("The text of HTML mail")
struct HTMLTextTests {
    @Test(
        "Markup goes, text and targets stay",
        arguments: [
            ("plain", "plain"), ("a<b>b</b>c", "abc"), ("<p>one</p><p>two</p>", "one\n\ntwo"), ("one<br>two<BR/>three", "one\ntwo\nthree"),
            ("<a href=\"https://evil.test/?a=1&amp;b=2\">https://bank.test</a>", "https://bank.test <https://evil.test/?a=1&b=2>"),
            ("<a href=https://evil.test/x>y</a>", "y <https://evil.test/x>"), ("<A HREF='java\nscript:alert(1)'>x</A>", "x <javascript:alert(1)>"),
            ("<a title=\"href='no'\" href=\"yes\">x</a>", "x <yes>"), ("<a href=one href=two>x</a>", "x <one>"), ("<a href=\"#top\">x</a>", "x"),
            ("<a name=x>y</a>", "y"),
            ("<script>alert('<p>')</script>after", "after"), ("<style>p { }</style>after", "after"), ("<head><title>t</title></head>body", "body"),
            ("<scr<script>ipt>alert(1)</script>x", "ipt>alert(1)x"), ("<script>never ends", ""), ("<!-- a > b -->after", "after"),
            ("<!-->after-->x", "after-->x"),
            ("<!DOCTYPE html><?xml?>x", "x"), ("a < b and c > d", "a < b and c > d"), ("1<2", "1<2"), ("<img src=x onerror=alert(1)>", ""),
            ("<img alt=\"A &lt;b&gt;\" src=x>", "[image: A <b>]"), ("<p title=\"a>b\">x</p>", "x"), ("<p title=\"never closed>x</p>", "x"),
            ("<unclosed", "<unclosed"),
            ("&lt;script&gt;", "<script>"), ("&amp;lt;", "&lt;"), ("&eacute;&euro;&#233;&#xE9;&#x1F600;", "é€éé😀"), ("&nosuch; & &", "&nosuch; & &"),
            ("&#0;&#xD800;&#99999999;", "\u{fffd}\u{fffd}\u{fffd}"), ("a  \n\t b", "a b"), ("<pre>a  \n b</pre>c", "a  \n b\n\nc"),
            ("<ul><li>a<li>b</ul>", "• a\n• b"),
            ("<table><tr><td>a<td>b<tr><td>c</table>", "a b\nc"), ("<svg><a href=x>y</a></svg>z", "z"), ("</p></div></a>x", "x"), ("", ""), ("<", "<"),
            ("&", "&"), ("</", "</"),
        ])
    func table(_ html: String, _ expected: String) { #expect(HTMLText.extract(html).text == expected) }

    @Test("Length is limited, and said", .timeLimit(.minutes(1)))
    func limits() {
        let long = HTMLText.extract(String(repeating: "<p>word</p>", count: 200_000))
        #expect(long.isShortened && long.text.utf8.count <= 600_000)
        for piece in ["<a ", "<a \"", "<p title='>", "&", "&#", "<!--", "<a href=x>", "</script", "<script>", "<pre>", "\u{e9}<", "<![CDATA["] {
            _ = HTMLText.extract(String(repeating: piece, count: 20_000))
        }
    }

    @Test("Any cut of a text can be read")
    func cuts() {
        let html = "<p>a &amp; <a href=\"x&lt;y\">é</a><!-- c --><script>s</script><img alt='q'>&#233;</p>"
        let octets = Array(html.utf8)
        for start in octets.indices {
            for end in start..<octets.count { _ = HTMLText.extract(String(decoding: octets[start..<end], as: UTF8.self)) }
        }
    }
}

@Suite("Messages for readers")
struct ReadableMessageTests {
    private func read(_ text: String) -> ReadableMessage { ReadableMessage(Message(parsing: ByteBuffer(string: text.replacing("\n", with: "\r\n")))) }

    @Test("Of alternatives the plain one is shown, unless it is empty")
    func alternatives() {
        func message(_ plain: String) -> String {
            "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n\(plain)\n--b\nContent-Type: text/html\n\n<p>rich</p>\n--b--\n"
        }
        #expect(read(message("plain")).text == "plain" && !read(message("plain")).isFromHTML)
        #expect(read(message("  ")).text == "rich" && read(message("  ")).isFromHTML)
    }

    @Test("Files are everything else, a text that is an attachment too, and a message inside as one")
    func files() {
        let message = read(
            """
            Content-Type: multipart/mixed; boundary=b

            --b

            hello
            --b
            Content-Type: text/html
            Content-Disposition: attachment; filename="../../etc/<x>.html"

            <script>
            --b
            Content-Type: message/rfc822

            Subject: inner
            Content-Type: multipart/mixed; boundary=c

            --c

            inside
            --c--
            --b
            Content-Type: application/octet-stream; name="a\\"b.bin"
            Content-Transfer-Encoding: base64

            AAAA
            --b--

            """)
        #expect(message.text == "hello")
        #expect(message.files.map(\.name) == ["_.._etc__x_.html", "message-3.eml", "a_b.bin"])
    }

    @Test(
        "Names of files are harmless",
        arguments: [
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"), ("/etc/passwd", "_etc_passwd"), ("..\\..\\x", "_.._x"), ("a\r\nb", "ab"),
            ("\"><script>", "___script_"), ("...", "part-7.bin"),
            ("", "part-7.bin"), ("CON:", "CON_"), (".bashrc", "bashrc"),
        ])
    func fileNames(_ name: String, _ expected: String) {
        #expect(FileName.clean(name, number: 7, type: ContentType(type: "application", subtype: "pdf")) == expected)
    }

    @Test("A long name keeps its end")
    func longName() {
        let name = FileName.clean(String(repeating: "a", count: 500) + ".exe", number: 1, type: ContentType(type: "a", subtype: "b"))
        #expect(name.hasSuffix(".exe") && name.count == 141)
    }

    @Test("A download's name can't leave its quotes (RFC 6266 §4.1)")
    func disposition() {
        #expect(FileName.disposition("a\"b;é\\.txt") == "attachment; filename=\"a_b;__.txt\"; filename*=UTF-8''a%22b%3B%C3%A9%5C.txt")
    }

    @Test("Only our own domains are inside")
    func external() throws {
        let own = [try DomainNames.kartapuce]
        for (from, isExternal) in [
            ("bob@kartapuce.test", false), ("bob@KARTAPUCE.test", false), ("bob@kartapuce.test.evil.test", true), ("bob@x.kartapuce.test", true),
        ] {
            let who = try #require(read("From: \"bob@kartapuce.test\" <\(from)>\n\nx\n").from)
            #expect(who.isExternal(own) == isExternal && who.name == "bob@kartapuce.test" && who.address == from)
        }
    }
}

@Suite("Forms")
struct FormTests {
    @Test(
        "Simple forms",
        arguments: [
            ("a=1&b=2", ["a": "1", "b": "2"]), ("a=%C3%A9+x", ["a": "é x"]), ("a", ["a": ""]), ("a=1&a=2", ["a": "1"]), ("a=b=c", ["a": "b=c"]), ("", [:]),
            ("a=%zz", nil), ("a=%ff", nil), ("a=%", nil),
        ] as [(String, [String: String]?)])
    func urlEncoded(_ text: String, _ expected: [String: String]?) { #expect(FormBody.urlEncoded(text) == expected) }

    @Test("Forms with files")
    func multipart() throws {
        let disposition = "Content-Disposition: form-data; name="
        let body =
            "--X\r\n\(disposition)\"to\"\r\n\r\nbob\r\n--X\r\n\(disposition)\"files\"; filename=\"a%22b.txt\"\r\nContent-Type: text/plain\r\n\r\nline\r\n--Y\r\n"
            + "\r\n--X\r\n\(disposition)\"files\"; filename=\"\"\r\n\r\n\r\n--X--\r\n"
        let form = try #require(FormBody(ByteBuffer(string: body), contentType: "multipart/form-data; boundary=X"))
        #expect(form["to"] == "bob")
        #expect(form.files.map(\.name) == ["a\"b.txt"])
        #expect(form.files.first.map { String(buffer: $0.content) } == "line\r\n--Y\r\n")
        // Every cut of it is refused or read, and never more.
        let octets = Array(body.utf8)
        for end in octets.indices { _ = FormBody(ByteBuffer(bytes: octets[..<end]), contentType: "multipart/form-data; boundary=X") }
    }

    @Test(
        "What is no form",
        arguments: [
            ("x", "application/json"), ("x", ""), ("x", "multipart/form-data"), ("x", "multipart/form-data; boundary=X"),
            ("--X", "multipart/form-data; boundary=X"), ("--X\r\n", "multipart/form-data; boundary=X"),
        ])
    func refused(_ body: String, _ type: String) { #expect(FormBody(ByteBuffer(string: body), contentType: type) == nil) }
}

@Suite("Messages that people write")
struct OutgoingMessageTests {
    private func message(text: String, subject: String = "Réponse", files: [OutgoingMessage.File] = []) throws -> OutgoingMessage {
        OutgoingMessage(
            from: try #require(EmailAddress("bob@kartapuce.test")), to: AddressList(parsing: "\"Tom\" <tom@gmail.test>").mailboxes, cc: [], subject: subject,
            text: text,
            inReplyTo: ["<1@gmail.test>"], references: ["<0@gmail.test>", "<1@gmail.test>"], files: files)
    }

    @Test(
        "The text arrives as it was written",
        arguments: [
            "", "hello", "a\nb", ".\nFrom me", "trailing blank \nx\t", "é=€", String(repeating: "long ", count: 100), String(repeating: "é", count: 300),
            "a\r\nb\rc",
        ])
    func text(_ text: String) throws {
        let written = try message(text: text).octets(date: .init(timeIntervalSince1970: 0), identity: "abc")
        let read = Message(parsing: written)
        let expected = text.replacing("\r\n", with: "\n").replacing("\r", with: "\n").replacing("\n", with: "\r\n") + "\r\n"
        #expect(read.root.text() == expected)
        #expect(read.deviations.isEmpty)
        #expect(String(buffer: written).split(separator: "\r\n", omittingEmptySubsequences: false).allSatisfy { $0.utf8.count <= 78 })
        #expect(!String(buffer: written).contains("\n."))
        #expect(read.subject == "Réponse" && read.inReplyTo == ["<1@gmail.test>"] && read.references.count == 2)
    }

    @Test("A subject can't begin a field of its own")
    func injection() throws {
        let written = try message(text: "x", subject: "a\r\nBcc: all@gmail.test").octets(date: .init(timeIntervalSince1970: 0), identity: "abc")
        #expect(Message(parsing: written).header.first(named: "Bcc") == nil)
    }

    @Test("Files arrive octet by octet, with their names; types that are composed do not")
    func files() throws {
        let content = ByteBuffer(bytes: (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7) })
        let files = [
            OutgoingMessage.File(name: "naïve \"x\".bin", mediaType: "image/png", content: content),
            OutgoingMessage.File(name: "m.eml", mediaType: "message/rfc822", content: content),
        ]
        let read = Message(parsing: try message(text: "see", files: files).octets(date: .init(timeIntervalSince1970: 0), identity: "abc"))
        let parts = read.root.children
        #expect(read.deviations.isEmpty && parts.count == 3)
        #expect(parts.dropFirst().map(\.filename) == ["naïve \"x\".bin", "m.eml"])
        #expect(parts.dropFirst().map(\.contentType.mediaType) == ["image/png", "application/octet-stream"])
        #expect(parts.dropFirst().allSatisfy { $0.decodedBody().octets == content })
    }
}
