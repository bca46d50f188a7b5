import DNS
import MailTransport
import NIOCore
import TransportSecurity

/// Fetches policies of MTA-STS from their hosts by HTTPS (RFC 8461 §3.3): no redirection, no certificate but one for the policy host's own name.
struct WebPolicyFetcher: MTASTSFetcher {
    let client: HTTPSClient
    let port: Int

    /// - Throws: ``TLSFailure`` that names the file with the roots.
    init(_ web: Configuration.WebSettings, resolver: any Resolver, group: any EventLoopGroup) throws {
        var limits = HTTPSClient.Limits()
        limits.total = .seconds(web.timeoutSeconds)
        client = HTTPSClient(
            resolver: resolver, tls: try .web(authorityFile: web.authorities), group: group, limits: limits,
            isAllowed: { address in !address.isSpecial || web.specialNetworks.contains { $0.contains(address.unmapped) } })
        port = web.port
    }

    func fetch(policyHost: DomainName, limit: Int) async throws(MTASTSFetchError) -> MTASTSResponse {
        let request = HTTPSRequest(
            get: "/.well-known/mta-sts.txt", host: policyHost, port: port, accept: "text/plain", responseLimit: limit, allowsWildcards: false)
        switch await client.send(request).outcome {
        case .success(let response):
            return MTASTSResponse(status: response.status, contentType: response.contentType, body: Array(response.body.readableBytesView))
        case .failure(let failure): throw MTASTSFetchError(Self.code(failure.code), reason: "\(request.uri): \(failure.reason)")
        }
    }

    private static func code(_ code: HTTPSFailure.Code) -> MTASTSFetchError.Code {
        switch code {
        case .nameLookupFailed, .noAddress, .forbiddenAddress: .nameLookupFailed
        case .untrustedCertificate, .wrongName, .wildcardCertificate: .untrusted
        case .timeout, .cancelled: .timeout
        case .headerTooLarge, .bodyTooLarge: .tooLarge
        case .invalidRequest, .connectionFailed, .tlsFailed, .invalidResponse, .connectionClosed: .connectionFailed
        }
    }
}
