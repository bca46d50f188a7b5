public import DNS

/// An SPF record (RFC 7208 §4.5, §12).
public struct SPFRecord: Sendable, Hashable {
    /// What a directive leads to when its mechanism matches (§4.6.2).
    public enum Qualifier: String, Sendable, Hashable, Codable {
        case pass = "+"
        case fail = "-"
        case softfail = "~"
        case neutral = "?"

        /// The result of a match.
        public var result: SPFResult {
            switch self {
            case .pass: .pass
            case .fail: .fail
            case .softfail: .softfail
            case .neutral: .neutral
            }
        }
    }

    /// A mechanism (§5). A domain that is `nil` is the one whose record it is.
    public enum Mechanism: Sendable, Hashable {
        case all
        case include(SPFMacroString)
        case a(SPFMacroString?, v4Prefix: Int, v6Prefix: Int)
        case mx(SPFMacroString?, v4Prefix: Int, v6Prefix: Int)
        case ptr(SPFMacroString?)
        case ip4(IPNetwork)
        case ip6(IPNetwork)
        case exists(SPFMacroString)
    }

    /// A qualifier with its mechanism.
    public struct Directive: Sendable, Hashable {
        public var qualifier: Qualifier
        public var mechanism: Mechanism
        /// As it is written.
        public var text: String
    }

    /// The directives in order.
    public let directives: [Directive]
    /// Where the evaluation goes on when nothing matches (§6.1).
    public let redirect: SPFMacroString?
    /// Where the explanation of a failure is (§6.2).
    public let explanation: SPFMacroString?
    /// Modifiers that nobody knows (§6), by name.
    public let unknownModifiers: [String]
    /// The record as it is written.
    public let text: String

    /// The longest record that is read; DNS has none that is longer than 64 KiB.
    public static let sizeLimit = 65_535

    /// Whether a TXT record is an SPF record (§4.5): it begins with the version, and nothing else follows at once.
    public static func isSPF(_ octets: [UInt8]) -> Bool {
        let version = Array("v=spf1".utf8)
        guard octets.count >= version.count else { return false }
        for index in version.indices where octets[index] | (version[index] >= 0x61 ? 0x20 : 0) != version[index] { return false }
        return octets.count == version.count || octets[version.count] == 0x20
    }

    /// Reads a record.
    /// - Throws: ``SPFRecordError`` for anything that the grammar of §12 doesn't have.
    public init(parsing octets: [UInt8]) throws(SPFRecordError) {
        guard octets.count <= Self.sizeLimit else { throw SPFRecordError(.tooLong, at: 0) }
        guard Self.isSPF(octets) else { throw SPFRecordError(.noVersion, at: 0) }
        if let index = octets.firstIndex(where: { !(0x20...0x7E).contains($0) }) { throw SPFRecordError(.invalidCharacter, at: index) }
        var parser = SPFRecordParser()
        var start = "v=spf1".utf8.count
        while start < octets.count {
            guard octets[start] != 0x20 else {
                start += 1
                continue
            }
            let end = octets[start...].firstIndex(of: 0x20) ?? octets.count
            try parser.term(String(decoding: octets[start..<end], as: UTF8.self), at: start)
            start = end
        }
        directives = parser.directives
        redirect = parser.redirect
        explanation = parser.explanation
        unknownModifiers = parser.unknownModifiers
        text = String(decoding: octets, as: UTF8.self)
    }

    /// Reads a record.
    public init(parsing text: String) throws(SPFRecordError) { try self.init(parsing: Array(text.utf8)) }
}

/// Why a text is no SPF record.
public struct SPFRecordError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public enum Problem: Hashable, Sendable {
        case noVersion
        case tooLong
        case invalidCharacter
        case invalidMacro
        case unknownMechanism(String)
        case missingDomain(String)
        case unexpectedArgument(String)
        case invalidDomain(String)
        case invalidAddress(String)
        case invalidPrefixLength(String)
        case invalidModifier(String)
        case repeatedModifier(String)
        case tooManyTerms
    }

    /// What is wrong.
    public var problem: Problem
    /// The octet of the record at which it was seen, from 0.
    public var offset: Int

    init(_ problem: Problem, at offset: Int) {
        self.problem = problem
        self.offset = offset
    }

    public var description: String {
        let (what, section) =
            switch problem {
            case .noVersion: ("the record doesn't begin with “v=spf1”", "4.5")
            case .tooLong: ("the record is longer than \(SPFRecord.sizeLimit) octets", "3.4")
            case .invalidCharacter: ("a character can't stand there", "12")
            case .invalidMacro: ("“%” doesn't begin a macro", "7.1")
            case .unknownMechanism(let name): ("“\(name)” is no mechanism", "4.6.1")
            case .missingDomain(let name): ("“\(name)” needs a domain", "5")
            case .unexpectedArgument(let name): ("“\(name)” takes no argument", "5")
            case .invalidDomain(let text): ("“\(text)” is no domain: it must end in a name of letters, or in a macro", "7.1")
            case .invalidAddress(let text): ("“\(text)” is no address", "5.6")
            case .invalidPrefixLength(let text): ("“\(text)” is no prefix length", "5.6")
            case .invalidModifier(let text): ("“\(text)” is no modifier", "6")
            case .repeatedModifier(let name): ("“\(name)” comes twice", "6")
            case .tooManyTerms: ("there are more than \(SPFRecordParser.termLimit) terms", "4.6.4")
            }
        return "\(what) (at octet \(offset); RFC 7208 §\(section))"
    }
}
