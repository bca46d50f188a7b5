/// Writes a field that is a list of tags, with folds before column 77 wherever the grammar allows one (RFC 6376 §3.2, §3.5).
struct DKIMTagWriter {
    private(set) var text: String
    private var column: Int
    private var isFirst = true
    private static let columnLimit = 76

    init(_ name: String) {
        text = name + ":"
        column = text.utf8.count
    }

    /// A tag whose value has no place for a fold.
    mutating func tag(_ name: String, _ value: String) {
        separate()
        token(" \(name)=\(value)", following: 1)
    }

    /// A tag of words between colons.
    mutating func list(_ name: String, _ values: [String]) {
        guard !values.isEmpty else { return tag(name, "") }
        separate()
        for (index, value) in values.enumerated() {
            token(index == 0 ? " \(name)=\(value)" : value, following: 1)
            if index + 1 < values.count { append(":") }
        }
    }

    /// A tag of base64, which may be folded anywhere.
    mutating func base64(_ name: String, _ value: String) {
        begin(name)
        var rest = Substring(value)
        while !rest.isEmpty {
            if column >= Self.columnLimit { fold() }
            let part = rest.prefix(max(1, Self.columnLimit - column))
            append(String(part))
            rest = rest.dropFirst(part.count)
        }
    }

    /// The name of a tag, and nothing of its value.
    mutating func begin(_ name: String) {
        separate()
        token(" \(name)=", following: 8)
    }

    private mutating func separate() {
        if !isFirst { append(";") }
        isFirst = false
    }

    private mutating func append(_ part: String) {
        text += part
        column += part.utf8.count
    }

    private mutating func fold() {
        text += "\r\n\t"
        column = 8
    }

    /// Something that stays in one piece; what follows it must have room on its line.
    private mutating func token(_ part: String, following: Int) {
        guard column + part.utf8.count + following > Self.columnLimit else { return append(part) }
        fold()
        append(part.hasPrefix(" ") ? String(part.dropFirst()) : part)
    }
}
