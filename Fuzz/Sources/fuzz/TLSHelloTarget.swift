import NIOCore
import TransportSecurity

/// The first messages of a TLS handshake, of a client and of a server, whole and in pieces.
enum TLSHelloTarget {
    static func run(_ data: [UInt8]) {
        let input = Input(data)
        for side in [TLSHandshakeReader.Side.client, .server] {
            var whole = TLSHandshakeReader(side)
            whole.read(ByteBuffer(bytes: input.octets).readableBytesView)
            var cut = TLSHandshakeReader(side)
            // A reader that has finished takes nothing more, so that one octet after the other is the worst that a peer can do.
            for octet in input.octets { cut.read(ByteBuffer(bytes: [octet]).readableBytesView) }
            require(whole.choice == cut.choice && whole.serverName == cut.serverName && whole.isFinished == cut.isFinished, "cuts make a difference")
            require(whole.serverName.map { $0.utf8.count <= 255 } ?? true, "a long name")
            require(side == .client ? whole.choice == nil : whole.serverName == nil, "one side's words from the other")
        }
    }
}
