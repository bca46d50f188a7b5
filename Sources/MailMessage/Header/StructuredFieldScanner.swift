/// Reads the tokens of structured fields: blanks, comments, quoted strings, tokens (RFC 5322 §3.2, RFC 2045 §5.1). It
/// never goes back over what it has read, and comments nest by a counter, so its cost is linear in the field's length.
struct StructuredFieldScanner {
    let octets: [UInt8]
    var position = 0
    /// The text of the last comment that was skipped, for the old form `address (name)`.
    var lastComment: [UInt8]?

    init(_ octets: [UInt8]) { self.octets = octets }

    var isAtEnd: Bool { position >= octets.count }
    var peek: UInt8? { position < octets.count ? octets[position] : nil }

    /// Skips blanks, line ends and comments (CFWS, RFC 5322 §3.2.2). Whether there were any.
    @discardableResult
    mutating func skipCFWS() -> Bool {
        let start = position
        while let octet = peek {
            if octet.isBlank || octet == 0x0D || octet == 0x0A {
                position += 1
            } else if octet == UInt8(ascii: "(") {
                skipComment()
            } else {
                break
            }
        }
        return position > start
    }

    private mutating func skipComment() {
        var depth = 0
        var text = [UInt8]()
        while let octet = peek {
            position += 1
            switch octet {
            case UInt8(ascii: "("):
                if depth > 0 { text.append(octet) }
                depth += 1
            case UInt8(ascii: ")"):
                depth -= 1
                if depth == 0 {
                    lastComment = text
                    return
                }
                text.append(octet)
            case UInt8(ascii: "\\"):
                if let next = peek {
                    text.append(next)
                    position += 1
                }
            default:
                text.append(octet)
            }
        }
        lastComment = text
    }

    /// Takes `octet` where it comes next.
    mutating func take(_ octet: UInt8) -> Bool {
        skipCFWS()
        guard peek == octet else { return false }
        position += 1
        return true
    }

    /// A token of RFC 2045 §5.1.
    mutating func token() -> String? {
        skipCFWS()
        let start = position
        while let octet = peek, StructuredFieldScanner.isToken(octet) { position += 1 }
        return position > start ? String(decoding: octets[start..<position], as: UTF8.self) : nil
    }

    /// The content of a quoted string, without quotes and backslashes; one that does not end goes to the end of the
    /// field.
    mutating func quotedString() -> [UInt8]? {
        guard peek == UInt8(ascii: "\"") else { return nil }
        position += 1
        var content = [UInt8]()
        while let octet = peek {
            position += 1
            switch octet {
            case UInt8(ascii: "\""):
                return content
            case UInt8(ascii: "\\"):
                if let next = peek {
                    content.append(next)
                    position += 1
                }
            default:
                content.append(octet)
            }
        }
        return content
    }

    /// `*(";" attribute "=" value)`. Values without quotes may hold blanks (`filename=my file.pdf`), as senders write
    /// them.
    mutating func parameters() -> HeaderParameters {
        var found = [HeaderParameter]()
        while !isAtEnd, found.count < HeaderParameters.limit {
            skipCFWS()
            guard let octet = peek else { break }
            guard octet == UInt8(ascii: ";") else {
                skipToSemicolon()
                continue
            }
            position += 1
            guard let name = token(), take(UInt8(ascii: "=")) else { continue }
            skipCFWS()
            if let quoted = quotedString() {
                found.append(HeaderParameter(name: name.lowercased(), value: Charset.headerText(quoted)))
            } else {
                let start = position
                while let octet = peek, octet != UInt8(ascii: ";"), octet != UInt8(ascii: "(") { position += 1 }
                var value = octets[start..<position]
                while let last = value.last, last.isBlank || last == 0x0D || last == 0x0A { value.removeLast() }
                if value.isEmpty { continue }
                found.append(HeaderParameter(name: name.lowercased(), value: Charset.headerText(Array(value))))
            }
        }
        return HeaderParameters(found)
    }

    private mutating func skipToSemicolon() {
        while let octet = peek, octet != UInt8(ascii: ";") {
            if octet == UInt8(ascii: "\"") { _ = quotedString() } else { position += 1 }
        }
    }

    /// Any octet but CTLs, SP and tspecials (RFC 2045 §5.1); octets over 127 are taken too.
    static func isToken(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "@"),
            UInt8(ascii: ","),
            UInt8(ascii: ";"), UInt8(ascii: ":"), UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "/"),
            UInt8(ascii: "["),
            UInt8(ascii: "]"), UInt8(ascii: "?"), UInt8(ascii: "="), 0...32, 127:
            false
        default: true
        }
    }
}
