internal import CZlib

/// Unpacks SVGZ (RFC 1952) up to a limit.
enum BIMIGzip {
    enum Failure: Error, Hashable, Sendable {
        /// More comes out than the limit.
        case tooLarge
        /// It isn't gzip, or a checksum is wrong, or the end is missing.
        case damaged
        /// Something follows the end: another member, which some read and some don't.
        case trailingOctets
    }

    /// RFC 1952 §2.3.1.
    static func isGzip(_ octets: some Collection<UInt8>) -> Bool { octets.starts(with: [0x1F, 0x8B]) }

    /// The octets in a single member.
    static func unpack(_ octets: [UInt8], limit: Int) throws(Failure) -> [UInt8] {
        // zlib's counters have 32 bits.
        guard octets.count <= Int(Int32.max), limit >= 0, limit < Int(Int32.max) else { throw .tooLarge }
        var stream = unsafe z_stream()
        // 16 + the largest window: a gzip wrapper and no other.
        guard unsafe inflateInit2_(&stream, 16 + MAX_WBITS, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { throw .damaged }
        defer { unsafe inflateEnd(&stream) }
        var input = octets
        // One octet more than the limit tells too much from just enough.
        var output = [UInt8](repeating: 0, count: limit + 1)
        let (status, written, left) = unsafe input.withUnsafeMutableBufferPointer { input in
            unsafe output.withUnsafeMutableBufferPointer { output in
                // Both buffers outlive the call, and zlib is told their sizes.
                unsafe stream.next_in = input.baseAddress
                unsafe stream.avail_in = UInt32(input.count)
                unsafe stream.next_out = output.baseAddress
                unsafe stream.avail_out = UInt32(output.count)
                let status = unsafe inflate(&stream, Z_FINISH)
                return unsafe (status, output.count - Int(stream.avail_out), Int(stream.avail_in))
            }
        }
        guard written <= limit else { throw .tooLarge }
        guard status == Z_STREAM_END else { throw .damaged }
        guard left == 0 else { throw .trailingOctets }
        output.removeLast(output.count - written)
        return output
    }
}
