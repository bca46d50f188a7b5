import DNS
import MailTransport
import NIOCore
import Posture

/// Asks for the settings of mail programs as they do, within the limits of section `web`.
struct SettingsProbe: PostureSettingsProbe {
    let client: HTTPSClient
    let port: Int

    /// - Throws: ``TLSFailure`` that names the file with the roots.
    init(_ web: Configuration.WebSettings, resolver: any DNS.Resolver, group: any EventLoopGroup) throws {
        client = HTTPSClient(web, tls: try .web(authorityFile: web.authorities), resolver: resolver, group: group)
        port = web.port
    }

    func ask(_ host: DomainName, _ target: String, body: String?) async -> PostureSettingsAnswer {
        let limit = PostureChecker.settingsLimit
        let request =
            body.map { HTTPSRequest(post: ByteBuffer(string: $0), contentType: "text/xml", to: target, host: host, port: port, responseLimit: limit) }
            ?? HTTPSRequest(get: target, host: host, port: port, responseLimit: limit)
        switch await client.send(request).outcome {
        case .success(let response): return .answered(status: response.status, body: Array(response.body.readableBytesView))
        case .failure(let failure): return .failed(failure.reason)
        }
    }
}
