import MailAuthentication
import Testing

struct ReportXMLTests {
    private func read(_ octets: [UInt8], _ limits: XMLEventReader.Limits = .init()) throws -> [String] {
        var result: [String] = []
        try XMLEventReader(limits: limits).read(octets) { event in
            switch event {
            case .start(let name, let attributes, _):
                result.append("<\(name.namespace)|\(name.local)\(attributes.map { " \($0.name.local)=\($0.value)" }.joined())>")
            case .text(let text): result.append(text)
            case .end(let name): result.append("</\(name.local)>")
            case .processingInstruction(let target, _): result.append("<?\(target)>")
            }
        }
        return result
    }

    private func failure(_ octets: [UInt8], _ limits: XMLEventReader.Limits = .init()) -> XMLEventReader.Failure? {
        do {
            _ = try read(octets, limits)
            return nil
        } catch {
            return error as? XMLEventReader.Failure
        }
    }

    @Test func namesTextsAndAttributes() throws {
        let text = #"<a xmlns="urn:x" xmlns:y="urn:y" k="1 &lt; 2"><y:b y:l="&#65;"/>one<!-- no --> &amp; <![CDATA[<two>]]></a>"#
        #expect(try read(Array(text.utf8)) == ["<urn:x|a k=1 < 2>", "<urn:y|b l=A>", "</b>", "one & <two>", "</a>"])
    }

    @Test func encodings() throws {
        let latin = Array("<?xml version='1.0' encoding='ISO-8859-1'?><a>".utf8) + [0xE9] + Array("</a>".utf8)
        #expect(try read(latin) == ["<|a>", "é", "</a>"])
        let windows = Array("<?xml version='1.0' encoding='Windows-1252'?><a>".utf8) + [0x80] + Array("</a>".utf8)
        #expect(try read(windows) == ["<|a>", "€", "</a>"])
        var wide: [UInt8] = [0xFF, 0xFE]
        for unit in "<a>é😀</a>".utf16 { wide += [UInt8(unit & 0xFF), UInt8(unit >> 8)] }
        #expect(try read(wide) == ["<|a>", "é😀", "</a>"])
        #expect(failure([UInt8]("<a>".utf8) + [0xC3, 0x28] + [UInt8]("</a>".utf8)) != nil)
        #expect(failure(Array("<?xml version='1.0' encoding='EBCDIC'?><a/>".utf8)) != nil)
    }

    @Test func faultsHaveTheirPlace() {
        #expect(failure(Array("<a>\n  <b></c></a>".utf8))?.place.description == "line 2, column 8")
    }

    /// An unfinished tag is looked at again with each piece that comes.
    @Test(.timeLimit(.minutes(3)), arguments: ["<a b='", "<!--", "<?x ", "<", "<a><b ", "<a>&", "<a><![CDATA[", "<a></"])
    func megabytesOfOneThingEndInTime(_ beginning: String) {
        let octets = Array(beginning.utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: 10 << 20)
        var error: XMLEventReader.Failure?
        error = failure(octets)
        #expect(error != nil)
    }

    @Test func emptyAndCut() {
        #expect(failure([]) != nil)
        let text = Array("<a b='c'>d<e/>&lt;</a>".utf8)
        for count in 0..<text.count { #expect(failure(Array(text[..<count])) != nil, "\(count) octets") }
    }
}
