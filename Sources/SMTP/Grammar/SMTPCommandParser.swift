import MailMessage

extension SMTPCommand {
    /// Reads one command line without its CRLF (RFC 5321 §4.1.1).
    ///
    /// Two deviations are tolerated, because old clients need them and nothing can be smuggled by them: spaces between the colon and
    /// the path, and spaces at the end of the line (RFC 5321 §4.1.1 asks for the latter).
    /// - Parameters:
    ///   - line: the octets of the line.
    ///   - postmasterDomain: the domain of a recipient that is `postmaster` alone (RFC 5321 §4.5.1).
    /// - Throws: the reply that the client must get.
    public static func parse(_ line: [UInt8], postmasterDomain: String) throws(SMTPSyntaxError) -> SMTPCommand {
        var end = line.count
        while end > 0, line[end - 1] == UInt8(ascii: " ") { end -= 1 }
        let verbEnd = line[..<end].firstIndex(of: UInt8(ascii: " ")) ?? end
        let verb = String(decoding: line[..<verbEnd], as: UTF8.self).uppercased()
        var argument = line[verbEnd..<end]
        while argument.first == UInt8(ascii: " ") { argument = argument.dropFirst() }

        switch verb {
        case "HELO": return .helo(try clientName(argument, verb))
        case "EHLO": return .ehlo(try clientName(argument, verb))
        case "MAIL": return try mail(argument)
        case "RCPT": return try recipient(argument, postmasterDomain: postmasterDomain)
        case "DATA": return try alone(.data, argument, verb)
        case "BDAT": return try chunk(argument)
        case "RSET": return try alone(.reset, argument, verb)
        case "NOOP": return .noop
        case "QUIT": return try alone(.quit, argument, verb)
        case "VRFY":
            guard !argument.isEmpty else { throw SMTPSyntaxError(501, (5, 5, 4), "VRFY needs a user or a mailbox") }
            return .verify
        case "EXPN":
            guard !argument.isEmpty else { throw SMTPSyntaxError(501, (5, 5, 4), "EXPN needs a list") }
            return .expand
        case "HELP": return .help
        case "AUTH": return try authenticate(argument)
        case "STARTTLS": return try alone(.startTLS, argument, verb)
        case "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "PATCH", "TRACE", "PRI":
            // A browser that was led here would say the rest of the dialogue in its body.
            throw SMTPSyntaxError(554, (5, 5, 1), "This is an SMTP server, not an HTTP server", endsSession: true)
        default: throw SMTPSyntaxError(500, (5, 5, 1), "Command not recognized")
        }
    }

    private static func alone(_ command: SMTPCommand, _ argument: ArraySlice<UInt8>, _ verb: String) throws(SMTPSyntaxError) -> SMTPCommand {
        guard argument.isEmpty else { throw SMTPSyntaxError(501, (5, 5, 4), "\(verb) takes no argument") }
        return command
    }

