import ACME
import DNS
import MailTransport
import NIOCore

/// Speaks with a certificate authority over HTTPS.
struct ACMEConnection: ACMETransport {
    private let client: HTTPSClient
    private static let limits = ACMELimits()

    /// - Parameter authorityFile: the only roots that may vouch for the authority's own certificate; `nil`: the system's. An authority with a root of
    ///   its own may have a private address too.
    init(resolver: any DNS.Resolver, authorityFile: String?, group: any EventLoopGroup) throws {
        var limits = HTTPSClient.Limits()
        limits.total = .seconds(30)
        limits.connect = .seconds(10)
        let isPrivate = authorityFile != nil
        client = HTTPSClient(
            resolver: resolver, tls: try .web(authorityFile: authorityFile), group: group, limits: limits, isAllowed: { isPrivate || !$0.isSpecial })
    }

    func send(_ request: ACMERequest) async throws(ACMETransportFailure) -> ACMEResponse {
        guard let address = WebAddress(request.url) else { throw ACMETransportFailure("“\(request.url)” isn't a URL with a host's name") }
        var asked: HTTPSRequest
        switch request.method {
        case .get: asked = HTTPSRequest(get: address.target, host: address.host, port: address.port)
        case .head: asked = HTTPSRequest(head: address.target, host: address.host, port: address.port)
        case .post:
            asked = HTTPSRequest(
                post: ByteBuffer(bytes: request.body), contentType: request.value("content-type") ?? "", to: address.target, host: address.host,
                port: address.port)
        }
        asked.responseLimit = Self.limits.bodySizeLimit
        if let accept = request.value("accept") { asked.accept = accept }
        let exchange = await client.send(asked)
        switch exchange.outcome {
        case .failure(let failure): throw ACMETransportFailure("\(request.method.rawValue) \(request.url): \(failure)")
        case .success(let response):
            return ACMEResponse(
                status: response.status, headers: response.fields.map { ACMEHeader($0.name, $0.value) }, body: Array(response.body.readableBytesView))
        }
    }
}

extension ACMERequest {
    /// The value of a field that comes once. User-Agent and Accept-Language are the client's own.
    fileprivate func value(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
}
