/// The service extensions that a server offers in its reply to EHLO (RFC 5321 §4.1.1.1), and the limits that it names.
public struct SMTPExtensions: Hashable, Sendable {
    /// PIPELINING (RFC 2920).
    public var pipelining = false
    /// 8BITMIME (RFC 6152).
    public var eightBitMIME = false
    /// CHUNKING (RFC 3030 §2).
    public var chunking = false
    /// BINARYMIME (RFC 3030 §3).
    public var binaryMIME = false
    /// SMTPUTF8 (RFC 6531).
    public var smtpUTF8 = false
    /// DSN (RFC 3461).
    public var dsn = false
    /// STARTTLS (RFC 3207).
    public var startTLS = false
    /// ENHANCEDSTATUSCODES (RFC 2034).
    public var enhancedStatusCodes = false
    /// REQUIRETLS (RFC 8689).
    public var requireTLS = false
    /// XTRACE: the peer takes the identity of a journey with MAIL.
    public var xtrace = false
    /// SIZE (RFC 1870).
    public var size = false
    /// The largest message in octets that the server takes; `nil` where it names none (RFC 1870 §4).
    public var sizeLimit: Int?
    /// AUTH: the mechanisms in capital letters and the server's order (RFC 4954 §3).
    public var authenticationMechanisms: [String] = []
    /// LIMITS: how many RCPT commands a transaction may have (RFC 9422 §4.2).
    public var recipientLimit: Int?
    /// LIMITS: how many transactions a session may have (RFC 9422 §4.1).
    public var mailLimit: Int?
    /// LIMITS: how many different domains the recipients of a transaction may have (RFC 9422 §4.3).
    public var recipientDomainLimit: Int?
    /// All keywords in capital letters with their parameters as they were sent.
    public var keywords: [String: String] = [:]

    /// No extension: a server that knows HELO only.
    public init() {}

    /// Reads the lines of the reply to EHLO; the first one is the server's name. Keywords may have any case (RFC 5321 §2.4).
    public init(ehloLines lines: [String]) {
        for line in lines.dropFirst() {
            // Deliberate: `AUTH=PLAIN` of servers older than RFC 2554 is not understood; all of them send `AUTH PLAIN` too.
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            guard let first = words.first else { continue }
            let keyword = first.uppercased()
            let parameters = Array(words.dropFirst())
            keywords[keyword] = parameters.joined(separator: " ")
            take(keyword, parameters)
        }
    }

    private mutating func take(_ keyword: String, _ parameters: [Substring]) {
        switch keyword {
        case "PIPELINING": pipelining = true
        case "8BITMIME": eightBitMIME = true
        case "CHUNKING": chunking = true
        case "BINARYMIME": binaryMIME = true
        case "SMTPUTF8": smtpUTF8 = true
        case "DSN": dsn = true
        case "STARTTLS": startTLS = true
        case "ENHANCEDSTATUSCODES": enhancedStatusCodes = true
        case "REQUIRETLS": requireTLS = true
        case "XTRACE": xtrace = true
        case "SIZE":
            size = true
            // RFC 1870 §4: zero, or no number, means that no fixed limit is in force.
            sizeLimit = parameters.first.flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
        case "AUTH":
            for mechanism in parameters where !authenticationMechanisms.contains(mechanism.uppercased()) {
                authenticationMechanisms.append(mechanism.uppercased())
            }
        case "LIMITS":
            for parameter in parameters {
                let parts = parameter.split(separator: "=", maxSplits: 1)
                guard parts.count == 2, let value = Int(parts[1]), value > 0 else { continue }
                switch parts[0].uppercased() {
                case "RCPTMAX": recipientLimit = value
                case "MAILMAX": mailLimit = value
                case "RCPTDOMAINMAX": recipientDomainLimit = value
                default: continue
                }
            }
        default: return
        }
    }
}
