/// What an HTML text says, without its markup: for people who read mail, never for a browser.
///
/// Every link is followed by its real target. Nothing is loaded, nothing runs; what a browser would not show (scripts, style sheets, comments, the
/// head) is left out. The result is text and has to be escaped like any other. Linear in the length of its input, whatever that is.
struct HTMLText {
    /// What is looked at and what comes out, in octets.
    struct Limits {
        var input = 1024 * 1024
        var output = 512 * 1024
        /// A tag's text; a longer one is no tag.
        var tag = 16 * 1024
        var link = 2048
        /// Links that wait for their end.
        var depth = 64
    }

    private let input: [UInt8]
    private let limits: Limits
    private var position = 0
    private var output: [UInt8] = []
    private var links: [String] = []
    /// Within `pre`.
    private var preformatted = 0
    private var isShortened = false
    /// The first `>` behind the position, where it was looked for: no text is searched twice for one.
    private var nextEnd = 0

    /// The text, and whether something was left out for its length.
    static func extract(_ html: String, limits: Limits = Limits()) -> (text: String, isShortened: Bool) {
        var extractor = HTMLText(html, limits)
        extractor.run()
        return (String(decoding: extractor.output, as: UTF8.self), extractor.isShortened)
    }

    private init(_ html: String, _ limits: Limits) {
        let octets = Array(html.utf8.prefix(limits.input))
        input = octets
        self.limits = limits
        isShortened = html.utf8.count > limits.input
    }

    private mutating func run() {
        while position < input.count {
            guard output.count < limits.output else {
                isShortened = true
                break
            }
            switch input[position] {
            case UInt8(ascii: "<"): markup()
            case UInt8(ascii: "&"): entity()
            case 0x20, 0x09, 0x0a, 0x0d, 0x0c:
                if preformatted > 0 { output.append(input[position]) } else { blank() }
                position += 1
            case let octet:
                output.append(octet)
                position += 1
            }
        }
        while let last = output.last, last == 0x20 || last == 0x0a { output.removeLast() }
    }

    // MARK: Output

    private mutating func blank() {
        if let last = output.last, last != 0x20, last != 0x0a { output.append(0x20) }
    }

    /// A line's end; with `count` 2 an empty line, but never more.
    private mutating func newline(_ count: Int = 1) {
        while output.last == 0x20 { output.removeLast() }
        guard !output.isEmpty else { return }
        var present = 0
        while present < 2, present < output.count, output[output.count - 1 - present] == 0x0a { present += 1 }
        for _ in 0..<max(0, count - present) { output.append(0x0a) }
    }

    private mutating func write(_ text: String) { output += Array(text.utf8) }

    // MARK: Markup

    private mutating func markup() {
        let rest = input[(position + 1)...]
        if rest.starts(with: Array("!--".utf8)) { return skip(past: "-->", from: position + 2) }
        guard let first = rest.first, first == UInt8(ascii: "/") || first == UInt8(ascii: "!") || first == UInt8(ascii: "?") || Self.isLetter(first)
        else {
            // `<` that begins no tag is text.
            output.append(UInt8(ascii: "<"))
            position += 1
            return
        }
        guard let end = tagEnd() else {
            output.append(UInt8(ascii: "<"))
            position += 1
            return
        }
        let content = Array(input[(position + 1)..<end])
        position = end + 1
        if first == UInt8(ascii: "/") { closeTag(Self.name(content.dropFirst())) } else if Self.isLetter(first) { openTag(content) }
    }

    /// Where the tag at the position ends; quoted values may have `>` in them.
    private mutating func tagEnd() -> Int? {
        if nextEnd <= position { nextEnd = input[position...].firstIndex(of: UInt8(ascii: ">")) ?? input.count }
        let last = min(input.count, position + limits.tag)
        guard nextEnd < last else { return nil }
        var quote: UInt8?
        var index = position + 1
        while index < last {
            let octet = input[index]
            if let open = quote {
                if octet == open { quote = nil }
            } else if octet == UInt8(ascii: ">") {
                return index
            } else if octet == UInt8(ascii: "\"") || octet == UInt8(ascii: "'") {
                quote = octet
            }
            index += 1
        }
        // A quote that never ends: as browsers do without it, the next `>` ends the tag.
        return nextEnd
    }

