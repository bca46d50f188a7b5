/// Finds the domains in a From field by its at signs alone: those outside of comments and quoted strings, whatever stands around them. It
/// knows no encoded-words, display names or brackets, so that it sees what a program sees that reads the field otherwise.
struct DMARCAddressScan {
    /// What follows each at sign, with A- or U-labels as written, in order.
    private(set) var domains: [String] = []
    /// Whether something follows an at sign that is no domain, or something other than the end of an address follows a domain; also, whether
    /// angle brackets don't come in pairs.
    private(set) var isBroken = false

    /// Whether a backslash stands where it means nothing, outside of comments and quoted strings.
    private(set) var hasBackslash = false

    private let octets: [UInt8]
    private var position = 0

    /// The most domains that are kept; more are refused anyway unless all are one.
    private static let limit = 10_000

    /// - Throws: ``DMARCAuthorError`` where a comment or a quoted string has no end, so that each program would end it elsewhere.
    init(_ octets: [UInt8]) throws(DMARCAuthorError) {
        self.octets = octets
        var isInAngle = false
        while position < octets.count {
            switch octets[position] {
            case UInt8(ascii: "("): try skipComment()
            case UInt8(ascii: "\""): try skipQuotedString()
            case UInt8(ascii: "@"):
                position += 1
                try takeDomain()
            case UInt8(ascii: "<"), UInt8(ascii: ">"):
                // Each bracket has its partner, and none stands within another pair.
                if isInAngle == (octets[position] == UInt8(ascii: "<")) { isBroken = true }
                isInAngle.toggle()
                position += 1
            case UInt8(ascii: "\\"):
                hasBackslash = true
                position += 1
            default: position += 1
            }
        }
        if isInAngle { isBroken = true }
    }

    private mutating func skipComment() throws(DMARCAuthorError) {
        var depth = 0
        while position < octets.count {
            switch octets[position] {
            case UInt8(ascii: "("): depth += 1
            case UInt8(ascii: ")"): depth -= 1
            case UInt8(ascii: "\\"): position += 1
            default: break
            }
            position += 1
            if depth == 0 { return }
        }
        throw DMARCAuthorError(.malformed)
    }

    private mutating func skipQuotedString() throws(DMARCAuthorError) {
        position += 1
        while position < octets.count {
            let octet = octets[position]
            position += octet == UInt8(ascii: "\\") ? 2 : 1
            if octet == UInt8(ascii: "\"") { return }
        }
        throw DMARCAuthorError(.malformed)
    }

    private mutating func skipBlanksAndComments() throws(DMARCAuthorError) {
        while position < octets.count {
            if octets[position] == 0x20 || octets[position] == 0x09 {
                position += 1
            } else if octets[position] == UInt8(ascii: "(") {
                try skipComment()
            } else {
                return
            }
        }
    }

    /// `[CFWS] atom *([CFWS] "." [CFWS] atom) [CFWS]` and what may follow it (RFC 5322 §3.4.1 and §4.4).
    private mutating func takeDomain() throws(DMARCAuthorError) {
        var domain: [UInt8] = []
        while true {
            try skipBlanksAndComments()
            let start = position
            while position < octets.count, Self.isAtomOctet(octets[position]) { position += 1 }
            guard position > start else {
                isBroken = true
                break
            }
            domain += octets[start..<position]
            try skipBlanksAndComments()
            guard position < octets.count, octets[position] == UInt8(ascii: ".") else { break }
            position += 1
            domain.append(UInt8(ascii: "."))
        }
        if position < octets.count, !",;<>:".utf8.contains(octets[position]) { isBroken = true }
        if domain.isEmpty { return }
        guard domains.count < Self.limit, let text = String(validating: domain, as: UTF8.self) else {
            isBroken = true
            return
        }
        domains.append(text)
    }

    private static func isAtomOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case 0...0x20, 0x7F: false
        // ( ) < > [ ] : ; @ \ , . "
        case 0x28, 0x29, 0x3C, 0x3E, 0x5B, 0x5D, 0x3A, 0x3B, 0x40, 0x5C, 0x2C, 0x2E, 0x22: false
        default: true
        }
    }
}
