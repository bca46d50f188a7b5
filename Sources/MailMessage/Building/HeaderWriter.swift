public import NIOCore

/// Writes header fields: folded lines, text of other character sets as encoded-words where the message must stay ASCII
/// (RFC 5322 §2.2.3, RFC 2047).
///
/// Control characters in values become blanks, so that no value can begin another field, whoever it came from.
public struct HeaderWriter: Sendable {
    /// What was written.
    public private(set) var buffer = ByteBuffer()
    /// Whether UTF-8 is written as it is (RFC 6532): only in messages that travel with SMTPUTF8.
    public let allowsUTF8: Bool

    /// The length that lines should keep (RFC 5322 §2.1.1).
    static let preferredLineLength = 78
    /// The length that lines must keep (RFC 5322 §2.1.1), with room for what a peer may count.
    static let largestLineLength = 990

    /// Begins an empty header section.
    public init(allowsUTF8: Bool = false) { self.allowsUTF8 = allowsUTF8 }

    /// Writes a field whose value is text, such as Subject: with encoded-words where it is not ASCII.
    public mutating func unstructured(_ name: String, _ text: String) {
        let clean = HeaderWriter.withoutControls(text)
        let words = HeaderWriter.words(clean)
        // A word that is no line any more would be cut; as encoded-words it comes back whole.
        let mayStay = !HeaderWriter.looksEncoded(clean) && words.allSatisfy { $0.utf8.count <= HeaderWriter.longestWord }
        if mayStay, allowsUTF8 || clean.utf8.allSatisfy({ $0 < 0x80 }) {
            write(name, words: words.map(\.utf8))
        } else {
            write(name, words: EncodedWord.encode(clean, firstLineUsed: name.utf8.count + 2).map(\.utf8))
        }
    }

    private static let longestWord = 900

    /// Writes a field whose value follows a grammar; it is folded at its blanks and otherwise written as it is, also
    /// what is not ASCII.
    public mutating func structured(_ name: String, _ value: String) {
        // By octets, as words(_:).
        write(name, words: HeaderWriter.withoutControls(value).utf8.split(separator: UInt8(ascii: " ")))
    }

    /// Writes a date-time (RFC 5322 §3.3).
    public mutating func date(_ name: String, _ date: MessageDate) { structured(name, date.description) }

    /// Writes an address list (RFC 5322 §3.4); names become quoted strings or encoded-words where they must. An address
    /// that is not ASCII is written as it is: it needs SMTPUTF8 anyway.
    public mutating func addresses(_ name: String, _ mailboxes: [HeaderMailbox]) {
        var words = [String]()
        for (index, mailbox) in mailboxes.enumerated() {
            // In quotes nothing is an encoded-word (RFC 2047 §5): one that began in an address would end in the next one.
            let local =
                HeaderWriter.looksEncoded(mailbox.localPart)
                ? EmailAddress.quotedString(mailbox.localPart) : EmailAddress(localPart: mailbox.localPart, canonicalDomain: "").quotedLocalPart
            let address = HeaderWriter.withoutControls(mailbox.domain.isEmpty ? local : "\(local)@\(mailbox.domain)")
            let comma = index + 1 < mailboxes.count ? "," : ""
            if let display = mailbox.displayName, !display.isEmpty {
                words += phrase(HeaderWriter.withoutControls(display), firstLineUsed: name.utf8.count + 2)
                words.append("<\(address)>\(comma)")
            } else {
                words.append("\(address)\(comma)")
            }
        }
        write(name, words: words.map(\.utf8))
    }

    /// Writes the empty line that ends the section.
    public mutating func endSection() { buffer.writeStaticString("\r\n") }

    /// A `phrase` of RFC 5322 §3.2.5.
    private func phrase(_ text: String, firstLineUsed: Int) -> [String] {
        let isASCII = text.utf8.allSatisfy { $0 < 0x80 }
        guard isASCII || allowsUTF8, !HeaderWriter.looksEncoded(text) else {
            return EncodedWord.encode(text, firstLineUsed: firstLineUsed)
        }
        let isAtoms = text.utf8.allSatisfy { EmailAddress.isAtomText($0) || $0 == 0x20 }
        let words = HeaderWriter.words(isAtoms ? text : EmailAddress.quotedString(text))
        // A word that is no line any more would be cut; as encoded-words it comes back whole.
        guard words.allSatisfy({ $0.utf8.count <= HeaderWriter.longestWord }) else { return EncodedWord.encode(text, firstLineUsed: firstLineUsed) }
        return words
    }

