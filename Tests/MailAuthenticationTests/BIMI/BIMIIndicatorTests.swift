import Foundation
import MailAuthentication
import Testing

struct BIMIIndicatorTests {
    /// A document that passes, with places for what shall make it fail.
    static func svg(
        prolog: String = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        root: String = "version=\"1.2\" baseProfile=\"tiny-ps\" viewBox=\"0 0 64 64\"", title: String = "<title>Kartapuce</title>", inside: String = ""
    ) -> [UInt8] {
        Array(
            """
            \(prolog)<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" \(root)>\(title)
            <defs><linearGradient id="paint"><stop offset="0" stop-color="#fff"/></linearGradient></defs>
            <g id="mark"><rect width="64" height="64" fill="url(#paint)" transform="translate(1 2) scale(0.5)"/></g>\(inside)</svg>
            """.utf8)
    }

    private func codes(_ octets: [UInt8]) -> [String] { BIMIIndicator.judge(octets: octets).problems.map(\.code) }

    @Test func goodOnePasses() {
        let report = BIMIIndicator.judge(octets: Self.svg(inside: "<use xlink:href=\"#mark\" x=\"1\"/><use href=\"#mark\"/><desc>A card</desc>"))
        #expect(report.isAccepted, "\(report.problems)")
        #expect(report.title == "Kartapuce" && report.size == [64, 64] && report.elements == 10)
        #expect(report.digest.count == 64)
        #expect(BIMIIndicator.judge(octets: Self.svg(root: "version='1.2' baseProfile='tiny-ps' width='20px' height='20px'")).isAccepted)
        #expect(BIMIIndicator.judge(octets: Self.svg(prolog: "")).isAccepted)
        #expect(BIMIIndicator.judge(octets: Self.svg(prolog: "\u{FEFF}<!-- drawn by Bob -->")).isAccepted)
    }

    @Test(arguments: [
        ("<script>alert(1)</script>", "script"),
        ("<script xmlns=\"http://www.w3.org/1999/xhtml\" src=\"https://attacker.test/\"/>", "script"),
        ("<g><handler type=\"text/javascript\"/></g>", "script"),
        ("<style>@import url(https://attacker.test/)</style>", "styleSheet"),
        ("<rect style=\"fill:red\"/>", "styleAttribute"),
        ("<rect onload=\"alert(1)\"/>", "eventAttribute"),
        ("<rect ONCLICK=\"alert(1)\"/>", "eventAttribute"),
        ("<rect><animate attributeName=\"x\"/></rect>", "animation"),
        ("<set attributeName=\"x\" to=\"1\"/>", "animation"),
        ("<image xlink:href=\"#a\"/>", "multimedia"),
        ("<image xlink:href=\"https://attacker.test/1.png\"/>", "externalReference"),
        ("<image href=\"data:image/png;base64,AAAA\"/>", "dataReference"),
        ("<video/>", "multimedia"), ("<audio/>", "multimedia"), ("<animation/>", "multimedia"),
        ("<foreignObject/>", "foreignObject"),
        ("<a xlink:href=\"#mark\"/>", "link"),
        ("<a xlink:href=\"java&#10;script:alert(1)\"/>", "scriptReference"),
        ("<use xlink:href=\"https://attacker.test/x.svg#a\"/>", "externalReference"),
        ("<use xlink:href=\" #mark\"/>", "externalReference"),
        ("<use href=\"other.svg\"/>", "externalReference"),
        ("<use href=\"\"/>", "externalReference"),
        ("<use href=\"data:image/svg+xml,%3Csvg/%3E\"/>", "dataReference"),
        ("<use href=\"JaVaScRiPt:alert(1)\"/>", "scriptReference"),
        ("<rect fill=\"url(https://attacker.test/a#b)\"/>", "externalReference"),
        ("<rect fill=\"url( '//attacker.test/' )\"/>", "externalReference"),
        ("<rect fill=\"url(data:image/svg+xml,x)\"/>", "dataReference"),
        ("<rect fill=\"u\\72l(https://attacker.test/)\"/>", "attributeValue"),
        ("<rect fill=\"image-set('https://attacker.test/' 1x)\"/>", "attributeValue"),
        ("<rect stroke-width=\"expression(alert(1))\"/>", "attributeValue"),
        ("<rect fill=\"red; background: blue\"/>", "attributeValue"),
        ("<rect fill-rule=\"odd\"/>", "attributeValue"),
        ("<rect id=\"1\"/>", "attributeValue"),
        ("<rect filter=\"url(#paint)\"/>", "attribute"),
        ("<rect xlink:href=\"#mark\"/>", "attribute"),
        ("<rect xml:base=\"https://attacker.test/\"/>", "externalReference"),
        ("<text requiredFonts=\"https://attacker.test/font\">x</text>", "externalReference"),
        ("<filter/>", "element"), ("<mask/>", "element"), ("<switch/>", "element"), ("<svg/>", "element"), ("<symbol/>", "element"),
        ("<text>a<tspan>b</tspan></text>", "element"), ("<g><desc>x</desc></g>", "element"), ("<stop/>", "element"),
        ("<b:rect xmlns:b=\"http://www.w3.org/1999/xhtml\"/>", "foreignElement"),
        ("<rect xmlns=\"\"/>", "foreignElement"),
        ("<g>text</g>", "text"),
        ("<title>again</title>", "severalTitles"),
        ("<g id=\"mark\"/>", "repeatedID"),
        ("<g id=\"loop\"><use href=\"#loop\"/></g>", "recursion"),
        ("<g id=\"one\"><use href=\"#two\"/></g><g id=\"two\"><use href=\"#one\"/></g>", "recursion"),
        ("<?xml-stylesheet href=\"https://attacker.test/a.css\"?>", "processingInstruction"),
        ("<rect>&attack;</rect>", "entity"),
        ("<rect>", "notWellFormed"),
    ])
    func hostileOnesAreRefused(_ inside: String, _ code: String) {
        let report = BIMIIndicator.judge(octets: Self.svg(inside: inside))
        #expect(!report.isAccepted)
        #expect(report.problems.map(\.code).contains(code), "\(report.problems)")
        #expect(report.problems.allSatisfy { ($0.line ?? 0) > 0 && ($0.column ?? 0) > 0 })
    }

