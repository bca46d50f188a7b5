package import NIOSSL

extension TLSSummary {
    /// Describes the session of a handler whose handshake is complete. Call it on the channel's event loop.
    /// - Parameters:
    ///   - handler: the channel's TLS handler.
    ///   - serverName: what we asked for by SNI, or the client did.
    ///   - verification: how the peer's certificate was judged, where there is one.
    ///   - readsRoles: the certificate was verified against the internal authority, so its roles count.
    package init(handler: NIOSSLHandler, serverName: String?, verification: Verification, readsRoles: Bool) {
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
            version: version, serverName: serverName, verification: certificate == nil ? .none : verification,
            peerSubject: identity?.subject, peerRoles: readsRoles ? identity?.roles ?? [] : [])
    }

    /// Describes a session that one of our listeners accepted.
    package init(handler: NIOSSLHandler, server: TLSServerContext) {
        switch server.audience {
        case .clients, .internet: self.init(handler: handler, serverName: nil, verification: .unverified, readsRoles: false)
        case .link: self.init(handler: handler, serverName: nil, verification: .verified, readsRoles: true)
        }
    }

    /// Describes a session that we opened to a peer.
    package init(handler: NIOSSLHandler, client: TLSClientContext, serverName: String?) {
        self.init(
            handler: handler, serverName: serverName, verification: client.verification, readsRoles: client.readsRoles)
    }
}