    private mutating func skip(past end: String, from start: Int) {
        let marker = Array(end.utf8)
        var index = min(start, input.count)
        while index + marker.count <= input.count {
            if input[index] | 0x20 == marker[0] | 0x20, zip(input[index..<(index + marker.count)], marker).allSatisfy({ Self.lower($0) == Self.lower($1) }) {
                position = index + marker.count
                return
            }
            index += 1
        }
        position = input.count
    }

    /// Elements whose content is not for reading.
    private static let invisible: Set<String> = [
        "script", "style", "head", "title", "template", "noscript", "iframe", "object", "svg", "math", "select", "textarea",
    ]
    private static let blocks: Set<String> = [
        "address", "article", "aside", "center", "dd", "div", "dl", "dt", "fieldset", "figure", "footer", "form", "header", "main", "nav", "section", "tr",
        "ul",
        "ol",
    ]
    private static let paragraphs: Set<String> = ["p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "table", "pre"]

    private mutating func openTag(_ content: [UInt8]) {
        let name = Self.name(content[...])
        switch name {
        case "br": output.append(0x0a)
        case "hr":
            newline()
            write("----------")
            newline()
        case "li":
            newline()
            write("• ")
        case "td", "th": blank()
        case "img":
            if let alternative = Self.attribute("alt", content), !alternative.isEmpty { write("[image: \(alternative.prefix(200))]") }
        case "a":
            let target = Self.attribute("href", content).map { String($0.filter { !$0.isWhitespace }.prefix(limits.link)) } ?? ""
            if links.count < limits.depth { links.append(target) }
        case "pre":
            newline(2)
            preformatted = 1
        default:
            if Self.invisible.contains(name) { return skipElement(name) }
            if Self.blocks.contains(name) { newline() }
            if Self.paragraphs.contains(name) { newline(2) }
        }
    }

    private mutating func closeTag(_ name: String) {
        switch name {
        case "a":
            guard let target = links.popLast(), !target.isEmpty, !target.hasPrefix("#") else { return }
            write(" <\(target)>")
        case "pre":
            preformatted = 0
            newline(2)
        default:
            if Self.blocks.contains(name) || name == "li" { newline() }
            if Self.paragraphs.contains(name) { newline(2) }
        }
    }

    /// Leaves out an element with all that is in it. One that never ends takes the rest with it, as in a browser.
    private mutating func skipElement(_ name: String) {
        skip(past: "</\(name)", from: position)
        guard position < input.count else { return }
        let end = input[position...].firstIndex(of: UInt8(ascii: ">"))
        position = end.map { $0 + 1 } ?? input.count
    }

    // MARK: Tags

    private static func isLetter(_ octet: UInt8) -> Bool { (0x61...0x7a).contains(octet | 0x20) && octet < 0x80 }

    private static func lower(_ octet: UInt8) -> UInt8 { (0x41...0x5a).contains(octet) ? octet | 0x20 : octet }

    private static func name(_ content: ArraySlice<UInt8>) -> String {
        String(decoding: content.prefix { isLetter($0) || (0x30...0x39).contains($0) }.prefix(20).map(lower), as: UTF8.self)
    }

    private static func isBlank(_ octet: UInt8) -> Bool { octet == 0x20 || (0x09...0x0d).contains(octet) }

    /// The value of an attribute, with its entities decoded; the first one counts, as in a browser.
    private static func attribute(_ wanted: String, _ content: [UInt8]) -> String? {
        var index = 0
        while index < content.count, !isBlank(content[index]), content[index] != UInt8(ascii: "/") { index += 1 }
        while index < content.count {
            while index < content.count, isBlank(content[index]) || content[index] == UInt8(ascii: "/") { index += 1 }
            let start = index
            while index < content.count, !isBlank(content[index]), content[index] != UInt8(ascii: "="), content[index] != UInt8(ascii: "/") { index += 1 }
            let name = String(decoding: content[start..<index].map(lower), as: UTF8.self)
            if index == start {
                index += 1
                continue
            }
            while index < content.count, isBlank(content[index]) { index += 1 }
            guard index < content.count, content[index] == UInt8(ascii: "=") else { continue }
            index += 1
            while index < content.count, isBlank(content[index]) { index += 1 }
            let value: ArraySlice<UInt8>
            if index < content.count, content[index] == UInt8(ascii: "\"") || content[index] == UInt8(ascii: "'") {
                let quote = content[index]
                let end = content[(index + 1)...].firstIndex(of: quote) ?? content.count
                value = content[(index + 1)..<end]
                index = min(end + 1, content.count)
            } else {
                let valueStart = index
                while index < content.count, !isBlank(content[index]) { index += 1 }
                value = content[valueStart..<index]
            }
            if name == wanted { return decodeEntities(value) }
        }
        return nil
    }

    // MARK: Entities

    private static let named: [String: String] = [
        "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "nbsp": "\u{a0}", "shy": "", "zwnj": "", "zwj": "", "copy": "©", "reg": "®", "trade": "™",
        "euro": "€", "pound": "£", "yen": "¥", "cent": "¢", "sect": "§", "deg": "°", "middot": "·", "bull": "•", "hellip": "…", "ndash": "–", "mdash": "—",
        "lsquo": "‘", "rsquo": "’", "sbquo": "‚", "ldquo": "“", "rdquo": "”", "bdquo": "„", "laquo": "«", "raquo": "»", "auml": "ä", "ouml": "ö", "uuml": "ü",
        "Auml": "Ä", "Ouml": "Ö", "Uuml": "Ü", "szlig": "ß", "eacute": "é", "egrave": "è", "ecirc": "ê", "agrave": "à", "acirc": "â", "ccedil": "ç",
        "ocirc": "ô", "ugrave": "ù", "ucirc": "û", "icirc": "î", "iuml": "ï", "Eacute": "É", "Agrave": "À", "times": "×", "larr": "←", "rarr": "→",
    ]

    private mutating func entity() {
        let rest = input[position...]
        guard let (text, length) = Self.entity(rest) else {
            output.append(UInt8(ascii: "&"))
            position += 1
            return
        }
        write(text)
        position += length
    }

    /// The text of the entity that `octets` begin with, and its length.
    private static func entity(_ octets: ArraySlice<UInt8>) -> (text: String, length: Int)? {
        let body = octets.dropFirst().prefix { $0 == UInt8(ascii: "#") || isLetter($0) || (0x30...0x39).contains($0) }.prefix(12)
        guard !body.isEmpty else { return nil }
        let hasSemicolon = body.endIndex < octets.endIndex && octets[body.endIndex] == UInt8(ascii: ";")
        let name = String(decoding: body, as: UTF8.self)
        guard name.hasPrefix("#") else {
            guard hasSemicolon, let text = named[name] else { return nil }
            return (text, body.count + 2)
        }
        let digits = name.dropFirst()
        let number = digits.lowercased().hasPrefix("x") ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
        guard let number, let scalar = Unicode.Scalar(number), number >= 0x20 || number == 0x09 || number == 0x0a else {
            return ("\u{fffd}", body.count + (hasSemicolon ? 2 : 1))
        }
        return (String(scalar), body.count + (hasSemicolon ? 2 : 1))
    }

    private static func decodeEntities(_ octets: ArraySlice<UInt8>) -> String {
        var result: [UInt8] = []
        var rest = octets
        while let octet = rest.first {
            if octet == UInt8(ascii: "&"), let (text, length) = entity(rest) {
                result += Array(text.utf8)
                rest = rest.dropFirst(length)
            } else {
                result.append(octet)
                rest = rest.dropFirst()
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
