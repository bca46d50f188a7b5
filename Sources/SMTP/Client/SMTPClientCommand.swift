import MailMessage

/// The client's commands as text. Everything that comes from outside is checked here, so that no address or parameter can hold a
/// line end and become a command of its own.
enum SMTPClientCommand {
    /// `MAIL FROM:<…>` with the parameters that the peer understands (RFC 5321 §4.1.1.2).
    static func mail(_ transaction: SMTPClientTransaction, _ extensions: SMTPExtensions, handsOnTrace: Bool) -> String? {
        let envelope = transaction.envelope
        var command = "MAIL FROM:<"
        if let reversePath = envelope.reversePath {
            guard let text = mailbox(reversePath) else { return nil }
            command += text
        }
        command += ">"
        let profile = transaction.profile
        if extensions.size { command += " SIZE=\(profile.byteCount)" }
        if envelope.bodyType == .binaryMIME {
            command += " BODY=BINARYMIME"
        } else if extensions.eightBitMIME, profile.hasEightBit || envelope.bodyType == .eightBitMIME {
            command += " BODY=8BITMIME"
        }
        if extensions.smtpUTF8, transaction.needsSMTPUTF8 || profile.hasEightBitHeader { command += " SMTPUTF8" }
        if extensions.dsn {
            if let dsnReturn = envelope.dsnReturn { command += " RET=\(dsnReturn.rawValue)" }
            // RFC 3461 §4.4: ENVID is at most 100 characters of xtext.
            if let identity = envelope.envelopeID.map(xtext), !identity.isEmpty, identity.utf8.count <= 100 {
                command += " ENVID=\(identity)"
            }
        }
        // A notice goes without it where the peer doesn't know it (RFC 8689 §5); everything else hasn't come so far then.
        if envelope.requiresTLS, extensions.requireTLS { command += " REQUIRETLS" }
        if handsOnTrace, extensions.xtrace, let trace = transaction.trace { command += " XTRACE=\(trace)" }
        return command
    }

    /// `RCPT TO:<…>` with the parameters that the peer understands (RFC 5321 §4.1.1.3).
    static func recipient(_ recipient: EnvelopeRecipient, _ extensions: SMTPExtensions) -> String? {
        guard let text = mailbox(recipient.address) else { return nil }
        var command = "RCPT TO:<\(text)>"
        guard extensions.dsn else { return command }
        if let notify = recipient.notify {
            var words: [String] = []
            if notify.contains(.success) { words.append("SUCCESS") }
            if notify.contains(.failure) { words.append("FAILURE") }
            if notify.contains(.delay) { words.append("DELAY") }
            command += " NOTIFY=" + (words.isEmpty ? "NEVER" : words.joined(separator: ","))
        }
        if let original = recipient.originalRecipient, let text = originalRecipient(original) {
            command += " ORCPT=\(text)"
        }
        return command
    }

    /// An address as it stands between `<` and `>`; `nil` for one that the grammar has no spelling for (RFC 5321 §4.1.2).
    static func mailbox(_ address: EmailAddress) -> String? {
        guard !address.localPart.isEmpty, !address.domain.isEmpty else { return nil }
        // RFC 5321 §4.5.3.1.1, §4.5.3.1.2. Deliberate: twice the length for a local part; the peer says what is too long for it.
        guard address.localPart.utf8.count <= 128, address.domain.utf8.count <= 255 else { return nil }
        let domainIsSafe = address.domain.utf8.allSatisfy { byte in
            byte > 0x20 && byte != 0x7F && byte != UInt8(ascii: "<") && byte != UInt8(ascii: ">") && byte != UInt8(ascii: "@")
        }
        guard domainIsSafe, address.localPart.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return nil }
        let atoms = address.localPart.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        if atoms.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isAtomText) }) {
            return "\(address.localPart)@\(address.domain)"
        }
        var quoted = "\""
        for character in address.localPart.unicodeScalars {
            if character == "\"" || character == "\\" { quoted.unicodeScalars.append("\\") }
            quoted.unicodeScalars.append(character)
        }
        return quoted + "\"@\(address.domain)"
    }

    /// xtext (RFC 3461 §4): printable US-ASCII without `+` and `=`; everything else is `+` and two hexadecimal digits.
    static func xtext(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            if byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "+"), byte != UInt8(ascii: "=") {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += "+" + (digits.count < 2 ? "0" : "") + digits
            }
        }
        return result
    }

    /// `addr-type;xtext`. An address of type `utf-8` is written in its ASCII form, which any peer takes (RFC 6533 §3).
    private static func originalRecipient(_ text: String) -> String? {
        guard let semicolon = text.firstIndex(of: ";") else { return nil }
        let type = text[..<semicolon]
        let address = text[text.index(after: semicolon)...]
        guard !type.isEmpty, type.utf8.allSatisfy({ isAtomText($0) && $0 < 0x80 && $0 != UInt8(ascii: "=") }) else { return nil }
        var ascii = ""
        for scalar in address.unicodeScalars {
            if scalar.isASCII || type.lowercased() != "utf-8" {
                ascii.unicodeScalars.append(scalar)
            } else {
                ascii += "\\x{\(String(scalar.value, radix: 16, uppercase: true))}"
            }
        }
        let encoded = xtext(ascii)
        // RFC 3461 §4.2: at most 500 characters.
        guard !encoded.isEmpty, encoded.utf8.count + type.utf8.count < 500 else { return nil }
        return "\(type);\(encoded)"
    }

    /// `atext` (RFC 5322 §3.2.3), with the octets of UTF-8 (RFC 6531 §3.3).
    private static func isAtomText(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case 0x80...: true
        default: "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte)
        }
    }
}
