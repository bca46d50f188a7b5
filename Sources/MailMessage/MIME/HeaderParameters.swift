/// A parameter as it is written, its value without quotes.
public struct HeaderParameter: Hashable, Sendable {
    /// The name in lower case, with the `*` and section numbers of RFC 2231 where it has them.
    public let name: String
    /// The value without quotes, not decoded further.
    public let value: String

    /// Makes a parameter.
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// The parameters of a structured field such as Content-Type (RFC 2045 §5.1), with the continuations and character sets
/// of RFC 2231.
public struct HeaderParameters: Hashable, Sendable {
    /// The parameters in order as they are written: what IMAP's BODYSTRUCTURE shows.
    public let written: [HeaderParameter]

    /// Makes a list.
    public init(_ written: [HeaderParameter] = []) { self.written = written }

    /// The most parameters that are read from one field.
    static let limit = 512

    /// Whether there are none.
    public var isEmpty: Bool { written.isEmpty }

    /// The decoded value of a parameter: `name*=utf-8''…` before `name*0*=…; name*1=…` before `name=…`; an encoded-word
    /// that a sender put into a plain one against RFC 2047 §5 is decoded too. `nil` where it is absent.
    public subscript(name: String) -> String? {
        let name = name.lowercased()
        // One walk, so that many sections cost no more than they have octets.
        var plain: String?
        var pieces: [String: String] = [:]
        for parameter in written where parameter.name.hasPrefix(name) {
            let suffix = String(parameter.name.dropFirst(name.count))
            if suffix.isEmpty {
                plain = plain ?? parameter.value
            } else if suffix.hasPrefix("*"), pieces[suffix] == nil {
                pieces[suffix] = parameter.value
            }
        }
        if let extended = pieces["*"] { return HeaderParameters.decodeExtended([(extended, true)]) }
        var sections: [(text: String, isExtended: Bool)] = []
        while sections.count < pieces.count {
            if let extended = pieces["*\(sections.count)*"] {
                sections.append((extended, true))
            } else if let section = pieces["*\(sections.count)"] {
                sections.append((section, false))
            } else {
                break
            }
        }
        if !sections.isEmpty { return HeaderParameters.decodeExtended(sections) }
        return plain.map { EncodedWord.decode($0) }
    }

    /// `charset'language'percent-encoded`, the charset in the first section only (RFC 2231 §4, §4.1).
    private static func decodeExtended(_ sections: [(text: String, isExtended: Bool)]) -> String {
        var octets = [UInt8]()
        var charset: Charset = .utf8
        for (index, section) in sections.enumerated() {
            var text = Array(section.text.utf8)[...]
            if index == 0, section.isExtended, let first = text.firstIndex(of: UInt8(ascii: "'")),
                let second = text[(first + 1)...].firstIndex(of: UInt8(ascii: "'"))
            {
                charset = Charset(name: String(decoding: text[..<first], as: UTF8.self)) ?? .utf8
                text = text[(second + 1)...]
            }
            guard section.isExtended else {
                octets += text
                continue
            }
            var position = text.startIndex
            while position < text.endIndex {
                if text[position] == UInt8(ascii: "%"), position + 2 < text.endIndex,
                    let high = text[position + 1].hexadecimalValue,
                    let low = text[position + 2].hexadecimalValue
                {
                    octets.append(high << 4 | low)
                    position += 3
                } else {
                    octets.append(text[position])
                    position += 1
                }
            }
        }
        return charset == .utf8 ? Charset.headerText(octets) : charset.decode(octets)
    }
}

/// A Content-Type (RFC 2045 §5).
public struct ContentType: Hashable, Sendable {
    /// The type in lower case: `text`.
    public let type: String
    /// The subtype in lower case: `plain`.
    public let subtype: String
    /// Its parameters.
    public let parameters: HeaderParameters

    /// Makes a type of its parts.
    public init(type: String, subtype: String, parameters: HeaderParameters = HeaderParameters()) {
        self.type = type.lowercased()
        self.subtype = subtype.lowercased()
        self.parameters = parameters
    }

    /// Reads a field's unfolded value; `nil` where it is no `type/subtype`.
    public init?(parsing octets: [UInt8]) {
        var scanner = StructuredFieldScanner(octets)
        guard let type = scanner.token(), scanner.take(UInt8(ascii: "/")), let subtype = scanner.token() else {
            return nil
        }
        self.init(type: type, subtype: subtype, parameters: scanner.parameters())
    }

    /// `text/plain`.
    public var mediaType: String { "\(type)/\(subtype)" }

    static let plainText = ContentType(
        type: "text",
        subtype: "plain",
        parameters: HeaderParameters([HeaderParameter(name: "charset", value: "us-ascii")])
    )
}

/// A Content-Disposition (RFC 2183 §2).
public struct ContentDisposition: Hashable, Sendable {
    /// `inline`, `attachment` or another token, in lower case.
    public let type: String
    /// Its parameters.
    public let parameters: HeaderParameters

    /// Makes a disposition.
    public init(type: String, parameters: HeaderParameters = HeaderParameters()) {
        self.type = type.lowercased()
        self.parameters = parameters
    }

    /// Reads a field's unfolded value; `nil` where it begins with no token.
    public init?(parsing octets: [UInt8]) {
        var scanner = StructuredFieldScanner(octets)
        guard let type = scanner.token() else { return nil }
        self.init(type: type, parameters: scanner.parameters())
    }

    /// The decoded `filename`.
    public var filename: String? { parameters["filename"] }
}