    private mutating func write(_ name: String, words: [some Collection<UInt8>]) {
        for octet in name.utf8 where (33...126).contains(octet) && octet != UInt8(ascii: ":") { buffer.writeInteger(octet) }
        buffer.writeStaticString(":")
        var column = name.utf8.count + 1
        var isFirst = true
        for word in words {
            let length = word.count
            if !isFirst, column + 1 + length > HeaderWriter.preferredLineLength {
                buffer.writeStaticString("\r\n")
                column = 0
            }
            buffer.writeStaticString(" ")
            column += 1
            isFirst = false
            if column + length > HeaderWriter.largestLineLength {
                writeBroken(Array(word)[...], &column)
            } else {
                buffer.writeBytes(word)
                column += length
            }
        }
        buffer.writeStaticString("\r\n")
    }

    /// A word that no line can hold is broken: a blank too many is better than a line that relays refuse.
    private mutating func writeBroken(_ word: ArraySlice<UInt8>, _ column: inout Int) {
        var rest = word
        while column + rest.count > HeaderWriter.largestLineLength {
            var cut = rest.startIndex + max(1, HeaderWriter.largestLineLength - column)
            while cut > rest.startIndex + 1, rest[cut] & 0xC0 == 0x80 { cut -= 1 }
            buffer.writeBytes(rest[..<cut])
            buffer.writeStaticString("\r\n ")
            rest = rest[cut...]
            column = 1
        }
        buffer.writeBytes(rest)
        column += rest.count
    }

    /// The words between blanks. Octets are looked at, not characters: a blank with a combining mark behind it is a blank.
    static func words(_ text: String) -> [String] { text.utf8.split(separator: UInt8(ascii: " ")).map { String(Substring($0)) } }

    /// Whether an encoded-word (RFC 2047 §2) may be seen in a text. Octets are looked at, as those who read it do.
    private static func looksEncoded(_ text: String) -> Bool {
        var isAfterEquals = false
        for octet in text.utf8 {
            if isAfterEquals, octet == UInt8(ascii: "?") { return true }
            isAfterEquals = octet == UInt8(ascii: "=")
        }
        return false
    }

    /// Control characters of ASCII, C1 and the separators of Unicode lines as blanks.
    static func withoutControls(_ text: String) -> String {
        if text.utf8.allSatisfy({ (32..<127).contains($0) }) { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0..<32, 127..<160, 0x2028, 0x2029: result.append(" ")
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}

extension EncodedWord {
    /// The longest encoded-word (RFC 2047 §2).
    private static let largestWord = 75

    /// A text as encoded-words of UTF-8 that can stand in a phrase too, each of at most 75 octets and of whole
    /// characters (RFC 2047 §5). B or Q, whichever is shorter.
    static func encode(_ text: String, firstLineUsed: Int) -> [String] {
        let octets = Array(text.utf8)
        let safe = octets.count { isSafeInQ($0) || $0 == 0x20 }
        let usesQ = safe + 3 * (octets.count - safe) <= (octets.count + 2) / 3 * 4
        let overhead = "=?utf-8?q??=".utf8.count
        var words = [String]()
        var current = [UInt8]()
        var length = 0
        var room = min(largestWord, max(30, HeaderWriter.preferredLineLength - firstLineUsed)) - overhead
        func finish() {
            guard !current.isEmpty else { return }
            let encoded = usesQ ? current.flatMap(q) : Base64.encode(current)
            words.append("=?utf-8?\(usesQ ? "q" : "b")?\(String(decoding: encoded, as: UTF8.self))?=")
            current = []
            length = 0
            room = largestWord - overhead
        }
        for scalar in text.unicodeScalars {
            let character = Array(UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            let longer = usesQ ? length + character.flatMap(q).count : (current.count + character.count + 2) / 3 * 4
            if longer > room { finish() }
            current += character
            length = usesQ ? length + character.flatMap(q).count : current.count
        }
        finish()
        return words
    }

    /// What may stand for itself in the Q encoding of a phrase (RFC 2047 §5 (3)).
    private static func isSafeInQ(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "!"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "/"):
            true
        default: false
        }
    }

    private static func q(_ octet: UInt8) -> [UInt8] {
        if octet == 0x20 { return [UInt8(ascii: "_")] }
        if isSafeInQ(octet) { return [octet] }
        let digits = Array("0123456789ABCDEF".utf8)
        return [UInt8(ascii: "="), digits[Int(octet >> 4)], digits[Int(octet & 15)]]
    }
}
