import NIOCore
import SASL

extension SMTPServerSession {
    /// What came of looking for a command line.
    enum Line {
        case needsMore
        /// The line without its end.
        case line([UInt8])
        case tooLong
        /// The line's end or its octets are ambiguous: nothing that follows can be trusted.
        case fault(SMTPReply, SMTPServerCommandRecord)
    }

    /// The limit of the line that begins in `input`: an AUTH command with its initial response may be long (RFC 4954 §4).
    var lineLimit: Int {
        let isAuthenticate = ByteScan.begins(input.readableBytesView, with: "AUTH ")
        return isAuthenticate ? configuration.limits.authenticationLineLength : configuration.limits.commandLineLength
    }

    /// Takes the next line, of at most `limit` octets with its end.
    mutating func readLine(limit: Int) -> Line {
        let window = min(limit, input.readableBytes)
        let found = ByteScan.over(input) { [searched] octets in octets.first(UInt8(ascii: "\n"), from: searched, to: window) }
        guard let end = found else {
            guard input.readableBytes < limit else {
                searched = 0
                return .tooLong
            }
            searched = input.readableBytes
            return .needsMore
        }
        searched = 0
        var octets = input.readBytes(length: end) ?? []
        input.moveReaderIndex(forwardBy: 1)
        if octets.last == UInt8(ascii: "\r") {
            octets.removeLast()
        } else if !allowsBareLineFeeds {
            return .fault(.make(500, (5, 5, 2), "A line ends in LF without CR; that is refused (RFC 5321 2.3.8)"), record(octets))
        }
        // A CR within a line is a line's end for others: two readings of one line are how commands are smuggled.
        if octets.contains(UInt8(ascii: "\r")) {
            return .fault(.make(500, (5, 5, 2), "A line holds a CR without LF; that is refused (RFC 5321 2.3.8)"), record(octets))
        }
        if octets.contains(0) {
            return .fault(.make(500, (5, 5, 2), "A line holds a NUL; that is refused (RFC 5321 4.1.2)"), record(octets))
        }
        return .line(octets)
    }

    /// The record of a command: never what may be a password.
    func record(_ line: [UInt8]) -> SMTPServerCommandRecord {
        // Also where it is misspelt: what stands behind it is a password nevertheless.
        if ByteScan.begins(line.drop { $0 <= 0x20 }, with: "AUTH") {
            let words = String(decoding: line.prefix(512), as: UTF8.self)
            let mechanism = words.split(separator: " ").dropFirst().first.map(String.init)?.uppercased()
            let isKnown = mechanism.map { SASLMechanism(rawValue: $0) != nil } ?? false
            return SMTPServerCommandRecord(isKnown ? "AUTH \(mechanism ?? "")" : "AUTH", isInTransaction: false)
        }
        // The octets of control characters belong to no other character of UTF-8.
        let isPrintable = line.count <= 512 && line.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
        let printable = isPrintable ? line : line.prefix(512).map { $0 < 0x20 || $0 == 0x7f ? UInt8(ascii: "?") : $0 }
        return SMTPServerCommandRecord(String(decoding: printable, as: UTF8.self), isInTransaction: transaction != nil)
    }
}
