import MailMessage

/// What the parameters of MAIL say, checked against what was offered.
struct MailParameters {
    var declaredSize: Int?
    var bodyType = BodyType.sevenBit
    var usesSMTPUTF8 = false
    var dsnReturn: DSNReturn?
    var envelopeID: String?
    var requiresTLS = false
    var trace: TraceID?

    /// What the server has offered to this client.
    struct Offer {
        var usesExtensions: Bool
        var authentication: Bool
        var requireTLS: Bool
        var trace: Bool
    }

    init(_ parameters: [SMTPParameter], offer: Offer) throws(SMTPSyntaxError) {
        for parameter in parameters {
            // RFC 5321 §4.1.1.11: 555 for a parameter that is not known.
            guard offer.usesExtensions else { throw unknownParameter(parameter) }
            switch parameter.keyword {
            case "SIZE":
                guard let value = parameter.value, (1...18).contains(value.utf8.count), value.utf8.allSatisfy({ (0x30...0x39).contains($0) })
                else { throw invalidValue(parameter, "a number of octets (RFC 1870 3)") }
                declaredSize = Int(value)
            case "BODY":
                guard let value = parameter.value, let type = BodyType(rawValue: value.uppercased()) else {
                    throw invalidValue(parameter, "7BIT, 8BITMIME or BINARYMIME")
                }
                bodyType = type
            case "SMTPUTF8":
                guard parameter.value == nil else { throw invalidValue(parameter, "no value (RFC 6531 3.4)") }
                usesSMTPUTF8 = true
            case "RET":
                guard let value = parameter.value, let dsnReturn = DSNReturn(rawValue: value.uppercased()) else {
                    throw invalidValue(parameter, "FULL or HDRS")
                }
                self.dsnReturn = dsnReturn
            case "ENVID":
                // RFC 3461 §4.4: at most 100 characters.
                guard let value = parameter.value, value.utf8.count <= 100, let text = XText.decode(value.utf8) else {
                    throw invalidValue(parameter, "xtext of at most 100 characters")
                }
                envelopeID = text
            case "AUTH":
                // RFC 4954 §5: taken and not believed, as from everybody who isn't trusted to speak for others.
                guard offer.authentication else { throw unknownParameter(parameter) }
                guard let value = parameter.value, value == "<>" || XText.decode(value.utf8) != nil else {
                    throw invalidValue(parameter, "xtext or <>")
                }
            case "REQUIRETLS":
                guard offer.requireTLS else { throw unknownParameter(parameter) }
                guard parameter.value == nil else { throw invalidValue(parameter, "no value (RFC 8689 2)") }
                requiresTLS = true
            case "XTRACE":
                guard offer.trace else { throw unknownParameter(parameter) }
                guard let trace = parameter.value.flatMap({ TraceID($0) }) else { throw invalidValue(parameter, "a trace identity") }
                self.trace = trace
            default: throw unknownParameter(parameter)
            }
        }
    }
}

/// What the parameters of RCPT say.
struct RecipientParameters {
    var notify: DSNNotify?
    var originalRecipient: String?

    init(_ parameters: [SMTPParameter], usesExtensions: Bool) throws(SMTPSyntaxError) {
        for parameter in parameters {
            guard usesExtensions else { throw unknownParameter(parameter) }
            switch parameter.keyword {
            case "NOTIFY":
                guard let value = parameter.value, let notify = Self.notify(value) else {
                    throw invalidValue(parameter, "NEVER, or a list of SUCCESS, FAILURE and DELAY")
                }
                self.notify = notify
            case "ORCPT":
                // RFC 3461 §4.2: at most 500 characters.
                guard let value = parameter.value, value.utf8.count <= 500, let text = Self.originalRecipient(value) else {
                    throw invalidValue(parameter, "an address type and xtext")
                }
                originalRecipient = text
            default: throw unknownParameter(parameter)
            }
        }
    }

    private static func notify(_ value: String) -> DSNNotify? {
        if value.uppercased() == "NEVER" { return .never }
        var notify = DSNNotify()
        for word in value.uppercased().split(separator: ",", omittingEmptySubsequences: false) {
            switch word {
            case "SUCCESS": notify.insert(.success)
            case "FAILURE": notify.insert(.failure)
            case "DELAY": notify.insert(.delay)
            default: return nil
            }
        }
        return notify
    }

    private static func originalRecipient(_ value: String) -> String? {
        guard let separator = value.utf8.firstIndex(of: UInt8(ascii: ";")) else { return nil }
        let type = value.utf8[..<separator]
        guard !type.isEmpty, type.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "=") })
        else { return nil }
        let address = value.utf8[value.utf8.index(after: separator)...]
        let typeText = String(decoding: type, as: UTF8.self)
        // RFC 6533 §3: utf-8 addresses have an encoding of their own, which is kept; the grammar let no control octet through.
        if typeText.lowercased() == "utf-8" { return address.isEmpty ? nil : value }
        guard let text = XText.decode(address), !text.isEmpty else { return nil }
        return "\(typeText);\(text)"
    }
}

@inline(never)
private func unknownParameter(_ parameter: SMTPParameter) -> SMTPSyntaxError {
    SMTPSyntaxError(555, (5, 5, 4), "The parameter \(parameter.keyword.prefix(40)) is not known here")
}

@inline(never)
private func invalidValue(_ parameter: SMTPParameter, _ expected: String) -> SMTPSyntaxError {
    SMTPSyntaxError(501, (5, 5, 4), "The parameter \(parameter.keyword.prefix(40)) takes \(expected)")
}
