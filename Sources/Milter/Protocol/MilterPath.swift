public import MailMessage

/// The argument of MAIL or RCPT, and the parameters behind it.
public struct MilterPath: Hashable, Sendable {
    /// The path as the MTA told it, mostly with its angle brackets.
    public let text: String
    /// ESMTP parameters as they were told, such as `SIZE=1000`.
    public let parameters: [String]
    /// The mailbox in the path; `nil` for the null path and for what is none by RFC 5321 §4.1.2 (a local name alone, for example).
    public let address: EmailAddress?

    /// Reads a path. Any text is one: what isn't understood has no address.
    public init(_ text: String, parameters: [String] = []) {
        self.text = text
        self.parameters = parameters
        address = EmailAddress(String(Self.mailbox(in: text)))
    }

    /// Makes the path of an address; `nil` is the null path.
    public init(_ address: EmailAddress?, parameters: [String] = []) {
        text = "<\(address?.description ?? "")>"
        self.parameters = parameters
        self.address = address
    }

    /// The null path `<>`, which notifications have (RFC 5321 §4.5.5).
    public var isNull: Bool { Self.mailbox(in: text).isEmpty }

    /// The value of a parameter, empty where it has none; `nil` where the parameter isn't there. The case of the name doesn't count.
    public func parameter(_ name: String) -> String? {
        for parameter in parameters {
            let parts = parameter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if let first = parts.first, first.lowercased() == name.lowercased() { return parts.count > 1 ? String(parts[1]) : "" }
        }
        return nil
    }

    /// What stands between the brackets, without a source route (RFC 5321 appendix C: it is ignored).
    private static func mailbox(in text: String) -> Substring {
        var rest = text[...]
        while rest.first == " " { rest = rest.dropFirst() }
        while rest.last == " " { rest = rest.dropLast() }
        if rest.first == "<", rest.last == ">" { rest = rest.dropFirst().dropLast() }
        if rest.first == "@", let colon = rest.firstIndex(of: ":") { rest = rest[rest.index(after: colon)...] }
        return rest
    }
}
