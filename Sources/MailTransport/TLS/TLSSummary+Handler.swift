package import NIOCore
package import NIOSSL
import TransportSecurity

extension TLSSummary {
    /// Describes the session of a handler whose handshake is complete. Call it on the channel's event loop.
    /// - Parameters:
    ///   - handler: the channel's TLS handler.
    ///   - findings: what was in the clear.
    ///   - serverName: what we asked for by SNI.
    ///   - verification: how the peer's certificate was judged, where there is one.
    ///   - readsRoles: the certificate was verified against the internal authority, so its roles count.
    private init(
        handler: NIOSSLHandler, findings: TLSHandshakeObserver.Findings, serverName: String? = nil, verification: Verification, readsRoles: Bool
    ) {
        let version =
            switch handler.tlsVersion {
            case .tlsv1: "TLSv1"
            case .tlsv11: "TLSv1.1"
            case .tlsv12: "TLSv1.2"
            case .tlsv13: "TLSv1.3"
            case nil: "TLS"
            }
        let certificate = handler.peerCertificate.flatMap { try? $0.toDERBytes() }
        let identity = certificate.flatMap { try? LinkCertificate(derBytes: $0) }
        self.init(
            version: version, cipher: findings.choice?.cipherSuiteName ?? "", group: findings.choice?.groupName,
            serverName: serverName ?? findings.serverName, verification: certificate == nil ? .none : verification,
            peerSubject: identity?.subject, peerRoles: readsRoles ? identity?.roles ?? [] : [])
    }

    /// Describes a session that one of our listeners accepted. An observer that stands in the pipeline has done its work.
    package init(handler: NIOSSLHandler, in pipeline: ChannelPipeline.SynchronousOperations, server: TLSServerContext) {
        let findings = TLSHandshakeObserver.take(from: pipeline)
        switch server.audience {
        case .clients, .internet: self.init(handler: handler, findings: findings, verification: .unverified, readsRoles: false)
        case .link: self.init(handler: handler, findings: findings, verification: .verified, readsRoles: true)
        }
    }

    /// Describes a session that we opened to a peer. An observer that stands in the pipeline has done its work.
    package init(handler: NIOSSLHandler, in pipeline: ChannelPipeline.SynchronousOperations, client: TLSClientContext, serverName: String?) {
        self.init(
            handler: handler, findings: TLSHandshakeObserver.take(from: pipeline), serverName: serverName, verification: client.verification,
            readsRoles: client.readsRoles)
    }
}
