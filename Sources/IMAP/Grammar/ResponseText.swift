package import NIOCore

/// How strings are written in answers (RFC 9051 §4.3): the one place for it.
package enum ResponseText {
    /// A quoted string. For text without CR, LF and NUL only.
    static func quoted(_ text: String) -> String {
        var written = "\""
        for character in text.unicodeScalars {
            if character == "\"" || character == "\\" { written.unicodeScalars.append("\\") }
            written.unicodeScalars.append(character)
        }
        return written + "\""
    }

    /// Longer strings go out as literals, which a client can skip.
    private static let quotedLimit = 1000

    /// `string`: quoted where it is short printable ASCII, otherwise a literal. Deliberate: NUL, which neither form may contain
    /// (RFC 9051 §9, `CHAR8`), becomes a space.
    package static func string(_ octets: [UInt8], into out: inout ByteBuffer) {
        var written: [UInt8] = []
        string(octets, into: &written)
        // In one piece: each write into a buffer costs many times what an octet does.
        out.writeBytes(written)
    }

    /// The same into octets that are written together.
    static func string(_ octets: [UInt8], into out: inout [UInt8]) {
        var isPrintable = octets.count <= quotedLimit
        var isPlain = true
        for octet in octets where isPrintable {
            if octet == UInt8(ascii: "\"") || octet == UInt8(ascii: "\\") { isPlain = false }
            isPrintable = octet >= 0x20 && octet <= 0x7e
        }
        guard isPrintable else {
            out.append(UInt8(ascii: "{"))
            out.append(decimal: octets.count)
            out += [UInt8(ascii: "}"), 0x0d, 0x0a]
            for octet in octets { out.append(octet == 0 ? 0x20 : octet) }
            return
        }
        out.append(UInt8(ascii: "\""))
        if isPlain {
            out += octets
        } else {
            for octet in octets {
                if octet == UInt8(ascii: "\"") || octet == UInt8(ascii: "\\") { out.append(UInt8(ascii: "\\")) }
                out.append(octet)
            }
        }
        out.append(UInt8(ascii: "\""))
    }

    /// `nstring`, into octets that are written together.
    static func nstring(_ octets: [UInt8]?, into out: inout [UInt8]) {
        if let octets { string(octets, into: &out) } else { out += nilOctets }
    }

    /// NIL.
    static let nilOctets = Array("NIL".utf8)

    /// `string` of a text's UTF-8.
    package static func string(_ text: String, into out: inout ByteBuffer) { string(Array(text.utf8), into: &out) }

    /// `nstring`: a string, or NIL for nothing.
    package static func nstring(_ octets: [UInt8]?, into out: inout ByteBuffer) {
        if let octets { string(octets, into: &out) } else { out.writeStaticString("NIL") }
    }

    /// `nstring` of a text's UTF-8.
    package static func nstring(_ text: String?, into out: inout ByteBuffer) { nstring(text.map { Array($0.utf8) }, into: &out) }

    /// `astring`: an atom where the text is one, otherwise a string. `NIL` is quoted, so that nobody reads it as nothing.
    package static func astring(_ text: String, into out: inout ByteBuffer) {
        guard !text.isEmpty, text.uppercased() != "NIL", text.utf8.allSatisfy(IMAPCursor.isAtom) else { return string(text, into: &out) }
        out.writeString(text)
    }

    /// A literal of octets that come out as they are, whatever they are; `""` where there are none.
    package static func octets(_ octets: ByteBuffer, into out: inout ByteBuffer) {
        guard octets.readableBytes > 0 else {
            out.writeStaticString("\"\"")
            return
        }
        out.writeString("{\(octets.readableBytes)}\r\n")
        out.writeImmutableBuffer(octets)
    }
}
