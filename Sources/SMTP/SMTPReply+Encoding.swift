import MailMessage
public import NIOCore

extension SMTPReply {
    /// The most octets of a reply line with its CRLF (RFC 5321 §4.5.3.1.5).
    public static let maximumLineLength = 512
    /// The most lines of one reply; what is beyond is left out.
    public static let maximumLines = 100

    /// Appends the reply as it goes over the wire (RFC 5321 §4.2.1).
    ///
    /// No text can split a reply: control characters become spaces, and octets over 127 become `?` unless the client has said that
    /// it understands UTF-8 (RFC 6531 §3.7.4.1). Long lines are folded into several lines of the same reply. A code outside of
    /// 200…599 becomes `451 4.3.0`: a reply must always be one that the client understands.
    ///
    ///     S: 550-5.1.1 There is nobody
    ///     S: 550 5.1.1 of that name here
    public func write(into buffer: inout ByteBuffer, allowsUTF8: Bool = false) {
        guard (200...599).contains(code) else {
            SMTPReply(451, EnhancedStatusCode(4, 3, 0), lines: lines).write(into: &buffer, allowsUTF8: allowsUTF8)
            return
        }
        if lines.count <= SMTPReply.maximumLines, lines.allSatisfy(SMTPReply.isPlain) {
            // In one piece: a buffer looks at its owner and its room for each.
            var octets: [UInt8] = []
            octets.reserveCapacity(lines.reduce(0) { $0 + $1.utf8.count + 32 })
            for (index, line) in lines.enumerated() { writePlain(line, isLast: index == lines.count - 1, into: &octets) }
            buffer.writeBytes(octets)
            return
        }
        let prefix = enhancedStatus.map { "\($0) " } ?? ""
        // Code, separator and CRLF take six octets.
        let room = SMTPReply.maximumLineLength - 6 - prefix.utf8.count
        var folded = [[UInt8]]()
        for line in lines.prefix(SMTPReply.maximumLines) {
            folded += SMTPReply.fold(SMTPReply.sanitised(line, allowsUTF8: allowsUTF8), room: room)
        }
        folded = Array(folded.prefix(SMTPReply.maximumLines))
        for (index, line) in folded.enumerated() {
            buffer.writeString(String(code))
            buffer.writeString(index == folded.count - 1 ? " " : "-")
            buffer.writeString(prefix)
            buffer.writeBytes(line)
            buffer.writeString("\r\n")
        }
    }

    /// Whether a line needs neither folding nor cleaning: most do not.
    private static func isPlain(_ line: String) -> Bool {
        let octets = line.utf8.span
        guard octets.count <= plainLength else { return false }
        for place in octets.indices where !(0x20...0x7e).contains(octets[place]) { return false }
        return true
    }

    private func writePlain(_ line: String, isLast: Bool, into octets: inout [UInt8]) {
        SMTPReply.write(Int(code), into: &octets)
        octets.append(isLast ? UInt8(ascii: " ") : UInt8(ascii: "-"))
        if let status = enhancedStatus {
            SMTPReply.write(Int(status.statusClass), into: &octets)
            octets.append(UInt8(ascii: "."))
            SMTPReply.write(Int(status.subject), into: &octets)
            octets.append(UInt8(ascii: "."))
            SMTPReply.write(Int(status.detail), into: &octets)
            octets.append(UInt8(ascii: " "))
        }
        octets.append(contentsOf: line.utf8)
        octets.append(UInt8(ascii: "\r"))
        octets.append(UInt8(ascii: "\n"))
    }

    /// With code, status (of at most three and two times five digits) and CRLF this is shorter than the longest line.
    private static let plainLength = maximumLineLength - 32

    private static func write(_ number: Int, into octets: inout [UInt8]) {
        if number >= 10 { write(number / 10, into: &octets) }
        octets.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number % 10))
    }

    private static func sanitised(_ text: String, allowsUTF8: Bool) -> [UInt8] {
        var octets = [UInt8]()
        for octet in text.utf8 {
            switch octet {
            case 0x20...0x7e: octets.append(octet)
            case 0x80...: octets.append(allowsUTF8 ? octet : UInt8(ascii: "?"))
            default: octets.append(UInt8(ascii: " "))
            }
        }
        return octets
    }

    /// Cuts at a space where there is one, and never inside of a character of UTF-8.
    private static func fold(_ octets: [UInt8], room: Int) -> [[UInt8]] {
        guard octets.count > room else { return [octets] }
        var lines = [[UInt8]]()
        var rest = octets[...]
        while rest.count > room {
            let window = rest.prefix(room)
            var cut = window.lastIndex(of: UInt8(ascii: " ")).map { $0 + 1 } ?? window.endIndex
            while cut > rest.startIndex + 1, cut < rest.endIndex, rest[cut] & 0xc0 == 0x80 { cut -= 1 }
            lines.append(Array(rest[..<cut]))
            rest = rest[cut...]
        }
        lines.append(Array(rest))
        return lines
    }
}

extension SMTPReply {
    /// A short form for the replies of the server.
    static func make(_ code: UInt16, _ status: (UInt8, UInt16, UInt16), _ text: String) -> SMTPReply {
        SMTPReply(code, EnhancedStatusCode(status.0, status.1, status.2), text)
    }
}
