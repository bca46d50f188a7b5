/// What is known about an established TLS session, for headers, journeys and decisions.
public struct TLSSummary: Hashable, Sendable, Codable {
    /// `TLSv1.3`.
    public var version: String
    /// `TLS_AES_128_GCM_SHA256`; empty where it isn't known.
    public var cipher: String
    /// The group of the key exchange: `X25519MLKEM768`; `nil` where it isn't known, or there was none.
    public var group: String?
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
        version: String, cipher: String = "", group: String? = nil, serverName: String? = nil, verification: Verification, peerSubject: String? = nil,
        peerRoles: Set<String> = []
    ) {
        self.version = version
        self.cipher = cipher
        self.group = group
        self.serverName = serverName
        self.verification = verification
        self.peerSubject = peerSubject
        self.peerRoles = peerRoles
    }
}
