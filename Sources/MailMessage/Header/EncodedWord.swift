/// Encoded-words: text of other character sets in header fields (RFC 2047).
public enum EncodedWord {
    /// Decodes the encoded-words of an unfolded value; blanks between two of them vanish (RFC 2047 §6.2), and octets of
    /// one character that a sender split over two words are joined. Words of an unknown character set stay as they are
    /// written.
    public static func decode(_ octets: [UInt8]) -> String {
        guard octets.contains(UInt8(ascii: "=")) else { return Charset.headerText(octets) }
        return String(decoding: decodedOctets(octets), as: UTF8.self)
    }

    /// As ``decode(_:)``, as valid UTF-8.
    package static func decodedOctets(_ octets: [UInt8]) -> [UInt8] {
        var result = [UInt8]()
        result.reserveCapacity(octets.count)
        var pending: (charset: Charset, octets: [UInt8])?
        var plain = 0..<0
        var index = 0
        func flush() {
            if let word = pending { word.charset.decode(word.octets, into: &result) }
            pending = nil
        }
        while index < octets.count {
            if octets[index] == UInt8(ascii: "="), let word = parse(octets, at: index),
                let charset = Charset(name: word.charset) ?? Charset(name: word.charset, ofASCII: word.octets)
            {
                let onlyBlanksBefore = octets[plain].allSatisfy(\.isBlank)
                if pending == nil || !onlyBlanksBefore {
                    flush()
                    Charset.headerText(octets[plain], into: &result)
                }
                if pending?.charset == charset {
                    pending?.octets += word.octets
                } else {
                    flush()
                    pending = (charset, word.octets)
                }
                index = word.end
                plain = index..<index
            } else {
                index += 1
                plain = plain.lowerBound..<index
            }
        }
        flush()
        Charset.headerText(octets[plain], into: &result)
        return result
    }

    /// Decodes the encoded-words of a text.
    public static func decode(_ text: some StringProtocol) -> String { decode(Array(text.utf8)) }

    /// Where the encoded-word that begins at `index` ends; `nil` where none begins there.
    static func end(_ octets: [UInt8], at index: Int) -> Int? { parse(octets, at: index)?.end }

    /// `"=?" charset ["*" language] "?" encoding "?" encoded-text "?="` (RFC 2047 §2, RFC 2231 §5).
    private static func parse(_ octets: [UInt8], at start: Int) -> (charset: String, octets: [UInt8], end: Int)? {
        guard start + 1 < octets.count, octets[start] == UInt8(ascii: "="), octets[start + 1] == UInt8(ascii: "?")
        else { return nil }
        var index = start + 2
        var charset = [UInt8]()
        while index < octets.count, octets[index] != UInt8(ascii: "?") {
            guard (33...126).contains(octets[index]), charset.count < 64 else { return nil }
            charset.append(octets[index])
            index += 1
        }
        guard index + 2 < octets.count, octets[index + 2] == UInt8(ascii: "?"), !charset.isEmpty else { return nil }
        let encoding = octets[index + 1].asciiLowercased
        index += 3
        let textStart = index
        while index < octets.count, octets[index] != UInt8(ascii: "?") {
            // Blanks inside of a Q word are wrong but common; a word of RFC 2047 §2 has 75 octets, those of real
            // senders more.
            guard octets[index] >= 0x20, index - textStart < 4096 else { return nil }
            index += 1
        }
        // The text has no `?`, so that a search for its end never runs over the beginning of another word.
        guard index + 1 < octets.count, octets[index + 1] == UInt8(ascii: "=") else { return nil }
        let name = String(decoding: charset.prefix { $0 != UInt8(ascii: "*") }, as: UTF8.self)
        let text = octets[textStart..<index]
        switch encoding {
        case UInt8(ascii: "b"):
            var log = DeviationLog()
            return (name, Base64.decode(text, log: &log), index + 2)
        case UInt8(ascii: "q"):
            return (name, decodeQ(text), index + 2)
        default:
            return nil
        }
    }

    /// The Q encoding (RFC 2047 §4.2).
    private static func decodeQ(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var result = [UInt8]()
        var index = text.startIndex
        while index < text.endIndex {
            if text[index] == UInt8(ascii: "="), index + 2 < text.endIndex, let high = text[index + 1].hexadecimalValue,
                let low = text[index + 2].hexadecimalValue
            {
                result.append(high << 4 | low)
                index += 3
            } else {
                result.append(text[index] == UInt8(ascii: "_") ? 0x20 : text[index])
                index += 1
            }
        }
        return result
    }
}
