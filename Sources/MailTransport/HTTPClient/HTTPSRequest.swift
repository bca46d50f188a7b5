public import DNS
public import NIOCore

/// What is asked of a web server of another organisation: always by HTTPS, by name, on a connection of its own.
public struct HTTPSRequest: Sendable {
    /// What is asked for.
    public enum Method: String, Sendable, Codable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
    }

    public var method: Method
    /// The server's name: what is looked up, asked for by SNI and in Host, and must stand in the certificate.
    public var host: DomainName
    public var port: Int
    /// The path and the query, as they go into the request's first line (RFC 9112 §3.2.1).
    public var target: String
    /// The media types that are welcome (RFC 9110 §12.5.1).
    public var accept: String
    /// What ``body`` is.
    public var contentType: String?
    /// What is sent with POST.
    public var body: ByteBuffer
    /// The most octets of the answer; the default is what RFC 8461 §3.3 suggests for a policy.
    public var responseLimit: Int
    /// Whether a certificate for `*.kartapuce.test` proves `logos.kartapuce.test`. RFC 8461 §3.3 allows it, and RFC 9525 §7.1 leaves it to whoever uses it.
    public var allowsWildcards: Bool

    /// Asks for what is at a place.
    public init(
        get target: String, host: DomainName, port: Int = 443, accept: String = "*/*", responseLimit: Int = 65536, allowsWildcards: Bool = true
    ) {
        method = .get
        self.host = host
        self.port = port
        self.target = target
        self.accept = accept
        body = ByteBuffer()
        self.responseLimit = responseLimit
        self.allowsWildcards = allowsWildcards
    }

    /// Asks what a GET would be answered with, without the content (RFC 9110 §9.3.2).
    public init(head target: String, host: DomainName, port: Int = 443, allowsWildcards: Bool = true) {
        self.init(get: target, host: host, port: port, allowsWildcards: allowsWildcards)
        method = .head
    }

    /// Sends something to a place, such as a report (RFC 8460 §3).
    public init(
        post body: ByteBuffer, contentType: String, to target: String, host: DomainName, port: Int = 443, responseLimit: Int = 65536,
        allowsWildcards: Bool = true
    ) {
        self.init(get: target, host: host, port: port, responseLimit: responseLimit, allowsWildcards: allowsWildcards)
        method = .post
        self.body = body
        self.contentType = contentType
    }

    /// The URI, for people.
    public var uri: String { "https://\(authority)\(target)" }

    /// What stands in Host (RFC 9112 §3.2).
    var authority: String { port == 443 ? host.ascii : "\(host.ascii):\(port)" }

    /// Why this can't be asked; `nil` where it can. Nothing in it may end a line of the request.
    var problem: String? {
        guard target.hasPrefix("/"), target.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return "the target doesn't begin with “/”, or has characters that can't stand in a URI"
        }
        guard (accept + (contentType ?? "")).utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else { return "a field has characters that can't stand in it" }
        guard (1...65535).contains(port) else { return "the port \(port) is none" }
        return nil
    }
}
