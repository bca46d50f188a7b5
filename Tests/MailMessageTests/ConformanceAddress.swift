import Foundation
import MailMessage
import Testing

/// The cases of isemail: the categories "valid", "DNS warning" and "RFC 5321" are mailboxes of RFC 5321, the others are
/// not.
@Suite("Conformance: isemail", .enabled(if: ConformanceSuites.has("address/isemail/test/tests.xml")))
struct ConformanceAddress {
    @Test func addresses() throws {
        let xml = String(decoding: try ConformanceSuites.data("address/isemail/test/tests.xml"), as: UTF8.self)
        var count = 0
        for chunk in xml.components(separatedBy: "<test id=").dropFirst() {
            guard let category = ConformanceAddress.element("category", chunk) else { continue }
            let text = ConformanceAddress.text(ConformanceAddress.element("address", chunk) ?? "")
            let diagnosis = ConformanceAddress.element("diagnosis", chunk) ?? ""
            let isValid = ["ISEMAIL_VALID_CATEGORY", "ISEMAIL_DNSWARN", "ISEMAIL_RFC5321"].contains(category)
            count += 1
            do {
                let address = try EmailAddress(parsing: text)
                #expect(isValid, "accepted \(text) (\(diagnosis))")
                #expect(try EmailAddress(parsing: address.description) == address)
            } catch {
                #expect(!isValid, "refused \(text) (\(diagnosis)): \(error)")
            }
        }
        #expect(count >= 150)
    }

    private static func element(_ name: String, _ text: String) -> String? {
        guard let start = text.range(of: "<\(name)>"),
            let end = text.range(of: "</\(name)>", range: start.upperBound..<text.endIndex)
        else { return nil }
        return String(text[start.upperBound..<end.lowerBound])
    }

    /// Entities, and the pictures that stand for control characters.
    private static func text(_ written: String) -> String {
        var text = written
        while let start = text.range(of: "&#x"), let end = text.range(of: ";", range: start.upperBound..<text.endIndex),
            let value = UInt32(text[start.upperBound..<end.lowerBound], radix: 16), let scalar = Unicode.Scalar(value)
        {
            text.replaceSubrange(start.lowerBound..<end.upperBound, with: String(scalar))
        }
        for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")] {
            text = text.replacingOccurrences(of: entity, with: character)
        }
        let scalars = text.unicodeScalars.map {
            (0x2400...0x2421).contains($0.value)
                ? Unicode.Scalar(UInt8($0.value == 0x2421 ? 127 : $0.value - 0x2400)) : $0
        }
        return String(String.UnicodeScalarView(scalars))
    }
}
