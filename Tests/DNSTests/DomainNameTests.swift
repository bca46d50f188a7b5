import Foundation
import Testing

@testable import DNS

@Suite struct DomainNameTests {
    private static let label63 = String(repeating: "a", count: 63)
    /// Three labels of 63 octets and one of 61 with the dots between: 253 octets.
    private static let longest = [label63, label63, label63, String(repeating: "b", count: 61)].joined(separator: ".")

    @Test(arguments: [
        ("kartapuce.test", "kartapuce.test"), ("Kartapuce.TEST", "kartapuce.test"), ("kartapuce.test.", "kartapuce.test"), ("test", "test"),
        ("_dmarc.gmail.test", "_dmarc.gmail.test"), ("_25._tcp.mx.gmail.test", "_25._tcp.mx.gmail.test"), ("1.2.0.192.in-addr.arpa", "1.2.0.192.in-addr.arpa"),
        ("a--b.test", "a--b.test"), (label63 + ".test", label63 + ".test"), (longest, longest), (longest + ".", longest),
        // IDNA2008 with the mapping of UTS #46, non-transitional: ß and final sigma stay what they are.
        ("caf\u{E9}.test", "xn--caf-dma.test"), ("CAF\u{C9}.test", "xn--caf-dma.test"), ("cafe\u{301}.test", "xn--caf-dma.test"),
        ("fu\u{DF}.test", "xn--fu-hia.test"), ("b\u{FC}cher\u{3002}test", "xn--bcher-kva.test"), ("\u{FF42}ob.test", "bob.test"),
        ("\u{4F8B}\u{3048}.test", "xn--r8jz45g.test"), ("b\u{FC}cher.test.", "xn--bcher-kva.test"),
        // A-labels are taken as they stand, even one that decodes to nothing.
        ("xn--caf-dma.test", "xn--caf-dma.test"), ("XN--CAF-DMA.test", "xn--caf-dma.test"), ("xn--a.test", "xn--a.test"),
    ])
    func read(_ text: String, _ ascii: String) throws {
        #expect(try DomainName(text).ascii == ascii)
    }

    @Test(
        arguments: [
            ("", .empty), (".", .empty), ("..", .emptyLabel), (".test", .emptyLabel), ("a..test", .emptyLabel), ("test..", .emptyLabel),
            (label63 + "a.test", .labelTooLong), (longest + "b", .tooLong), (String(repeating: "a.", count: 600), .tooLong),
            ("a b.test", .invalidCharacter), ("a\0.test", .invalidCharacter), ("-a.test", .invalidCharacter), ("a-.test", .invalidCharacter),
            ("a@b.test", .invalidCharacter), ("*.test", .invalidCharacter), ("a/b.test", .invalidCharacter), ("a\n.test", .invalidCharacter),
            ("[192.0.2.1]", .invalidCharacter), ("caf\u{E9}\0.test", .invalidCharacter), ("\u{2028}.test", .invalidIDN), ("a\u{200E}b.test", .invalidIDN),
            ("\u{301}a.test", .invalidIDN), (String(repeating: "\u{E9}", count: 80) + ".test", .invalidIDN),
        ] as [(String, DomainNameError.Code)])
    func refused(_ text: String, _ code: DomainNameError.Code) {
        let error = #expect(throws: DomainNameError.self) { try DomainName(text) }
        #expect(error?.code == code, "\(text)")
        #expect(error.map { !$0.description.isEmpty && $0.description.utf8.count < 1200 } == true)
    }

    @Test func forPeople() throws {
        #expect(try DomainName("xn--caf-dma.test").unicode == "caf\u{E9}.test")
        #expect(try DomainName("kartapuce.test").unicode == "kartapuce.test")
        // What decodes to nothing is shown as it stands.
        #expect(try DomainName("xn--a.test").unicode == "xn--a.test")
        #expect(DomainName.root.unicode.isEmpty)
    }

    @Test func family() throws {
        let name = try DomainName("mx.kartapuce.test")
        #expect(name.labels == ["mx", "kartapuce", "test"])
        #expect(name.parent?.ascii == "kartapuce.test")
        #expect(try DomainName("test").parent == .root)
        #expect(DomainName.root.parent == nil && DomainName.root.labels.isEmpty)
        let zone = try DomainName("kartapuce.test")
        #expect(name.isSubdomain(of: zone) && !zone.isSubdomain(of: name) && !zone.isSubdomain(of: zone))
        #expect(zone.isEqualOrSubdomain(of: zone) && name.isEqualOrSubdomain(of: .root))
        #expect(name.isSubdomain(of: .root) && !DomainName.root.isSubdomain(of: .root))
        #expect(try !DomainName("notkartapuce.test").isSubdomain(of: zone))
        #expect(try zone.prefixed(with: "_dmarc").ascii == "_dmarc.kartapuce.test")
        #expect(try DomainName.root.prefixed(with: "test").ascii == "test")
        #expect(throws: DomainNameError.self) { try zone.prefixed(with: "") }
        #expect(try DomainName("a").joined(by: "_domainkey", to: zone) == DomainName("a._domainkey.kartapuce.test"))
        #expect(zone.joined(by: "_domainkey", to: .root) == nil && DomainName.root.joined(by: "_domainkey", to: zone) == nil)
        // 253 octets at most.
        let long = try DomainName("\(String(repeating: "a", count: 63)).\(String(repeating: "b", count: 63)).\(String(repeating: "c", count: 63))")
        #expect(try long.joined(by: "_domainkey", to: DomainName(String(repeating: "d", count: 50)))?.ascii.utf8.count == 253)
        #expect(try long.joined(by: "_domainkey", to: DomainName(String(repeating: "d", count: 51))) == nil)
        #expect(throws: DomainNameError.self) { try DomainName(Self.longest).prefixed(with: "a") }
    }

    @Test func codedAsText() throws {
        let names = [try DomainName("caf\u{E9}.test"), .root]
        let data = try JSONEncoder().encode(names)
        #expect(String(decoding: data, as: UTF8.self) == #"["xn--caf-dma.test",""]"#)
        #expect(try JSONDecoder().decode([DomainName].self, from: data) == names)
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([DomainName].self, from: Data(#"["a..b"]"#.utf8)) }
    }
}
