public import DNS

/// Who the MTA's client is, as CONNECT says.
public struct MilterConnection: Hashable, Sendable {
    /// Where the client is.
    public enum Peer: Hashable, Sendable {
        /// IPv4 (`4`) or IPv6 (`6`), with the client's port; 0 where the MTA doesn't know it.
        case internet(IPAddress, port: UInt16)
        /// A socket of the file system (`L`).
        case local(path: String)
        /// The MTA doesn't tell (`U`): mail that was handed in on the host itself, or an address that can't be told.
        case unknown
    }

    /// The client's name; where there is no verified one, MTAs say `unknown` or the address in brackets.
    public var hostName: String
    public var peer: Peer

    /// Makes a connection.
    public init(hostName: String, peer: Peer) {
        self.hostName = hostName
        self.peer = peer
    }

    /// The client's address; `nil` where there is none.
    public var address: IPAddress? {
        switch peer {
        case .internet(let address, _): address
        case .local, .unknown: nil
        }
    }
}
