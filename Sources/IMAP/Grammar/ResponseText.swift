/// How strings are written in answers (RFC 9051 §4.3).
enum ResponseText {
    /// A quoted string. For text without CR, LF and NUL only.
    static func quoted(_ text: String) -> String {
        var written = "\""
        for character in text.unicodeScalars {
            if character == "\"" || character == "\\" { written.unicodeScalars.append("\\") }
            written.unicodeScalars.append(character)
        }
        return written + "\""
    }
}
