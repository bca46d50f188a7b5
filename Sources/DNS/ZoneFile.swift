/// Reads a master file (RFC 1035 §5.1) into a resolver, so that what was asked of the DNS can be asked again, the same and without a network.
///
/// Beyond the RFC there are comment lines that make names fail: `;!SERVFAIL name. TYPE`, `;!TIMEOUT name. TYPE`, `;!BOGUS name. TYPE` (`*` for every
/// type), and `;!SECURE zone.`, which signs a zone.
public enum ZoneFile {
    /// The longest file that is read, in octets.
    public static let sizeLimit = 64 << 20

    /// Reads a zone.
    /// - Throws: ``ZoneFileError`` that names the line.
    public static func resolver(parsing text: String) throws(ZoneFileError) -> ZoneResolver {
        guard text.utf8.count <= sizeLimit else { throw ZoneFileError(1, "the file is larger than 64 MiB") }
        var reader = ZoneFileReader()
        // Some editors write a byte order mark.
        var scanner = ZoneFileScanner(Array((text.hasPrefix("\u{FEFF}") ? text.dropFirst() : text[...]).utf8))
        while let entry = try scanner.next() { try reader.take(entry) }
        return reader.resolver
    }
}

/// Why a text is no zone.
public struct ZoneFileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The line, from 1.
    public var line: Int
    /// What is wrong with it.
    public var reason: String

    init(_ line: Int, _ reason: String) {
        self.line = line
        self.reason = reason
    }

    public var description: String { "line \(line): \(reason) (RFC 1035 §5.1)" }
}

/// An entry of a master file: its words, across lines where parentheses say so.
struct ZoneFileEntry {
    struct Word {
        /// With escapes resolved.
        var octets: [UInt8]
        /// With dots and backslashes that were escaped still escaped: for names.
        var text: String
        var isQuoted: Bool
        /// Written as `\#`, the beginning of data in hexadecimal digits (RFC 3597 §5).
        var isGeneric = false
    }
    var line: Int
    /// A blank before the first word: the entry is of the name before.
    var startsWithBlank: Bool
    var words: [Word]
    /// What a line `;!…` says.
    var directive: String?
}

/// Takes a master file apart.
struct ZoneFileScanner {
    private let octets: [UInt8]
    private var position = 0
    private var line = 1

    init(_ octets: [UInt8]) { self.octets = octets }

    /// The next entry that isn't empty.
    mutating func next() throws(ZoneFileError) -> ZoneFileEntry? {
        while position < octets.count {
            let entry = try scan()
            if !entry.words.isEmpty || entry.directive != nil { return entry }
        }
        return nil
    }

    private mutating func scan() throws(ZoneFileError) -> ZoneFileEntry {
        var entry = ZoneFileEntry(line: line, startsWithBlank: false, words: [], directive: nil)
        if position < octets.count, octets[position] == 0x20 || octets[position] == 0x09 { entry.startsWithBlank = true }
        var depth = 0
        while position < octets.count {
            let octet = octets[position]
            switch octet {
            case 0x0A:
                position += 1
                line += 1
                if depth == 0 { return entry }
            case 0x20, 0x09, 0x0D: position += 1
            case UInt8(ascii: ";"):
                let start = position
                while position < octets.count, octets[position] != 0x0A { position += 1 }
                if entry.words.isEmpty, start + 1 < position, octets[start + 1] == UInt8(ascii: "!") {
                    entry.directive = String(decoding: octets[start + 2..<position], as: UTF8.self)
                }
            case UInt8(ascii: "("):
                depth += 1
                position += 1
            case UInt8(ascii: ")"):
                guard depth > 0 else { throw ZoneFileError(line, "a parenthesis closes that was never opened") }
                depth -= 1
                position += 1
            default: entry.words.append(try word())
            }
        }
        guard depth == 0 else { throw ZoneFileError(entry.line, "a parenthesis is never closed") }
        return entry
    }

    private mutating func word() throws(ZoneFileError) -> ZoneFileEntry.Word {
        let isQuoted = octets[position] == UInt8(ascii: "\"")
        if isQuoted { position += 1 }
        let start = position
        var value: [UInt8] = []
        var text: [UInt8] = []
        while position < octets.count {
            let octet = octets[position]
            if isQuoted {
                if octet == UInt8(ascii: "\"") {
                    position += 1
                    return .init(octets: value, text: String(decoding: text, as: UTF8.self), isQuoted: true)
                }
                if octet == 0x0A { line += 1 }
            } else if octet <= 0x20 || octet == UInt8(ascii: ";") || octet == UInt8(ascii: "(") || octet == UInt8(ascii: ")") || octet == UInt8(ascii: "\"") {
                break
            }
            position += 1
            guard octet == UInt8(ascii: "\\") else {
                value.append(octet)
                text.append(octet)
                continue
            }
            let escaped = try escape()
            value.append(escaped)
            if escaped == UInt8(ascii: ".") || escaped == UInt8(ascii: "\\") { text.append(UInt8(ascii: "\\")) }
            text.append(escaped)
        }
        guard !isQuoted else { throw ZoneFileError(line, "a quoted text is never closed") }
        guard position > start else { throw ZoneFileError(line, "a control character can't stand there") }
        return .init(
            octets: value, text: String(decoding: text, as: UTF8.self), isQuoted: false,
            isGeneric: octets[start..<position].elementsEqual("\\#".utf8))
    }

    private mutating func escape() throws(ZoneFileError) -> UInt8 {
        guard position < octets.count else { throw ZoneFileError(line, "the file ends after a backslash") }
        let first = octets[position]
        position += 1
        guard (0x30...0x39).contains(first) else { return first }
        var value = Int(first - 0x30)
        for _ in 0..<2 {
            guard position < octets.count, (0x30...0x39).contains(octets[position]) else {
                throw ZoneFileError(line, "a backslash with a digit needs three digits")
            }
            value = value * 10 + Int(octets[position] - 0x30)
            position += 1
        }
        guard value < 256 else { throw ZoneFileError(line, "\\\(value) is no octet") }
        return UInt8(value)
    }
}
