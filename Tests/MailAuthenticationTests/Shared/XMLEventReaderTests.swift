import MailAuthentication
import Testing

struct XMLEventReaderTests {
    private func read(_ text: String, _ limits: XMLEventReader.Limits = .init()) throws -> [String] {
        var found: [String] = []
        try XMLEventReader(limits: limits).read(Array(text.utf8)) { event in
            switch event {
            case .start(let name, let attributes, let place):
                found.append("<\(name)" + attributes.map { " \($0.name)=\($0.value)" }.joined() + " \(place.line):\(place.column)>")
            case .end(let name): found.append("</\(name)>")
            case .text(let text): found.append(text)
            case .processingInstruction(let target, _): found.append("?\(target)")
            }
        }
        return found
    }

    @Test func elementsComeInOrderWithTheirNamespaces() throws {
        #expect(
            try read("<?xml version=\"1.0\"?>\n<a xmlns=\"urn:x\" b=\"1\">t&amp;<c/>é<![CDATA[<]]></a>") == [
                "<{urn:x}a b=1 2:1>", "t&", "<{urn:x}c 2:30>", "</{urn:x}c>", "é<", "</{urn:x}a>",
            ])
    }

    @Test(arguments: [
        "<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"http://203.0.113.1/\">]><a>&b;</a>", "<?x y?><a/>", "<a>", "<a></b>", "", "<a/><b/>", "<a>&undefined;</a>",
        "<a b=1/>",
        "<a>\u{1}</a>",
    ])
    func whatIsHostileOrNoXMLIsRefused(text: String) { #expect(throws: XMLEventReader.Failure.self) { try read(text) } }

    @Test func limitsHold() {
        var limits = XMLEventReader.Limits()
        limits.depth = 5
        limits.elements = 10
        limits.attributes = 3
        limits.textLength = 100
        limits.size = 10_000
        #expect(throws: Never.self) { try read("<a><a><a><a><a/></a></a></a></a>", limits) }
        #expect(throws: XMLEventReader.Failure.self) { try read("<a><a><a><a><a><a/></a></a></a></a></a>", limits) }
        #expect(throws: XMLEventReader.Failure.self) { try read("<a>" + String(repeating: "<b/>", count: 11) + "</a>", limits) }
        #expect(throws: XMLEventReader.Failure.self) { try read("<a b='' c='' d='' e=''/>", limits) }
        #expect(throws: XMLEventReader.Failure.self) { try read("<a>" + String(repeating: "x", count: 101) + "</a>", limits) }
        #expect(throws: XMLEventReader.Failure.self) { try read("<a b='" + String(repeating: "x", count: 101) + "'/>", limits) }
        #expect(throws: XMLEventReader.Failure.self) { try read("<a>" + String(repeating: " ", count: 10_001) + "</a>", limits) }
    }

    @Test func whatTheHandlerThrowsComesOut() {
        struct Enough: Error {}
        #expect(throws: Enough.self) { try XMLEventReader().read(Array("<a/>".utf8)) { _ in throw Enough() } }
    }
}
