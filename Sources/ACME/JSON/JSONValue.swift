/// A JSON value (RFC 8259) as certificate authorities send them. Names of a member can't come twice: two readers would read two things.
enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// The number as it is written: no ACME number needs more than an `Int`.
    case number(String)
    case string(String)
    indirect case array([JSONValue])
    indirect case object([String: JSONValue])

    var string: String? { if case .string(let text) = self { text } else { nil } }
    var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    var array: [JSONValue]? { if case .array(let values) = self { values } else { nil } }
    var object: [String: JSONValue]? { if case .object(let members) = self { members } else { nil } }
    var integer: Int? { if case .number(let text) = self { Int(text) } else { nil } }
}
