import DNS
import MailMessage
import NIOCore

@testable import MailAuthentication

/// Authentication-Results: what is written of what was read is one field and is read as the same, and the border lets nothing pass that
/// speaks in our name.
enum AuthenticationResultsTarget {
    private static let ours = "mx.kartapuce.test"
    private static let border = AuthenticationResultsBorder(
        identifiers: [ours], ownDomains: (try? DomainName("kartapuce.test")).map { [$0] } ?? [], reservedNames: ["X-Postern"],
        removesReceivedSPF: true)

    static func run(_ data: [UInt8]) {
        let input = Input(data)
        passBorder(input.octets)
        header(input.octets)
        if let (instance, results) = try? AuthenticationResults.parsingARC(input.octets) {
            let value = value(results.arcField(instance: instance, allowsUTF8: true))
            require((try? AuthenticationResults.parsingARC(value))?.instance == instance, "another instance is read back")
        }
        guard let results = try? AuthenticationResults(parsing: input.octets) else { return }
        write(results, allowsUTF8: true)
        write(results, allowsUTF8: false)
    }

    /// What was written, as one field's value.
    private static func value(_ field: String) -> [UInt8] {
        require(field.utf8.hasWholeLineEnds, "a bare CR or LF was written")
        for line in field.utf8.split(separator: 0x0A) { require(line.count <= 999, "a line of \(line.count) octets was written") }
        let section = HeaderSection(parsing: ByteBuffer(string: field + "\r\n"))
        require(section.count == 1 && section.endsWithEmptyLine, "\(section.count) fields were written instead of one")
        return section.first.map { Array($0.rawValue.readableBytesView) } ?? []
    }

    private static func write(_ results: AuthenticationResults, allowsUTF8: Bool) {
        // Lines and their number have limits, and what is longer is cut.
        guard results.results.count <= 20, results.results.allSatisfy({ $0.properties.count <= 20 }) else { return }
        let field = results.field(allowsUTF8: allowsUTF8)
        require(allowsUTF8 || field.utf8.allSatisfy { $0 < 0x80 }, "octets beyond ASCII")
        let octets = value(field)
        guard let again = try? AuthenticationResults(parsing: octets) else { return require(false, "what was written can't be read: \(field)") }
        let deviations = again.deviations.filter { $0 != .untypedProperty || !results.deviations.contains(.untypedProperty) }
        require(deviations.isEmpty, "what was written deviates: \(deviations) in \(field)")
        require(again.results.map(\.method) == results.results.map { String($0.method.prefix(64)) }, "other methods: \(field)")
        require(again.results.map(\.result) == results.results.map { String($0.result.prefix(64)) }, "other results: \(field)")
        require(again.results.map { $0.properties.count } == results.results.map { $0.properties.count }, "another number of properties: \(field)")
        for (first, second) in zip(results.results, again.results) {
            for (one, other) in zip(first.properties, second.properties) where isKept(one.value) && one.name.utf8.count <= 64 && one.type.utf8.count <= 64 {
                require(one.value == other.value && one.name == other.name && one.type == other.type, "\(one) is read back as \(other): \(field)")
            }
        }
        if isKept(results.identifier), !results.identifier.isEmpty {
            require(again.identifier == results.identifier, "the identifier “\(results.identifier)” is read back as “\(again.identifier)”")
        }
        // What was cleaned stays as it is.
        let third = try? AuthenticationResults(parsing: value(again.field(allowsUTF8: allowsUTF8)))
        require(third == again, "\(field) is read back as \(third.map { $0.field(allowsUTF8: allowsUTF8) } ?? "nothing")")
        require(!again.description.utf8.contains { $0 < 0x20 || $0 == 0x7F }, "a control character in a description")
    }

    /// Short printable text is written as it is.
    private static func isKept(_ text: String) -> Bool { text.utf8.count <= 300 && text.isPrintable }

    private static func passBorder(_ octets: [UInt8]) {
        let claim = Array("\(ours); ".utf8) + octets
        require(border.reason(forValue: claim) != nil, "a field in our name passes: \(String(decoding: claim, as: UTF8.self))")
        guard border.reason(forValue: octets) == nil, let results = try? AuthenticationResults(parsing: octets) else { return }
        require(results.identifier.lowercased() != ours, "a field of ours passes")
        require(
            border.reason(forValue: value(results.field(allowsUTF8: true))) == nil || results.deviations.contains(.strayText),
            "what passes doesn't pass once it is written")
    }

    /// The octets as a header section: only fields that may be ours go, each with its whole octets.
    private static func header(_ octets: [UInt8]) {
        let section = HeaderSection(parsing: ByteBuffer(bytes: octets))
        for removal in border.removals(in: section) {
            require(section[removal.index].range == removal.range, "another field is removed")
            let name = removal.name.lowercased()
            require(["authentication-results", "received-spf", "x-postern"].contains(name), "the field \(name) is removed")
        }
    }
}
