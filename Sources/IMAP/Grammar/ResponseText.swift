import NIOCore

/// How strings are written in answers (RFC 9051 §4.3).
enum ResponseText {
    /// Longer strings go out as literals, which a client can skip.
    private static let quotedLimit = 1000

    /// A quoted string. For text without CR, LF and NUL only.
    static func quoted(_ text: String) -> String {
        var written = "\""
        for character in text.unicodeScalars {
            if character == "\"" || character == "\\" { written.unicodeScalars.append("\\") }
            written.unicodeScalars.append(character)
        }
        return written + "\""
    }

    /// A string of any octets: quoted where it is short printable ASCII, otherwise a literal. A literal can't hold NUL, which becomes a
    /// space.
    static func writeString(_ octets: [UInt8], into out: inout ByteBuffer) {
        guard octets.count <= quotedLimit, octets.allSatisfy({ (0x20...0x7e).contains($0) }) else {
            out.writeString("{\(octets.count)}\r\n")
            out.writeBytes(octets.lazy.map { $0 == 0 ? 0x20 : $0 })
            return
        }
        out.writeInteger(UInt8(ascii: "\""))
        for octet in octets {
            if octet == UInt8(ascii: "\"") || octet == UInt8(ascii: "\\") { out.writeInteger(UInt8(ascii: "\\")) }
            out.writeInteger(octet)
        }
        out.writeInteger(UInt8(ascii: "\""))
    }

    /// A string.
    static func writeString(_ text: String, into out: inout ByteBuffer) { writeString(Array(text.utf8), into: &out) }

    /// A string, or NIL.
    static func writeOptional(_ octets: [UInt8]?, into out: inout ByteBuffer) {
        if let octets { writeString(octets, into: &out) } else { out.writeString("NIL") }
    }

    /// A string, or NIL.
    static func writeOptional(_ text: String?, into out: inout ByteBuffer) {
        writeOptional(text.map { Array($0.utf8) }, into: &out)
    }

    /// A literal with the octets as they are.
    static func writeLiteral(_ octets: ByteBuffer, into out: inout ByteBuffer) {
        out.writeString("{\(octets.readableBytes)}\r\n")
        out.writeImmutableBuffer(octets)
    }
}