    @Test func rootAndProlog() {
        #expect(codes(Self.svg(prolog: "<!DOCTYPE svg>")) == ["documentType"])
        #expect(codes(Self.svg(prolog: "<!DOCTYPE svg [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>")) == ["documentType"])
        #expect(codes(Self.svg(prolog: "<!DOCTYPE svg SYSTEM \"file:///etc/passwd\">")) == ["documentType"])
        #expect(codes(Self.svg(prolog: "<?xml-stylesheet href=\"x\"?>")) == ["processingInstruction"])
        #expect(codes(Self.svg(prolog: "<?xml version=\"1.0\" encoding=\"UTF-16\"?>")) == ["encoding"])
        #expect(codes(Self.svg(prolog: "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>")) == ["encoding"])
        #expect(codes([0xFE, 0xFF, 0x00, 0x3C]) == ["encoding"])
        #expect(codes(Self.svg(root: "version=\"1.2\" baseProfile=\"tiny\" viewBox=\"0 0 1 1\"")) == ["baseProfile"])
        #expect(codes(Self.svg(root: "version=\"1.1\" baseProfile=\"tiny-ps\" viewBox=\"0 0 1 1\"")) == ["version"])
        #expect(codes(Self.svg(root: "viewBox=\"0 0 1 1\"")) == ["baseProfile", "version"])
        #expect(codes(Self.svg(root: "version=\"1.2\" baseProfile=\"tiny-ps\" viewBox=\"0 0 1 1\" x=\"0\" y=\"0\"")) == ["rootPosition", "rootPosition"])
        #expect(codes(Self.svg(root: "version=\"1.2\" baseProfile=\"tiny-ps\" viewBox=\"0 0 2 1\"")) == ["notSquare"])
        #expect(codes(Self.svg(root: "version=\"1.2\" baseProfile=\"tiny-ps\" viewBox=\"0 0 inf inf\"")) == ["invalidViewBox"])
        #expect(codes(Self.svg(root: "version=\"1.2\" baseProfile=\"tiny-ps\" viewBox=\"0 0 -1 -1\"")) == ["invalidViewBox"])
        #expect(codes(Self.svg(root: "version=\"1.2\" baseProfile=\"tiny-ps\"")) == ["missingViewBox"])
        #expect(codes(Self.svg(root: "version=\"1.2\" baseProfile=\"tiny-ps\" viewBox=\"0 0 1 1\" onload=\"x\"")) == ["eventAttribute"])
        #expect(codes(Self.svg(title: "")) == ["missingTitle"])
        #expect(codes(Self.svg(title: "<title> \u{200B}</title>")) == ["emptyTitle"])
        #expect(codes(Self.svg(title: "<title>\(String(repeating: "x", count: 65))</title>")) == ["titleTooLong"])
        #expect(codes(Self.svg(title: "<title>\(String(repeating: "ü", count: 64))</title>")).isEmpty)
        #expect(codes(Self.svg(title: "<g/><title>x</title>")) == ["titleNotFirst"])
        #expect(codes(Array("<html xmlns=\"http://www.w3.org/1999/xhtml\"/>".utf8)).contains("rootElement"))
        #expect(codes(Array("<svg/>".utf8)).contains("rootElement"))
        #expect(!BIMIIndicator.judge(octets: []).isAccepted)
        #expect(codes(Array("GIF89a".utf8)) == ["notWellFormed"])
    }

