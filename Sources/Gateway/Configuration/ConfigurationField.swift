import Yams

/// A key of `postern.yaml`, for people: what `postern config keys` prints.
public struct ConfigurationKey: Sendable, Hashable, Codable {
    /// The key's own name: `recipients`.
    public internal(set) var name: String
    /// The key with those above it: `limits.recipients`, `listeners[].port`, `peers.<role>.host`.
    public internal(set) var path: String
    /// What may be written: `size`, `duration`, `list of domain names`…
    public internal(set) var type: String
    /// The value that holds where the key is absent, as it would be written; `none` where there is none.
    public internal(set) var defaultValue: String
    /// Whether the key must be there.
    public internal(set) var isRequired: Bool
    /// What it means.
    public internal(set) var meaning: String
    /// A value as it may be written.
    public internal(set) var example: String
}

/// How values of one type are read, checked and shown.
struct ConfigurationValue<Value>: Sendable {
    /// The type's name in the documentation.
    let name: String
    /// Reads a node; reports what is wrong and returns nothing then.
    let read: @Sendable (Node, inout ConfigurationReader) -> Value?
    /// The value as it would be written.
    let show: @Sendable (Value) -> String

    /// The same for a property that may be absent.
    var optional: ConfigurationValue<Value?> {
        .init(name: name, read: { node, reader in read(node, &reader).map { .some($0) } }, show: { $0.map(show) ?? "none" })
    }

    /// A list of such values; a single one may stand without brackets. Faulty elements are reported and left out.
    func list(minimum: Int = 0) -> ConfigurationValue<[Value]> {
        .init(
            name: "list of \(name)",
            read: { node, reader in
                guard case .sequence(let elements) = node else {
                    return read(node, &reader).map { [$0] }
                }
                if elements.count < minimum {
                    reader.reportError(at: node, "must have at least \(minimum) element(s)")
                }
                return elements.compactMap { read($0, &reader) }
            },
            show: { $0.isEmpty ? "[]" : "[\($0.map(show).joined(separator: ", "))]" }
        )
    }
}

/// One key of a mapping: its documentation and how it is read, in one place so that neither can be without the other.
struct ConfigurationField<Target>: Sendable {
    let key: ConfigurationKey
    /// The keys below this one, with paths that begin below it.
    let children: [ConfigurationKey]
    let read: @Sendable (inout Target, Node, inout ConfigurationReader) -> Void

    /// A key that sets a property.
    init<Value>(
        _ name: String, _ property: any WritableKeyPath<Target, Value> & Sendable, _ value: ConfigurationValue<Value>, in initial: Target,
        required: Bool = false, example: String, _ meaning: String
    ) {
        key = .init(
            name: name, path: name, type: value.name, defaultValue: required ? "none" : value.show(initial[keyPath: property]),
            isRequired: required, meaning: meaning, example: example)
        children = []
        read = { target, node, reader in
            if let result = value.read(node, &reader) { target[keyPath: property] = result }
        }
    }

    /// A key with a mapping below it.
    init<Section>(
        _ name: String, _ property: any WritableKeyPath<Target, Section> & Sendable, fields: [ConfigurationField<Section>], _ meaning: String
    ) {
        key = .init(
            name: name, path: name, type: "mapping", defaultValue: "the defaults of its keys", isRequired: false, meaning: meaning,
            example: "{\(fields.first.map { "\($0.key.name): \($0.key.example)" } ?? "")}")
        children = ConfigurationField<Section>.flatten(fields, below: name)
        read = { target, node, reader in reader.readMapping(node, fields, into: &target[keyPath: property]) }
    }

    /// A key with a form of its own.
    init(
        _ name: String, type: String, defaultValue: String, example: String, children: [ConfigurationKey], _ meaning: String,
        read: @escaping @Sendable (inout Target, Node, inout ConfigurationReader) -> Void
    ) {
        key = .init(
            name: name, path: name, type: type, defaultValue: defaultValue, isRequired: false, meaning: meaning, example: example)
        self.children = children
        self.read = read
    }

    /// The documentation of fields and everything below them.
    static func flatten(_ fields: [ConfigurationField<Target>], below prefix: String) -> [ConfigurationKey] {
        fields.flatMap { field in
            ([field.key] + field.children).map { key in
                var key = key
                key.path = prefix.isEmpty ? key.path : "\(prefix).\(key.path)"
                return key
            }
        }
    }
}
