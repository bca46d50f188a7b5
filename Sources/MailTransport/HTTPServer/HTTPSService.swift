public import DNS
public import NIOCore

/// A request as a listener of ours takes it: from anybody, on a connection of its own.
public struct HTTPSServerRequest: Sendable, Hashable {
    /// `GET`, or whatever was written.
    public var method: String
    /// The path and the query as they were written.
    public var target: String
    /// The value of Host without its port, in lower case (RFC 9112 §3.2).
    public var host: String
    /// The media type of the content in lower case, without parameters; `nil` where there is none, or more than one.
    public var contentType: String?
    /// Content-Encoding in lower case; `nil` where there is none.
    public var contentEncoding: String?
    /// The client.
    public var client: IPAddress
    public var clientPort: Int
    public var server: IPAddress
    public var serverPort: Int
    /// The content.
    public var body = ByteBuffer()

    /// Puts a request together.
    public init(
        method: String, target: String, host: String, contentType: String? = nil, contentEncoding: String? = nil, client: IPAddress, clientPort: Int,
        server: IPAddress, serverPort: Int
    ) {
        self.method = method
        self.target = target
        self.host = host
        self.contentType = contentType
        self.contentEncoding = contentEncoding
        self.client = client
        self.clientPort = clientPort
        self.server = server
        self.serverPort = serverPort
    }
}

/// An answer.
public struct HTTPSServerResponse: Sendable, Hashable {
    /// `200`.
    public var status: Int
    public var contentType: String
    public var body: [UInt8]
    /// The methods that are allowed, where another one was asked for (RFC 9110 §10.2.1).
    public var allow: String?
    /// Seconds to wait before another try (RFC 9110 §10.2.3).
    public var retryAfter: Int?

    /// Makes an answer.
    public init(_ status: Int, _ text: String, contentType: String = "text/plain", allow: String? = nil, retryAfter: Int? = nil) {
        self.status = status
        self.contentType = contentType
        body = Array(text.utf8)
        self.allow = allow
        self.retryAfter = retryAfter
    }
}

/// Answers the requests of a listener.
public protocol HTTPSService: Sendable {
    /// Looks at a request's head, before anything of its content is read.
    func begin(_ request: HTTPSServerRequest) -> HTTPSServerDecision

    /// Answers a request whose content was wanted and is there.
    func answer(_ request: HTTPSServerRequest) async -> HTTPSServerResponse
}

/// What becomes of a request.
public enum HTTPSServerDecision: Sendable {
    /// It is answered as it stands.
    case answer(HTTPSServerResponse)
    /// Its content is wanted, at most so many octets.
    case read(limit: Int)
}
