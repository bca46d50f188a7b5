/// Text as it stands between two tags of XML: no value can become markup.
package enum XMLText {
    /// The text with what means something there escaped. What XML 1.0 §2.2 has no way to write becomes U+FFFD.
    package static func escaped(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x26: result.append(contentsOf: "&amp;".unicodeScalars)
            case 0x3C: result.append(contentsOf: "&lt;".unicodeScalars)
            case 0x3E: result.append(contentsOf: "&gt;".unicodeScalars)
            // Line ends in values would come back as others (XML 1.0 §2.11), and nothing of ours has them.
            case 0x09, 0x0A, 0x0D: result.append(" ")
            case 0..<0x20, 0xFFFE, 0xFFFF: result.append("\u{FFFD}")
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}
