import Foundation
import MailMessage
import NIOCore
import Testing

/// Messages and header values of other parsers' test suites.
@Suite("Conformance: messages of other parsers", .enabled(if: ConformanceSuites.has("mime")))
struct ConformanceMessage {
    @Test(
        "load with all places within their bounds",
        arguments: [
            "mime/mail-parser/eml", "mime/cpython-test-email", "mime/gmime", "mime/ruby-mail",
            "mime/nodemailer-mailparser", "mime/mimekit",
        ]
    )
    func load(folder: String) throws {
        guard ConformanceSuites.has(folder) else { return }
        let files = try ConformanceSuites.files(folder, endings: [".eml", ".txt", ".msg", ".crlf"])
        #expect(!files.isEmpty)
        for file in files {
            let read = Message(parsing: ByteBuffer(bytes: try Data(contentsOf: file)))
            checkTree(read, file.lastPathComponent)
            #expect(read.allParts.reduce(0) { $0 + $1.children.count } == read.allParts.count - 1)
        }
    }

    private struct DateCase: Decodable {
        struct Expected: Decodable {
            let year, month, day, hour, minute, second, tz_hour, tz_minute: Int
            let tz_before_gmt: Bool
        }
        let header: String
        let expected: Expected?
    }

    @Test("dates of mail-parser") func dates() throws {
        let cases = try JSONDecoder().decode(
            [DateCase].self,
            from: ConformanceSuites.data("mime/mail-parser/date.json")
        )
        #expect(cases.count >= 30)
        for dateCase in cases where !ConformanceMessage.differentDates.contains(where: { dateCase.header.contains($0) }) {
            let field = HeaderSection(parsing: ByteBuffer(string: "Date: \(dateCase.header)\n\n")).first(named: "Date")
            let read = MessageDate(parsing: field?.unfoldedOctets ?? [])
            guard let expected = dateCase.expected else {
                #expect(read == nil, "\(dateCase.header)")
                continue
            }
            let offset = (expected.tz_hour * 3600 + expected.tz_minute * 60) * (expected.tz_before_gmt ? -1 : 1)
            var components = DateComponents()
            (components.year, components.month, components.day) = (expected.year, expected.month, expected.day)
            (components.hour, components.minute, components.second) = (expected.hour, expected.minute, expected.second)
            components.timeZone = TimeZone(secondsFromGMT: offset)
            #expect(read?.date == Calendar(identifier: .gregorian).date(from: components), "\(dateCase.header)")
        }
    }

    /// Months as numbers, and a whole Received field: no date-time of RFC 5322 §3.3.
    static let differentDates = ["20 11 (some", "4 8 15 16 23 42", "with SMTP id"]

    private struct AddressCase: Decodable {
        struct Mailbox: Decodable, Hashable {
            let name: String?
            let address: String?
        }
        struct Group: Decodable {
            let name: String?
            let addresses: [Mailbox]
        }
        struct Expected: Decodable {
            let List: [Mailbox]?
            let Group: [Group]?
        }
        let header: String
        let expected: Expected
    }

    @Test("address lists of mail-parser") func addresses() throws {
        let cases = try JSONDecoder().decode(
            [AddressCase].self,
            from: ConformanceSuites.data("mime/mail-parser/address.json")
        )
        #expect(cases.count >= 50)
        for addressCase in cases
        where !ConformanceMessage.differentAddresses.contains(where: { addressCase.header.contains($0) }) {
            let field = HeaderSection(parsing: ByteBuffer(string: "To: \(addressCase.header)\n\n")).first(named: "To")
            let list = AddressList(parsing: field?.unfoldedOctets ?? [])
            let expected = (addressCase.expected.List ?? []) + (addressCase.expected.Group ?? []).flatMap(\.addresses)
            let read = list.mailboxes.map {
                AddressCase.Mailbox(
                    name: $0.displayName,
                    address: "\($0.localPart)" + ($0.domain.isEmpty ? "" : "@\($0.domain)")
                )
            }
            #expect(read == expected, "\(addressCase.header)")
        }
    }

    /// Deliberate differences, by a piece of the header.
    static let differentAddresses = [
        // That parser makes comments a part of the name; RFC 5322 §3.2.2 gives them no meaning.
        "Pete(", "Chris Jones", "(Empty list)", "machine(comment)", "thumper.bellcore.com", "Name (comment)",
        // It makes the route and the blanks around dots a part of the address (RFC 5322 §4.4).
        "@node.test:mary",
        // URIs of List-* fields (RFC 2369) are no addresses.
        "<http:", "<mailto:", "<ftp:",
        // A name behind the address stands in no grammar; here it belongs to nothing.
        "<a@b.com> =?utf-8?q?Doe?=",
    ]

    private struct PartCase: Decodable {
        struct Part: Decodable {
            let offset_header: Int
            let offset_body: Int
            let offset_end: Int
        }
        let parts: [Part]
    }

    @Test("part trees of mail-parser: headers and bodies begin and end where it says") func trees() throws {
        let files = try ConformanceSuites.files("mime/mail-parser/eml", endings: [".eml"])
        var compared = 0
        for file in files {
            let data = try Data(contentsOf: file)
            // The offsets are for lines that end in LF, and in another file for lines that end in CRLF.
            let form = data.range(of: Data("\r\n".utf8)) == nil ? "json" : "crlf.json"
            let json = file.deletingPathExtension().appendingPathExtension(form)
            guard let expected = try? JSONDecoder().decode(PartCase.self, from: Data(contentsOf: json)) else {
                continue
            }
            let read = Message(parsing: ByteBuffer(bytes: data))
            // That parser gives a nested message a list of its own; compare the parts of the outer message.
            var places = [[Int]]()
            var pending = [read.root]
            while let part = pending.popLast() {
                places.append([part.headerRange.lowerBound, part.bodyRange.lowerBound, part.bodyRange.upperBound])
                if part.structure == .multipart { pending += part.children.reversed() }
            }
            compared += 1
            #expect(
                places == expected.parts.map { [$0.offset_header, $0.offset_body, $0.offset_end] },
                "\(file.lastPathComponent)"
            )
        }
        #expect(compared >= 40)
    }
}
