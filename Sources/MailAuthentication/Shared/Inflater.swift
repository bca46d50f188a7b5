import CZlib

/// Decompresses with zlib within limits (RFC 1950 to 1952).
struct Inflater {
    /// What the octets are.
    enum Format: Int32 {
        /// Bare deflate, as in a ZIP archive.
        case raw = -15
        /// A gzip member with header and checksum.
        case gzip = 31
    }

    /// Why nothing came of it.
    enum Failure: Error, Hashable, Sendable {
        case unavailable, memory
        /// The octets end before the stream does.
        case truncated
        case damaged
        /// More comes out than the limit.
        case tooLarge
        case growsTooMuch
    }

    /// How many times larger octets may become.
    struct Growth {
        var factor: Int
        /// Below so many octets growth doesn't count.
        var freeOctets: Int
        /// The compressed octets that are compared with.
        var inputCount: Int
    }

    /// The most octets of output, with those that were there before.
    let outputLimit: Int
    var growth: Growth?

    init(outputLimit: Int) { self.outputLimit = outputLimit }

    /// Decompresses one stream and appends what comes out. After a failure the output has what came out before it, at most 64 KiB over the limit.
    /// - Returns: the octets of the input that belong to the stream.
    func inflate(_ input: ArraySlice<UInt8>, _ format: Format, into output: inout [UInt8]) throws(Failure) -> Int {
        var stream = unsafe z_stream()
        // The library's own check that its header and its code are of one version, and the size that this program was compiled with.
        guard unsafe inflateInit2_(&stream, format.rawValue, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { throw .unavailable }
        defer { unsafe inflateEnd(&stream) }
        var consumed = 0
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let length = min(input.count - consumed, 1 << 20)
            let part = input[(input.startIndex + consumed)..<(input.startIndex + consumed + length)]
            var status = Z_OK
            var taken = 0
            var made = 0
            // Both arrays stay where they are while the library reads and writes within the counts that it gets; no pointer is kept after.
            unsafe part.withUnsafeBufferPointer { source in
                unsafe piece.withUnsafeMutableBufferPointer { target in
                    unsafe stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
                    unsafe stream.avail_in = UInt32(source.count)
                    unsafe stream.next_out = target.baseAddress
                    unsafe stream.avail_out = UInt32(target.count)
                    status = unsafe CZlib.inflate(&stream, Z_NO_FLUSH)
                    unsafe taken = source.count - Int(stream.avail_in)
                    unsafe made = target.count - Int(stream.avail_out)
                    unsafe stream.next_in = nil
                    unsafe stream.next_out = nil
                }
            }
            consumed += taken
            output.append(contentsOf: piece[..<made])
            try check(output.count)
            switch status {
            case Z_STREAM_END: return consumed
            case Z_OK where taken > 0 || made > 0: continue
            case Z_OK, Z_BUF_ERROR: throw .truncated
            case Z_MEM_ERROR: throw .memory
            default: throw .damaged
            }
        }
    }

    private func check(_ count: Int) throws(Failure) {
        guard count <= outputLimit else { throw .tooLarge }
        guard let growth, count > growth.freeOctets else { return }
        guard count / max(1, growth.inputCount) < growth.factor else { throw .growsTooMuch }
    }
}
