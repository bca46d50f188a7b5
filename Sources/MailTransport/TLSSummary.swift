/// What is known about an established TLS session, for headers, journeys and decisions.
public struct TLSSummary: Hashable, Sendable, Codable {
    /// `TLSv1.3`.
    public var version: String
    /// `TLS_AES_128_GCM_SHA256`; empty where the library doesn't tell.
    public var cipher: String
    /// What the client asked for by SNI, or what we asked for.
    public var serverName: String?
    /// How the peer's certificate was judged: `unverified`, `verified`, or `none` for a client without one.
    public var verification: Verification
    /// The subject of the peer's certificate, where there is one.
    public var peerSubject: String?
    /// The roles that a certificate of the internal authority names, such as `mx`. Empty for everybody else.
    public var peerRoles: Set<String>

    /// How the peer's certificate was judged.
    public enum Verification: String, Hashable, Sendable, Codable { case none, unverified, verified }

    public init(
        version: String, cipher: String = "", serverName: String? = nil, verification: Verification, peerSubject: String? = nil,
        peerRoles: Set<String> = []
    ) {
        self.version = version
        self.cipher = cipher
        self.serverName = serverName
        self.verification = verification
        self.peerSubject = peerSubject
        self.peerRoles = peerRoles
    }
}
