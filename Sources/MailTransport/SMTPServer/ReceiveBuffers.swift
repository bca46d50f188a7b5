import NIOCore

/// How much a session reads at once. NIO keeps the buffer that was read into with the channel, so what is large while a message comes would stay
/// with each idle session.
enum ReceiveBuffers {
    /// While commands come: lines of some dozen octets.
    static let commands = AdaptiveRecvByteBufferAllocator(minimum: 128, initial: 256, maximum: 16 * 1024)
    /// While a message comes.
    static let content = AdaptiveRecvByteBufferAllocator(minimum: 8 * 1024, initial: 16 * 1024, maximum: 64 * 1024)

    /// Reads in another way from now on, and lets go of the buffer.
    static func set(_ allocator: AdaptiveRecvByteBufferAllocator, _ channel: any Channel) {
        // It fails only for a channel that is closed, which reads nothing more.
        try? channel.syncOptions?.setOption(.recvAllocator, value: allocator)
    }
}
