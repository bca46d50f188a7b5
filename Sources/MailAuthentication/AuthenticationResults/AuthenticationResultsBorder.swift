public import DNS
public import MailMessage
import NIOCore

/// Finds the header fields of a message from outside that only our own servers may write (RFC 8601 §5).
public struct AuthenticationResultsBorder: Sendable {
    /// Why a field must go.
    public enum Reason: String, Sendable, Hashable, Codable {
        /// It says that one of our servers wrote it.
        case claimsOurIdentifier
        /// It can't be read, but has the name of one of our servers in it.
        case unreadableWithOurIdentifier
        /// It names no server, so that it could be taken for ours.
        case withoutIdentifier
        /// It has a name that is ours alone.
        case reservedName
        /// It is a Received-SPF field.
        case receivedSPF
    }

    /// A field that must go.
    public struct Removal: Sendable, Hashable {
        /// The field's place among the fields.
        public let index: Int
        /// The field's octets with its line end, counted from the beginning of the message.
        public let range: Range<Int>
        /// The field's name as written.
        public let name: String
        /// Why.
        public let reason: Reason
    }

    /// The names of our servers in their final form.
    private let identifiers: Set<String>
    /// The same, with A-labels and with U-labels, without ASCII octets that aren't letters, digits, dots or hyphens.
    private let plainIdentifiers: Set<[UInt8]>
    private let ownDomains: [DomainName]
    private let reservedNames: Set<String>
    /// All names of fields that may have to go.
    private let watchedNames: [[UInt8]]
    private let removesReceivedSPF: Bool
    private let removesFieldsWithoutIdentifier: Bool

    /// Makes a border.
    /// - Parameters:
    ///   - identifiers: each `authserv-id` that our servers use.
    ///   - ownDomains: domains below which every name is ours, too.
    ///   - reservedNames: names of other fields that only we may write.
    ///   - removesReceivedSPF: whether Received-SPF fields go as well.
    ///   - removesFieldsWithoutIdentifier: whether fields that name no server go as well.
    public init(
        identifiers: [String], ownDomains: [DomainName] = [], reservedNames: [String] = [], removesReceivedSPF: Bool = false,
        removesFieldsWithoutIdentifier: Bool = false
    ) {
        self.identifiers = Set(identifiers.map(Self.canonical))
        let names = identifiers.map(Self.canonical) + ownDomains.map(\.ascii)
        let unicode = names.map { (try? DomainName($0))?.unicode ?? $0 }
        plainIdentifiers = Set(
            names.map { Self.plain(Array($0.utf8), keepsUTF8: true) } + unicode.map { Self.plain(Array($0.utf8), keepsUTF8: true) }
        ).filter { !$0.isEmpty }
        self.ownDomains = ownDomains
        self.reservedNames = Set(reservedNames.map { $0.lowercased() })
        watchedNames = (self.reservedNames + [Self.receivedSPF, Self.authenticationResults]).map { Array($0.utf8) }
        self.removesReceivedSPF = removesReceivedSPF
        self.removesFieldsWithoutIdentifier = removesFieldsWithoutIdentifier
    }

    /// The fields that must go, in the order of the message.
    public func removals(in header: HeaderSection) -> [Removal] {
        // Nearly every message has none of them, which the octets tell.
        guard header.firstFields(named: watchedNames).contains(where: { $0 != nil }) else { return [] }
        var found: [Removal] = []
        for index in header.indices {
            let field = header[index]
            let name = field.name.lowercased()
            guard let reason = reason(name, field) else { continue }
            found.append(Removal(index: index, range: field.range, name: field.name, reason: reason))
        }
        return found
    }

    private static let receivedSPF = "received-spf"
    private static let authenticationResults = "authentication-results"

    private func reason(_ name: String, _ field: HeaderField) -> Reason? {
        if reservedNames.contains(name) { return .reservedName }
        if name == Self.receivedSPF { return removesReceivedSPF ? .receivedSPF : nil }
        guard name == Self.authenticationResults else { return nil }
        return reason(forValue: Array(field.rawValue.readableBytesView))
    }

    /// Why a field with this value must go; `nil` where it may stay.
    public func reason(forValue octets: [UInt8]) -> Reason? {
        guard let results = try? AuthenticationResults(parsing: octets), !results.deviations.contains(.invalidUTF8) else {
            return hasOurIdentifier(octets) ? .unreadableWithOurIdentifier : nil
        }
        if results.deviations.contains(.missingIdentifier), removesFieldsWithoutIdentifier { return .withoutIdentifier }
        let identifier = Self.canonical(results.identifier)
        if identifiers.contains(identifier) { return .claimsOurIdentifier }
        if let domain = try? DomainName(identifier), ownDomains.contains(where: { domain.isEqualOrSubdomain(of: $0) }) {
            return .claimsOurIdentifier
        }
        // A quoted name with blanks or other decoration around ours.
        if Self.plain(Array(identifier.utf8), keepsUTF8: false) != Array(identifier.utf8), hasOurIdentifier(Array(results.identifier.utf8)) {
            return .claimsOurIdentifier
        }
        // Words where none may be: somebody may take one of them for the name of the server.
        return results.deviations.contains(.strayText) && hasOurIdentifier(octets) ? .unreadableWithOurIdentifier : nil
    }

    /// RFC 8601 §5: compared without regard to case, and A-labels with U-labels.
    private static func canonical(_ identifier: String) -> String {
        (try? DomainName(identifier))?.ascii ?? identifier.lowercased()
    }

    /// Whether the name of one of our servers stands anywhere, also split by other octets, or in an encoded-word.
    private func hasOurIdentifier(_ octets: [UInt8]) -> Bool {
        let texts = [octets, Array(EncodedWord.decode(octets).lowercased().utf8)]
        let forms = texts.map { Self.plain($0, keepsUTF8: false) } + texts.map { Self.plain($0, keepsUTF8: true) }
        return forms.contains { form in plainIdentifiers.contains { Self.contains(form, $0) } }
    }

    private static func plain(_ octets: [UInt8], keepsUTF8: Bool) -> [UInt8] {
        octets.compactMap { octet in
            switch octet {
            case 0x41...0x5A: octet | 0x20
            case 0x61...0x7A, 0x30...0x39, UInt8(ascii: "."), UInt8(ascii: "-"): octet
            case 0x80...0xFF: keepsUTF8 ? octet : nil
            default: nil
            }
        }
    }

    /// Knuth, Morris and Pratt: linear whatever the octets are.
    private static func contains(_ text: [UInt8], _ pattern: [UInt8]) -> Bool {
        guard !pattern.isEmpty, text.count >= pattern.count else { return false }
        var fallback = [0]
        var length = 0
        for index in 1..<pattern.count {
            while length > 0, pattern[index] != pattern[length] { length = fallback[length - 1] }
            if pattern[index] == pattern[length] { length += 1 }
            fallback.append(length)
        }
        length = 0
        for octet in text {
            while length > 0, octet != pattern[length] { length = fallback[length - 1] }
            if octet == pattern[length] { length += 1 }
            if length == pattern.count { return true }
        }
        return false
    }
}
