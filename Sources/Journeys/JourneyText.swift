/// Text from peers and messages, made fit for a terminal or a page.
enum JourneyText {
    /// No single piece of evidence is shown longer than this, in Unicode scalars.
    static let limit = 400

    /// Makes everything visible that could move a cursor, recolour a terminal, turn the reading direction or hide itself, and cuts what
    /// is too long. ESC comes out as `\x1B`, a right-to-left override as `\u{202E}`.
    static func neutralise(_ text: String, limit: Int = limit) -> String {
        var result = String.UnicodeScalarView()
        var count = 0
        for scalar in text.unicodeScalars {
            count += 1
            if count > limit {
                result.append("…")
                break
            }
            if isHarmless(scalar) {
                result.append(scalar)
            } else if scalar.value <= 0xFF {
                let digits = String(scalar.value, radix: 16, uppercase: true)
                result.append(contentsOf: "\\x\(digits.count < 2 ? "0" : "")\(digits)".unicodeScalars)
            } else {
                result.append(contentsOf: "\\u{\(String(scalar.value, radix: 16, uppercase: true))}".unicodeScalars)
            }
        }
        return String(result)
    }

    private static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        // Cf holds the bidirectional controls, zero-width characters and tags; Cc the controls of ASCII and Latin-1.
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }

    /// Hides the local parts of addresses but for their first character: `b…@kartapuce.test`.
    static func redact(_ text: String) -> String {
        let borders: Set<Unicode.Scalar> = ["<", ">", ",", ";", ":", " ", "\t", "(", ")", "=", "“", "”"]
        var result = String.UnicodeScalarView()
        var word = String.UnicodeScalarView()
        func flush() {
            // The last “@” is the one before the domain.
            if let at = word.lastIndex(of: "@"), let first = word.first, first != "@" {
                result.append(first)
                result.append("…")
                result.append(contentsOf: word[at...])
            } else {
                result.append(contentsOf: word)
            }
            word = String.UnicodeScalarView()
        }
        var isQuoted = false
        for scalar in text.unicodeScalars {
            if scalar == "\"" { isQuoted.toggle() }
            if borders.contains(scalar), !isQuoted {
                flush()
                result.append(scalar)
            } else {
                word.append(scalar)
            }
        }
        flush()
        return String(result)
    }

    /// `0.4 ms`, `12 ms`, `1.2 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite else { return "?" }
        let seconds = min(max(seconds, 0), 1e9)
        if seconds < 0.01 { return "\(oneDigit(seconds * 1000)) ms" }
        if seconds < 0.9995 { return "\(Int((seconds * 1000).rounded())) ms" }
        if seconds < 59.95 { return "\(oneDigit(seconds)) s" }
        let whole = Int(seconds.rounded())
        func pair(_ large: Int, _ largeUnit: String, _ small: Int, _ smallUnit: String) -> String {
            small == 0 ? "\(large) \(largeUnit)" : "\(large) \(largeUnit) \(small) \(smallUnit)"
        }
        if whole < 3600 { return pair(whole / 60, "min", whole % 60, "s") }
        if whole < 86_400 { return pair(whole / 3600, "h", whole / 60 % 60, "min") }
        return pair(whole / 86_400, "d", whole / 3600 % 24, "h")
    }

    /// `312 bytes`, `4.2 KiB`, `3.1 MiB`.
    static func size(_ octets: Int) -> String {
        if octets < 1024 { return "\(octets) byte\(octets == 1 ? "" : "s")" }
        if octets < 1 << 20 { return "\(oneDigit(Double(octets) / 1024)) KiB" }
        if octets < 1 << 30 { return "\(oneDigit(Double(octets) / Double(1 << 20))) MiB" }
        return "\(oneDigit(Double(octets) / Double(1 << 30))) GiB"
    }

    private static func oneDigit(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? String(tenths / 10) : "\(tenths / 10).\(tenths % 10)"
    }

    /// Fills up with spaces to a number of characters.
    static func pad(_ text: String, to width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
