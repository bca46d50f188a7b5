import DNS
import NIOCore

/// Both ends of a client's connection, as they are, or as a trusted proxy says that they were before it.
struct ConnectionEnds: Sendable {
    var remote: ProxyHeader.End
    var local: ProxyHeader.End
    /// The proxy that handed the connection on.
    var proxy: IPAddress?

    /// The ends of the connection itself; `nil` where it has no internet address.
    init?(_ channel: any Channel) {
        guard let remote = channel.remoteAddress?.internetAddress, let local = channel.localAddress?.internetAddress else { return nil }
        self.remote = ProxyHeader.End(remote, channel.remoteAddress?.port ?? 0)
        self.local = ProxyHeader.End(local, channel.localAddress?.port ?? 0)
    }

    /// What a proxy says of them. Where it speaks for itself, the connection is its own.
    func told(by header: ProxyHeader) -> ConnectionEnds {
        guard let source = header.source, let destination = header.destination else { return self }
        var ends = self
        ends.proxy = remote.address
        ends.remote = source
        ends.local = destination
        return ends
    }
}
