import Foundation
import MailMessage
import Testing

@Suite("Mailboxes of RFC 5321 §4.1.2")
struct EmailAddressTests {
    @Test(
        "are read and written",
        arguments: [
            ("bob@kartapuce.test", "bob", "kartapuce.test", "bob@kartapuce.test"),
            ("Bob@Kartapuce.TEST", "Bob", "kartapuce.test", "Bob@kartapuce.test"),
            ("a.b+c@x", "a.b+c", "x", "a.b+c@x"),
            ("\"bob smith\"@kartapuce.test", "bob smith", "kartapuce.test", "\"bob smith\"@kartapuce.test"),
            ("\"bob\"@kartapuce.test", "bob", "kartapuce.test", "bob@kartapuce.test"),
            ("\"a\\\"b\\\\c\"@x.test", "a\"b\\c", "x.test", "\"a\\\"b\\\\c\"@x.test"),
            ("\"\"@x.test", "", "x.test", "\"\"@x.test"),
            ("\"a@b\"@x.test", "a@b", "x.test", "\"a@b\"@x.test"),
            ("\"a..b\"@x.test", "a..b", "x.test", "\"a..b\"@x.test"),
            ("jack@[192.0.2.1]", "jack", "[192.0.2.1]", "jack@[192.0.2.1]"),
            ("jack@[IPv6:2001:DB8::1]", "jack", "[IPv6:2001:db8::1]", "jack@[IPv6:2001:db8::1]"),
            ("jack@[ipv6:::ffff:192.0.2.1]", "jack", "[IPv6:::ffff:192.0.2.1]", "jack@[IPv6:::ffff:192.0.2.1]"),
            ("jörg@bücher.test", "jörg", "bücher.test", "jörg@bücher.test"),
            ("!#$%&'*+-/=?^_`{|}~@x.test", "!#$%&'*+-/=?^_`{|}~", "x.test", "!#$%&'*+-/=?^_`{|}~@x.test"),
        ]
    )
    func valid(text: String, local: String, domain: String, written: String) throws {
        let address = try EmailAddress(parsing: text)
        #expect(address.localPart == local)
        #expect(address.domain == domain)
        #expect(address.description == written)
        #expect(try EmailAddress(parsing: written) == address)
        #expect(try JSONDecoder().decode([EmailAddress].self, from: JSONEncoder().encode([address])) == [address])
    }

    @Test(
        "are refused with code and offset",
        arguments: [
            ("", AddressError.Code.emptyLocalPart, 0),
            ("bob", .missingAtSign, 3),
            ("@x.test", .emptyLocalPart, 0),
            (".bob@x.test", .emptyLocalPart, 0),
            ("bob.@x.test", .emptyLocalPart, 4),
            ("b..b@x.test", .emptyLocalPart, 2),
            ("b b@x.test", .invalidLocalPart, 1),
            ("b<b@x.test", .invalidLocalPart, 1),
            ("bob@", .emptyDomain, 4),
            ("bob@x..test", .emptyDomain, 6),
            ("bob@x.test.", .emptyDomain, 11),
            ("bob@-x.test", .invalidDomain, 4),
            ("bob@x-.test", .invalidDomain, 5),
            ("bob@x_y.test", .invalidDomain, 5),
            ("bob@x.test>", .trailingText, 10),
            ("bob@x.test\r\nRCPT TO", .trailingText, 10),
            ("bob@x.test@y.test", .invalidDomain, 10),
            ("\"bob@x.test", .invalidQuotedString, 11),
            ("\"bo\nb\"@x.test", .invalidQuotedString, 3),
            ("\"bob\"x@x.test", .missingAtSign, 5),
            ("bob@[192.0.2.256]", .invalidAddressLiteral, 5),
            ("bob@[192.0.2]", .invalidAddressLiteral, 5),
            ("bob@[192.0.2.1", .invalidAddressLiteral, 14),
            ("bob@[IPv6:2001:db8::1::2]", .invalidAddressLiteral, 5),
            ("bob@[IPv6:1:2:3:4:5:6:7]", .invalidAddressLiteral, 5),
            ("bob@[IPv6:1:2:3:4:5:6:7::]", .invalidAddressLiteral, 5),
            ("bob@[IPv6\u{1A}::1]", .invalidAddressLiteral, 5),
            ("bob@[x400:abc]", .invalidAddressLiteral, 5),
        ]
    )
    func invalid(text: String, code: AddressError.Code, offset: Int) {
        #expect { try EmailAddress(parsing: text) } throws: { error in
            let error = error as? AddressError
            return error?.code == code && error?.offset == offset
        }
        #expect(EmailAddress(text) == nil)
    }

    @Test("keep the limits of RFC 5321 §4.5.3.1") func limits() throws {
        let local64 = String(repeating: "a", count: 64)
        let label63 = String(repeating: "b", count: 63)
        #expect(try EmailAddress(parsing: "\(local64)@x.test").localPart == local64)
        #expect(throws: AddressError.self) { try EmailAddress(parsing: "\(local64)a@x.test") }
        #expect(throws: AddressError.self) { try EmailAddress(parsing: "\"\(local64)\"@x.test") }
        #expect(try EmailAddress(parsing: "bob@\(label63).test").domain == "\(label63).test")
        #expect(throws: AddressError.self) { try EmailAddress(parsing: "bob@\(label63)b.test") }
        let domain250 = [label63, label63, label63, String(repeating: "c", count: 58)].joined(separator: ".")
        #expect(domain250.utf8.count == 250)
        #expect(try EmailAddress(parsing: "abc@\(domain250)").domain == domain250)
        #expect { try EmailAddress(parsing: "abcd@\(domain250)") } throws: {
            ($0 as? AddressError)?.code == .pathTooLong
        }
        #expect { try EmailAddress(parsing: "a@\(domain250).ddddd") } throws: {
            ($0 as? AddressError)?.code == .domainTooLong
        }
    }

    @Test("refuse octets that are not UTF-8") func invalidUTF8() {
        let octets: [UInt8] = [0x62, 0xFF, 0x40, 0x78]
        #expect { try EmailAddress(parsing: octets.span) } throws: { ($0 as? AddressError)?.code == .invalidUTF8 }
    }

    @Test("end where a path goes on") func prefix() throws {
        let octets = Array("<bob@kartapuce.test> SIZE=1".utf8)
        var position = 1
        let address = try EmailAddress.parse(octets.span, at: &position)
        #expect(address.description == "bob@kartapuce.test")
        #expect(octets[position] == UInt8(ascii: ">"))
    }
}
