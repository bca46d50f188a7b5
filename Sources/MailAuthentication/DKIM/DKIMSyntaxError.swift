/// Why a text is no DKIM-Signature, no key record, or no field of an ARC set.
public struct DKIMSyntaxError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong.
    public enum Problem: Sendable, Hashable {
        /// The text is no list of tags (RFC 6376 §3.2).
        case tagList(TagListError)
        /// A tag that must be there is absent.
        case missingTag
        /// A tag's value is outside of its grammar.
        case invalidValue
        /// A version other than the one that exists.
        case unsupportedVersion
        /// An algorithm, or a type of key, that is unknown here.
        case unsupportedAlgorithm
        /// The signature says that it doesn't cover From.
        case fromNotSigned
        /// `i=` names a domain that `d=` isn't responsible for.
        case identityOutsideDomain
        /// No method of `q=` is known.
        case unsupportedQueryMethod
        /// More octets, or more names, than the limit.
        case tooLarge
    }
    /// What is wrong.
    public var problem: Problem
    /// The tag's name; `nil` where the text as a whole is meant.
    public var tag: String?
    /// The section that says so.
    public var section: String

    init(_ problem: Problem, tag: String? = nil, section: String) {
        self.problem = problem
        self.tag = tag
        self.section = section
    }

    public var description: String {
        let name = tag.map { "“\($0)=”" } ?? "the text"
        switch problem {
        case .tagList(let error): return "no list of tags: \(error)"
        case .missingTag: return "\(name) is absent (\(section))"
        case .invalidValue: return "\(name) has a value outside of its grammar (\(section))"
        case .unsupportedVersion: return "\(name) names another version than the one that exists (\(section))"
        case .unsupportedAlgorithm: return "\(name) names an algorithm that is unknown here (\(section))"
        case .fromNotSigned: return "\(name) doesn't cover the From field (\(section))"
        case .identityOutsideDomain: return "\(name) isn't the domain of “d=” or below it (\(section))"
        case .unsupportedQueryMethod: return "\(name) names no known way to look up the key (\(section))"
        case .tooLarge: return "\(name) is over the limit (\(section))"
        }
    }

    /// The word of RFC 8601 §2.7.1 for a signature with this error: `neutral` where it can't be read, `permerror` where it can be read
    /// and can never pass.
    var result: DKIMResult {
        switch problem {
        case .tagList, .invalidValue, .tooLarge: .neutral
        case .missingTag, .unsupportedVersion, .unsupportedAlgorithm, .fromNotSigned, .identityOutsideDomain, .unsupportedQueryMethod: .permerror
        }
    }
}

/// The words for what came of a signature (RFC 8601 §2.7.1).
public enum DKIMResult: String, Sendable, Hashable, Codable, CaseIterable {
    case none, pass, fail, policy, neutral, temperror, permerror
}
