/// A request to a certificate authority, over HTTPS.
public struct ACMERequest: Hashable, Sendable {
    /// The methods that ACME needs.
    public enum Method: String, Hashable, Sendable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
    }

    /// The method.
    public var method: Method
    /// The whole URL.
    public var url: String
    /// The header fields, in order. Host and Content-Length are the transport's.
    public var headers: [ACMEHeader]
    /// The body, in JSON; empty for all but POST.
    public var body: [UInt8]
}

/// A header field of HTTP.
public struct ACMEHeader: Hashable, Sendable {
    /// The name; upper and lower case are the same.
    public var name: String
    /// The value without blanks around it.
    public var value: String

    /// Makes a field.
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// What the authority answered.
public struct ACMEResponse: Hashable, Sendable {
    /// The status, such as 201.
    public var status: Int
    /// The header fields.
    public var headers: [ACMEHeader]
    /// The body.
    public var body: [UInt8]

    /// Makes an answer.
    public init(status: Int, headers: [ACMEHeader] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    func values(_ name: String) -> [String] { headers.filter { $0.name.lowercased() == name }.map(\.value) }

    /// The value of a field that comes once.
    func value(_ name: String) -> String? { values(name).first }
}
