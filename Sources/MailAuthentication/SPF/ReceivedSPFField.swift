public import DNS

extension SPFEvaluation {
    /// The value of a Received-SPF field (RFC 7208 §9.1), unfolded, without a word that would be too long for a line. Nothing of what strangers said can leave
    /// its place in it.
    /// - Parameters:
    ///   - receiver: this host's name.
    ///   - address: the client's address.
    ///   - helo: what the client said.
    ///   - mailFrom: the reverse-path; empty for the null one.
    public func receivedSPF(receiver: String, address: IPAddress, helo: String, mailFrom: String) -> String {
        let address = address.unmapped.description
        var field: [UInt8] = []
        field.reserveCapacity(700)
        field.append(result.rawValue)
        field.append(" (")
        let comment = field.count
        field.append(receiver)
        field.append(": ")
        for piece in sentence(address, mailFrom) { field.append(piece) }
        field.escapeComment(from: comment)
        field.append(")")
        field.appendPair(" receiver=", receiver)
        field.appendPair("; identity=", identity.rawValue)
        field.appendPair("; client-ip=", address)
        field.appendPair("; envelope-from=", mailFrom)
        field.appendPair("; helo=", helo)
        field.appendPair("; mechanism=", mechanism ?? "default")
        if let problem { field.appendPair("; problem=", problem) }
        return String(decoding: field, as: UTF8.self)
    }

    /// What the result means, in pieces.
    private func sentence(_ address: String, _ mailFrom: String) -> [String] {
        let (who, name) =
            switch identity {
            case .helo: ("host ", domain)
            case .mailfrom: mailFrom.isEmpty ? ("domain of postmaster@", domain) : ("domain of ", mailFrom)
            }
        return switch result {
        case .pass: [who, name, " designates ", address, " as permitted sender"]
        case .fail: [who, name, " does not designate ", address, " as permitted sender"]
        case .softfail: ["transitioning ", who, name, " does not designate ", address, " as permitted sender"]
        case .neutral: [address, " is neither permitted nor denied by ", who, name]
        case .none: [who, name, " does not provide an SPF record"]
        case .temperror: ["a temporary error prevents the check of ", who, name]
        case .permerror: ["the record of ", who, name, " cannot be evaluated"]
        }
    }
}

extension [UInt8] {
    /// The most characters of a value, and of the comment.
    private static let textLimit = 300

    fileprivate mutating func append(_ text: String) { append(contentsOf: text.utf8) }

    /// Makes what stands at the end printable text within a comment, its parentheses and backslashes escaped (RFC 5322 §3.2.2).
    fileprivate mutating func escapeComment(from start: Int) {
        func needsBackslash(_ octet: UInt8) -> Bool { octet == UInt8(ascii: "(") || octet == UInt8(ascii: ")") || octet == UInt8(ascii: "\\") }
        if count - start <= Self.textLimit, span.extracting(start..<count).allSatisfy({ (0x20...0x7E).contains($0) && !needsBackslash($0) }) { return }
        let text = Self.plain(String(decoding: self[start...], as: UTF8.self))
        removeLast(count - start)
        append(text.escaping(needsBackslash))
    }

    fileprivate mutating func appendPair(_ name: String, _ value: String) {
        append(name)
        if value.utf8.count <= Self.textLimit, Self.isDotAtom(value) { return append(value) }
        let text = Self.plain(value)
        if Self.isDotAtom(text) { return append(text) }
        append("\"")
        append(text.escaping { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") })
        append("\"")
    }

    /// `dot-atom` (RFC 5322 §3.2.3) of letters, digits, hyphens and underscores.
    private static func isDotAtom(_ text: String) -> Bool {
        let octets = text.utf8Span.span
        var previous = UInt8(ascii: ".")
        for index in octets.indices {
            let octet = octets[index]
            switch octet {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"): break
            case UInt8(ascii: ".") where previous != octet: break
            default: return false
            }
            previous = octet
        }
        return previous != UInt8(ascii: ".")
    }

    /// Without controls and what isn't ASCII, which older programs can't read in a trace field.
    private static func plain(_ text: String) -> String {
        if text.utf8.count <= textLimit, text.isPrintableASCII { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.prefix(textLimit).map { (0x20...0x7E).contains($0.value) ? $0 : "?" }))
    }
}

extension Span<UInt8> {
    fileprivate func allSatisfy(_ body: (UInt8) -> Bool) -> Bool {
        for index in indices where !body(self[index]) { return false }
        return true
    }
}
