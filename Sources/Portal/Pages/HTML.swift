/// HTML that is safe to send: text becomes part of it by interpolation, and is escaped by that. Never make one by `HTML(stringLiteral:)`: that is for the compiler, and for markup of our own.
struct HTML: Sendable, Hashable, ExpressibleByStringInterpolation, CustomStringConvertible {
    /// The markup.
    private(set) var description: String

    /// Markup as it stands in our source.
    init(stringLiteral value: String) { description = value }

    init(stringInterpolation: Interpolation) { description = stringInterpolation.markup }

    private init(escaping text: String) { description = Self.escaped(text) }

    /// Text as HTML.
    static func text(_ text: String) -> HTML { HTML(escaping: text) }

    /// Puts pieces one after the other.
    static func joined(_ pieces: some Sequence<HTML>) -> HTML {
        var result: HTML = ""
        for piece in pieces { result.description += piece.description }
        return result
    }

    static func + (left: HTML, right: HTML) -> HTML { joined([left, right]) }

    struct Interpolation: StringInterpolationProtocol {
        fileprivate var markup = ""
        init(literalCapacity: Int, interpolationCount: Int) { markup.reserveCapacity(literalCapacity + 16 * interpolationCount) }
        mutating func appendLiteral(_ literal: String) { markup += literal }
        mutating func appendInterpolation(_ text: String) { markup += HTML.escaped(text) }
        mutating func appendInterpolation(_ number: some BinaryInteger) { markup += String(number) }
        mutating func appendInterpolation(_ html: HTML) { markup += html.description }
        mutating func appendInterpolation(_ html: HTML?) { markup += html?.description ?? "" }
    }

    /// Escapes what means something in content or in a quoted attribute. What no HTML may contain is shown as U+FFFD, and what turns the direction of
    /// the text around, so that `exe.gpj` reads `jpg.exe`, is taken out.
    static func escaped(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result.append(contentsOf: "&amp;".unicodeScalars)
            case "<": result.append(contentsOf: "&lt;".unicodeScalars)
            case ">": result.append(contentsOf: "&gt;".unicodeScalars)
            case "\"": result.append(contentsOf: "&quot;".unicodeScalars)
            case "'": result.append(contentsOf: "&#39;".unicodeScalars)
            case "\t", "\n", "\r": result.append(scalar)
            default:
                switch scalar.value {
                case 0x202a...0x202e, 0x2066...0x2069, 0x200e, 0x200f, 0x061c: break
                case 0..<0x20, 0x7f..<0xa0, 0xfffe, 0xffff: result.append("\u{fffd}")
                default: result.append(scalar)
                }
            }
        }
        return String(result)
    }
}