    /// Ten uses of ten uses: small octets, and a drawing without end.
    @Test func expansionIsBounded() {
        var inside = "<g id=\"l0\"><rect/></g>"
        for level in 1...9 { inside += "<g id=\"l\(level)\">" + String(repeating: "<use href=\"#l\(level - 1)\"/>", count: 10) + "</g>" }
        #expect(codes(Self.svg(inside: inside)) == ["expansion"])
    }

    @Test func limitsHold() {
        let depth = String(repeating: "<g>", count: 60) + String(repeating: "</g>", count: 60)
        #expect(codes(Self.svg(inside: depth)) == ["tooDeep"])
        var limits = BIMIIndicator.Limits()
        limits.octets = 20 << 20
        #expect(
            BIMIIndicator.judge(octets: Self.svg(inside: String(repeating: "<g/>", count: 9000)), limits: limits).problems.map(\.code) == ["tooManyElements"])
        let many = (0..<70).map { "a\($0)=\"1\"" }.joined(separator: " ")
        #expect(codes(Self.svg(inside: "<rect \(many)/>")) == ["tooManyAttributes"])
        #expect(BIMIIndicator.judge(octets: Self.svg(inside: String(repeating: "<filter/>", count: 500)), limits: limits).problems.count == 100)
        let exact = 32768 - Self.svg(inside: "<!---->").count
        #expect(BIMIIndicator.judge(octets: Self.svg(inside: "<!--\(String(repeating: "x", count: exact))-->")).isAccepted)
        #expect(codes(Self.svg(inside: "<!--\(String(repeating: "x", count: exact + 1))-->")) == ["tooLarge"])
        #expect(codes([UInt8](repeating: 0x3C, count: 10 << 20)) == ["tooLarge"])
    }

    @Test func compressedOnes() throws {
        let good = BIMITestGzip.pack(Self.svg())
        let report = BIMIIndicator.judge(octets: good)
        #expect(report.isAccepted && report.isCompressed && report.svg == Self.svg())
        #expect(codes(BIMITestGzip.pack([UInt8](repeating: 0x20, count: 4 << 20))) == ["tooLargeUnpacked"])
        #expect(codes(Array(good.dropLast())) == ["damagedCompression"])
        #expect(codes(good + good) == ["damagedCompression"])
        var flipped = good
        flipped[good.count - 6] ^= 1
        #expect(codes(flipped) == ["damagedCompression"])
        // Packed twice is no SVG.
        #expect(!BIMIIndicator.judge(octets: BIMITestGzip.pack(good)).isAccepted)
    }

    /// Cut or changed anywhere, nothing crashes, and only what is whole passes.
    @Test func everyCutIsRefused() {
        let whole = Self.svg(inside: "<use href=\"#mark\"/>")
        for end in 0..<whole.count { #expect(!BIMIIndicator.judge(octets: Array(whole[..<end])).isAccepted) }
        for index in stride(from: 0, to: whole.count, by: 3) {
            var changed = whole
            changed[index] ^= 0x80
            #expect(!BIMIIndicator.judge(octets: changed).isAccepted)
        }
    }
}