    /// A domain or an address literal (RFC 5321 §4.1.1.1).
    ///
    /// Deliberate: an underscore is taken as a letter. Host names of many desktops have one, and the name is evidence, not trusted.
    private static func clientName(_ argument: ArraySlice<UInt8>, _ verb: String) throws(SMTPSyntaxError) -> String {
        guard !argument.isEmpty else { throw SMTPSyntaxError(501, (5, 5, 4), "\(verb) needs your host name") }
        let probe = Array("x@".utf8) + argument.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "x") : $0 }
        guard argument.allSatisfy({ (0x21...0x7e).contains($0) }), (try? EmailAddress(parsing: probe.span)) != nil else {
            throw SMTPSyntaxError(501, (5, 5, 2), "\(verb) needs a host name or an address literal")
        }
        return String(decoding: argument, as: UTF8.self)
    }

    private static func mail(_ argument: ArraySlice<UInt8>) throws(SMTPSyntaxError) -> SMTPCommand {
        let octets = try path(argument, keyword: "FROM:", syntax: "MAIL FROM:<address>")
        if octets.starts(with: "<>".utf8) { return .mail(nil, try SMTPParameter.parse(octets.dropFirst(2))) }
        let (address, rest) = try mailbox(octets, failure: (501, (5, 1, 7), "That is not a sender's address"))
        return .mail(address, try SMTPParameter.parse(rest))
    }

    private static func recipient(_ argument: ArraySlice<UInt8>, postmasterDomain: String) throws(SMTPSyntaxError) -> SMTPCommand {
        let octets = try path(argument, keyword: "TO:", syntax: "RCPT TO:<address>")
        let postmaster = "<postmaster>"
        if String(decoding: octets.prefix(postmaster.utf8.count), as: UTF8.self).lowercased() == postmaster {
            let address = EmailAddress(localPart: "postmaster", domain: postmasterDomain)
            return .recipient(address, try SMTPParameter.parse(octets.dropFirst(postmaster.utf8.count)))
        }
        let (address, rest) = try mailbox(octets, failure: (501, (5, 1, 3), "That is not a recipient's address"))
        return .recipient(address, try SMTPParameter.parse(rest))
    }

    /// What follows `FROM:` or `TO:`; it begins with `<`.
    private static func path(
        _ argument: ArraySlice<UInt8>, keyword: String, syntax: String
    ) throws(SMTPSyntaxError) -> ArraySlice<UInt8> {
        let said = String(decoding: argument.prefix(keyword.utf8.count), as: UTF8.self).uppercased()
        guard said == keyword else { throw SMTPSyntaxError(501, (5, 5, 4), "Syntax: \(syntax)") }
        var rest = argument.dropFirst(keyword.utf8.count)
        while rest.first == UInt8(ascii: " ") { rest = rest.dropFirst() }
        guard rest.first == UInt8(ascii: "<") else { throw SMTPSyntaxError(501, (5, 5, 4), "Syntax: \(syntax)") }
        return rest
    }

    /// `"<" [source-route ":"] Mailbox ">"`; the source route is read and forgotten (RFC 5321 appendix C).
    private static func mailbox(
        _ octets: ArraySlice<UInt8>, failure: (UInt16, (UInt8, UInt16, UInt16), String)
    ) throws(SMTPSyntaxError) -> (EmailAddress, ArraySlice<UInt8>) {
        func refusal() -> SMTPSyntaxError { SMTPSyntaxError(failure.0, failure.1, failure.2) }
        var inner = octets.dropFirst()
        if inner.first == UInt8(ascii: "@") {
            guard let colon = inner.firstIndex(of: UInt8(ascii: ":")), !inner[..<colon].contains(UInt8(ascii: ">")) else { throw refusal() }
            inner = inner[(colon + 1)...]
        }
        let text = Array(inner)
        var position = 0
        let address: EmailAddress
        do { address = try EmailAddress.parse(text.span, at: &position) } catch { throw refusal() }
        guard position < text.count, text[position] == UInt8(ascii: ">") else { throw refusal() }
        return (address, text[(position + 1)...])
    }

    private static func chunk(_ argument: ArraySlice<UInt8>) throws(SMTPSyntaxError) -> SMTPCommand {
        let words = argument.split(separator: UInt8(ascii: " "))
        // Eighteen digits are less than the largest Int.
        guard let digits = words.first, (1...18).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let octets = Int(String(decoding: digits, as: UTF8.self))
        else { throw SMTPSyntaxError(501, (5, 5, 4), "Syntax: BDAT octets [LAST]", endsSession: true) }
        if words.count == 1 { return .chunk(octets: octets, isLast: false) }
        guard words.count == 2, String(decoding: words[1], as: UTF8.self).uppercased() == "LAST" else {
            throw SMTPSyntaxError(501, (5, 5, 4), "Syntax: BDAT octets [LAST]", endsSession: true)
        }
        return .chunk(octets: octets, isLast: true)
    }

    private static func authenticate(_ argument: ArraySlice<UInt8>) throws(SMTPSyntaxError) -> SMTPCommand {
        let words = argument.split(separator: UInt8(ascii: " "))
        guard let mechanism = words.first, words.count <= 2 else {
            throw SMTPSyntaxError(501, (5, 5, 4), "Syntax: AUTH mechanism [initial-response]")
        }
        let response = words.count == 2 ? String(decoding: words[1], as: UTF8.self) : nil
        return .authenticate(mechanism: String(decoding: mechanism, as: UTF8.self).uppercased(), initialResponse: response)
    }
}

extension SMTPParameter {
    /// Reads ` keyword[=value] keyword[=value]…` (RFC 5321 §4.1.2; values with octets over 127 by RFC 6531 §3.3).
    static func parse(_ octets: ArraySlice<UInt8>) throws(SMTPSyntaxError) -> [SMTPParameter] {
        guard octets.isEmpty || octets.first == UInt8(ascii: " ") else {
            throw SMTPSyntaxError(501, (5, 5, 4), "A space must follow the address")
        }
        var parameters = [SMTPParameter]()
        for word in octets.split(separator: UInt8(ascii: " ")) {
            let equals = word.firstIndex(of: UInt8(ascii: "="))
            let keyword = word[..<(equals ?? word.endIndex)]
            guard let first = keyword.first, isAlphanumeric(first), keyword.allSatisfy({ isAlphanumeric($0) || $0 == UInt8(ascii: "-") })
            else { throw SMTPSyntaxError(501, (5, 5, 4), "A parameter has no valid keyword") }
            let value = equals.map { word[($0 + 1)...] }
            if let value {
                guard !value.isEmpty, value.allSatisfy({ $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "=") }),
                    let text = String(validating: value, as: UTF8.self)
                else { throw SMTPSyntaxError(501, (5, 5, 4), "A parameter has no valid value") }
                parameters.append(SMTPParameter(keyword: String(decoding: keyword, as: UTF8.self), value: text))
            } else {
                parameters.append(SMTPParameter(keyword: String(decoding: keyword, as: UTF8.self), value: nil))
            }
        }
        guard parameters.count < 2 || Set(parameters.map(\.keyword)).count == parameters.count else {
            throw SMTPSyntaxError(501, (5, 5, 4), "A parameter is given twice")
        }
        return parameters
    }

    private static func isAlphanumeric(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: false
        }
    }
}
