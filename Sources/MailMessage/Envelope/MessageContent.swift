public import NIOCore

/// The octets of a message, held in memory or in a file: written once, never changed, shared by everyone who reads them.
public protocol MessageContent: Sendable {
    /// The number of octets.
    var byteCount: Int { get }

    /// Reads octets; whatever blocks while doing so runs away from event loops and the cooperative pool.
    /// - Parameter range: the octets to read; it must lie within `0..<byteCount`.
    /// - Throws: what the storage reports when the octets cannot be read.
    func read(_ range: Range<Int>) async throws -> ByteBuffer
}

extension MessageContent {
    /// All octets as one buffer. Meant for content that is known to be small, and for parsers that need it whole.
    public func readAll() async throws -> ByteBuffer { try await read(0..<byteCount) }
}

/// Content in memory.
public struct BufferedContent: MessageContent {
    /// The octets.
    public let buffer: ByteBuffer

    /// Holds the readable bytes of `buffer`.
    public init(_ buffer: ByteBuffer) { self.buffer = buffer }

    public var byteCount: Int { buffer.readableBytes }

    public func read(_ range: Range<Int>) async throws -> ByteBuffer {
        buffer.getSlice(at: buffer.readerIndex + range.lowerBound, length: range.count) ?? ByteBuffer()
    }
}

/// Content with octets in front of it: header fields that were added after the content was written.
public struct PrefixedContent: MessageContent {
    /// What stands in front.
    public let prefix: ByteBuffer
    /// What follows.
    public let base: any MessageContent

    /// Puts `prefix` in front of `base`.
    public init(prefix: ByteBuffer, base: any MessageContent) {
        self.prefix = prefix
        self.base = base
    }

    public var byteCount: Int { prefix.readableBytes + base.byteCount }

    public func read(_ range: Range<Int>) async throws -> ByteBuffer {
        let edge = prefix.readableBytes
        guard range.lowerBound < edge else {
            return try await base.read(range.lowerBound - edge..<range.upperBound - edge)
        }
        let head = range.lowerBound..<min(edge, range.upperBound)
        var result = prefix.getSlice(at: prefix.readerIndex + head.lowerBound, length: head.count) ?? ByteBuffer()
        if range.upperBound > edge {
            var tail = try await base.read(0..<range.upperBound - edge)
            result.writeBuffer(&tail)
        }
        return result
    }
}

/// Content in a file that becomes part of the spool by renaming it. Deleted when it is neither adopted nor referenced any more.
public protocol IncomingFile: Sendable {
    /// Appends octets, in order.
    func append(_ buffer: ByteBuffer) async throws
    /// Ends the writing; the content can be read, and be enqueued on this spool without being copied.
    func finish() async throws -> any MessageContent
    /// Deletes the file.
    func discard() async
}
