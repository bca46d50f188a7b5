import DNS
import FoundationEssentials
import MailTransport
import NIOCore
import TransportSecurity

/// Sends reports on TLS by HTTPS (RFC 8460 §5.4).
protocol ReportPoster: Sendable {
    /// - Parameters:
    ///   - report: JSON, compressed by gzip.
    ///   - uri: where the domain wants it.
    func post(_ report: [UInt8], to uri: String) async -> ReportPostOutcome
}

/// What came of it.
struct ReportPostOutcome: Codable, Sendable, Hashable {
    var isTaken: Bool
    /// Whether another try may help.
    var isTemporary: Bool
    /// What an operator wants to know: who was asked, and what was answered.
    var explanation: String
}

/// Sends them from this host.
struct WebReportPoster: ReportPoster {
    let client: HTTPSClient

    /// - Throws: ``TLSFailure`` that names the file with the roots.
    init(_ web: Configuration.WebSettings, resolver: any DNS.Resolver, group: any EventLoopGroup) throws {
        client = HTTPSClient(web, tls: try .web(authorityFile: web.authorities), resolver: resolver, group: group)
    }

    func post(_ report: [UInt8], to uri: String) async -> ReportPostOutcome {
        // RFC 3986 §3.2.1: names and passwords in a URI are nobody's to send on; such a URI isn't one that can be read here.
        guard let address = WebAddress(uri) else {
            return ReportPostOutcome(isTaken: false, isTemporary: false, explanation: "“\(uri.prefix(200))” can't be sent to: it names no host by its name")
        }
        let exchange = await client.send(
            HTTPSRequest(
                post: ByteBuffer(bytes: report), contentType: TLSRPTReportMessage.mediaType(isCompressed: true), to: address.target, host: address.host,
                port: address.port, responseLimit: Self.answerLimit))
        switch exchange.outcome {
        case .success(let response):
            return ReportPostOutcome(
                isTaken: (200..<300).contains(response.status), isTemporary: Self.isTemporary(response.status), explanation: "\(exchange)")
        case .failure(let failure):
            // A server that said yes and much more has said yes; nobody reads the rest, and nobody knows.
            return ReportPostOutcome(isTaken: false, isTemporary: failure.code != .invalidRequest, explanation: "\(exchange)")
        }
    }

    private static let answerLimit = 64 * 1024

    /// RFC 9110 §15: what a server can't do now, or thinks of us now.
    private static func isTemporary(_ status: Int) -> Bool { status >= 500 || [408, 425, 429].contains(status) }
}

/// Has them sent by another host of ours: the store has no way to the internet of its own.
struct RemoteReportPoster: ReportPoster {
    let host: ControlClient

    func post(_ report: [UInt8], to uri: String) async -> ReportPostOutcome {
        do {
            let response = try await host.send(.postReport(report, uri: uri))
            guard response.status == 200 else { throw DirectoryUnavailable(description: "\(host.peer.host) answered \(response.status)") }
            return try JSONDecoder().decode(ReportPostOutcome.self, from: Data(response.body))
        } catch {
            return ReportPostOutcome(isTaken: false, isTemporary: true, explanation: "\(error)")
        }
    }
}
