/// What a server found when it authenticated a message: the content of an Authentication-Results field (RFC 8601 §2.2).
///
/// Example: `Authentication-Results: mx.kartapuce.test; spf=pass smtp.mailfrom=gmail.test; dmarc=pass header.from=gmail.test`
public struct AuthenticationResults: Sendable, Hashable, Codable {
    /// The result of one method.
    public struct MethodResult: Sendable, Hashable, Codable {
        /// The method, such as `spf`, in lower case.
        public var method: String
        /// The method's version; `nil` stands for 1.
        public var methodVersion: Int?
        /// The result, such as `pass`, in lower case.
        public var result: String
        /// Why, as the server says it.
        public var reason: String?
        /// What was looked at.
        public var properties: [Property]
        /// Comments between the parts, without parentheses.
        public var comments: [String]

        /// Makes a result.
        public init(
            method: String, methodVersion: Int? = nil, result: String, reason: String? = nil, properties: [Property] = [], comments: [String] = []
        ) {
            self.method = method
            self.methodVersion = methodVersion
            self.result = result
            self.reason = reason
            self.properties = properties
            self.comments = comments
        }

        /// The value of the first property of this type and name; the case of letters doesn't count.
        public func value(_ type: String, _ name: String) -> String? {
            properties.first { $0.type == type.lowercased() && $0.name == name.lowercased() }?.value
        }
    }

    /// Something that was looked at: `ptype.property=value` (RFC 8601 §2.3).
    public struct Property: Sendable, Hashable, Codable {
        /// Where it comes from: `smtp`, `header`, `body`, `policy`; empty in the form `action=none` that some servers write.
        public var type: String
        /// What it is, such as `mailfrom`.
        public var name: String
        /// The value without quotes.
        public var value: String

        /// Makes a property.
        public init(_ type: String, _ name: String, _ value: String) {
            self.type = type
            self.name = name
            self.value = value
        }
    }

    /// Something in a field that RFC 8601 §2.2 doesn't allow and that was read nevertheless.
    public enum Deviation: String, Sendable, Hashable, Codable, CaseIterable {
        /// A semicolon behind the last result, or two in a row.
        case emptyResult
        /// No name of a server in front of the first result.
        case missingIdentifier
        /// A value with octets that must be quoted.
        case unquotedValue
        /// A property without a type.
        case untypedProperty
        /// The version behind a slash in place of a blank.
        case slashedVersion
        /// Neither a result nor `none`.
        case noResult
        /// Octets that are no UTF-8.
        case invalidUTF8
        /// Words that mean nothing where they stand; they are left out.
        case strayText
    }

    /// The server that answers for the results (`authserv-id`); empty where none is named.
    public var identifier: String
    /// The version of the field's grammar; `nil` stands for 1.
    public var version: Int?
    /// The results in order; none where nothing was authenticated (`none`).
    public var results: [MethodResult]
    /// Comments in front of the first result.
    public var comments: [String]
    /// What was unusual when it was read.
    public var deviations: [Deviation] = []

    /// Makes results.
    public init(identifier: String, version: Int? = nil, results: [MethodResult] = [], comments: [String] = []) {
        self.identifier = identifier
        self.version = version
        self.results = results
        self.comments = comments
    }

    /// Whether the version is the only one there is (RFC 8601 §2.2).
    public var isKnownVersion: Bool { version == nil || version == 1 }

    /// The results of one method.
    public func results(of method: String) -> [MethodResult] { results.filter { $0.method == method.lowercased() } }
}

/// Why a text is no Authentication-Results value.
public struct AuthenticationResultsError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// What is wrong.
    public enum Code: String, Hashable, Sendable, Codable {
        case empty
        case tooLong
        case controlCharacter
        case unterminatedComment
        case unterminatedQuotedString
        case invalidIdentifier
        case invalidVersion
        case invalidMethod
        case invalidResult
        case invalidProperty
        case tooManyResults
    }

    /// What is wrong.
    public let code: Code
    /// The octet at which it was seen, from 0.
    public let offset: Int

    init(_ code: Code, at offset: Int) {
        self.code = code
        self.offset = offset
    }

    public var description: String {
        let what =
            switch code {
            case .empty: "there is nothing in the field"
            case .tooLong: "the field has more than \(AuthenticationResults.octetLimit) octets"
            case .controlCharacter: "a control character stands there"
            case .unterminatedComment: "a comment has no end"
            case .unterminatedQuotedString: "a quoted string has no end"
            case .invalidIdentifier: "the field doesn't begin with the name of a server"
            case .invalidVersion: "the version is no number"
            case .invalidMethod: "a result doesn't begin with “method=”"
            case .invalidResult: "a method has no result"
            case .invalidProperty: "a property is not “ptype.property=value”"
            case .tooManyResults: "there are more than \(AuthenticationResults.resultLimit) results or properties"
            }
        return "\(what) (at octet \(offset); RFC 8601 §2.2)"
    }
}
