/// A problem document (RFC 8555 §6.7, RFC 7807): what the server says is wrong.
public struct ACMEProblem: Hashable, Sendable, CustomStringConvertible {
    /// The kinds of problems, by the last part of their URN (RFC 8555 §6.7, RFC 9773 §7.4); others keep their own name.
    public struct Kind: RawRepresentable, Hashable, Sendable, Codable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        public static let accountDoesNotExist = Kind(rawValue: "accountDoesNotExist")
        public static let alreadyReplaced = Kind(rawValue: "alreadyReplaced")
        public static let alreadyRevoked = Kind(rawValue: "alreadyRevoked")
        public static let badCSR = Kind(rawValue: "badCSR")
        public static let badNonce = Kind(rawValue: "badNonce")
        public static let badPublicKey = Kind(rawValue: "badPublicKey")
        public static let badRevocationReason = Kind(rawValue: "badRevocationReason")
        public static let badSignatureAlgorithm = Kind(rawValue: "badSignatureAlgorithm")
        public static let caa = Kind(rawValue: "caa")
        public static let compound = Kind(rawValue: "compound")
        public static let connection = Kind(rawValue: "connection")
        public static let dns = Kind(rawValue: "dns")
        public static let externalAccountRequired = Kind(rawValue: "externalAccountRequired")
        public static let incorrectResponse = Kind(rawValue: "incorrectResponse")
        public static let invalidContact = Kind(rawValue: "invalidContact")
        public static let malformed = Kind(rawValue: "malformed")
        public static let orderNotReady = Kind(rawValue: "orderNotReady")
        public static let rateLimited = Kind(rawValue: "rateLimited")
        public static let rejectedIdentifier = Kind(rawValue: "rejectedIdentifier")
        public static let serverInternal = Kind(rawValue: "serverInternal")
        public static let tls = Kind(rawValue: "tls")
        public static let unauthorized = Kind(rawValue: "unauthorized")
        public static let unsupportedContact = Kind(rawValue: "unsupportedContact")
        public static let unsupportedIdentifier = Kind(rawValue: "unsupportedIdentifier")
        public static let userActionRequired = Kind(rawValue: "userActionRequired")
        /// The server said nothing that can be read.
        public static let unspecified = Kind(rawValue: "about:blank")
    }

    /// Which kind.
    public let kind: Kind
    /// The server's words, for an operator: one line, at most 500 characters.
    public let detail: String
    /// The status of the answer it came with.
    public let status: Int?
    /// A page with more, or with what is to be done (RFC 8555 §7.3.3).
    public let instance: String?
    /// What is wrong with each name (RFC 8555 §6.7.1).
    public let subproblems: [Subproblem]

    /// What is wrong with one name.
    public struct Subproblem: Hashable, Sendable {
        /// The name, as the server writes it.
        public let identifier: String?
        /// Which kind.
        public let kind: Kind
        /// The server's words.
        public let detail: String
    }

    public var description: String {
        let parts = ["\(kind.rawValue)\(status.map { " (HTTP \($0))" } ?? "")", detail] + subproblems.map { "\($0.identifier ?? "?"): \($0.detail)" }
        return parts.filter { !$0.isEmpty }.joined(separator: ": ") + (instance.map { "; see \($0)" } ?? "")
    }

    private static let prefix = "urn:ietf:params:acme:error:"
    private static let subproblemLimit = 100

    init(_ value: JSONValue?, status: Int?) {
        let members = value?.object ?? [:]
        kind = Self.kind(members["type"])
        detail = Self.line(members["detail"] ?? members["title"])
        self.status = status ?? members["status"]?.integer
        instance = members["instance"]?.string.map { Self.line(.string($0)) }
        subproblems = (members["subproblems"]?.array ?? []).prefix(Self.subproblemLimit).compactMap(\.object).map {
            Subproblem(
                identifier: $0["identifier"]?.object?["value"].map { Self.line($0) }, kind: Self.kind($0["type"]), detail: Self.line($0["detail"]))
        }
    }

    private static func kind(_ value: JSONValue?) -> Kind {
        let text = line(value)
        guard text.hasPrefix(prefix) else { return text.isEmpty ? .unspecified : Kind(rawValue: text) }
        return Kind(rawValue: String(text.dropFirst(prefix.count)))
    }

    /// A stranger's words go into logs: one line without controls.
    private static func line(_ value: JSONValue?) -> String {
        let scalars = (value?.string ?? "").unicodeScalars.prefix(500).map { scalar -> Unicode.Scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: " "
            default: scalar
            }
        }
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars)
        return text
    }
}
