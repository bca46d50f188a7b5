import CZlib

/// Decompresses with zlib within limits (RFC 1950 to 1952).
struct ReportInflater {
    /// What the octets are.
    enum Format: Int32 {
        /// Bare deflate, as in a ZIP archive.
        case raw = -15
        /// A gzip member with header and checksum.
        case gzip = 31
    }

    let limits: ReportLimits
    /// The compressed octets that the growth is compared with.
    let inputCount: Int

    /// Decompresses one stream and appends what comes out.
    /// - Returns: the octets of the input that belong to the stream.
    /// - Throws: ``ReportError`` of the codes `corrupt`, `truncated`, `tooLarge`, `growsTooMuch`.
    func inflate(_ input: ArraySlice<UInt8>, _ format: Format, into output: inout [UInt8]) throws(ReportError) -> Int {
        var stream = unsafe z_stream()
        // The library's own check that its header and its code are of one version, and the size that this program was compiled with.
        guard unsafe inflateInit2_(&stream, format.rawValue, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw ReportError(.corrupt, "zlib can't be initialised")
        }
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
            case Z_OK, Z_BUF_ERROR: throw ReportError(.truncated, "the compressed octets end too early")
            case Z_MEM_ERROR: throw ReportError(.corrupt, "there is no memory for zlib")
            default: throw ReportError(.corrupt, "the compressed octets are damaged (RFC 1951)")
            }
        }
    }

    private func check(_ count: Int) throws(ReportError) {
        guard count <= limits.outputOctets else {
            throw ReportError(.tooLarge, "the report has more than \(limits.outputOctets) octets when it is decompressed")
        }
        guard count <= limits.growthFreeOctets || count / max(1, inputCount) < limits.growth else {
            throw ReportError(.growsTooMuch, "the report becomes more than \(limits.growth) times larger when it is decompressed")
        }
    }
}

/// Compresses as gzip, without a time or name, so that the same octets always come out the same (RFC 1952).
enum ReportDeflater {
    static func gzip(_ input: [UInt8]) throws(ReportError) -> [UInt8] {
        var stream = unsafe z_stream()
        // 15 bits of window and 16 for gzip's header, in which zlib writes no time unless it is told one.
        let started = unsafe deflateInit2_(
            &stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard started == Z_OK else { throw ReportError(.corrupt, "zlib can't be initialised") }
        defer { unsafe deflateEnd(&stream) }
        guard input.count <= Int(UInt32.max) else { throw ReportError(.tooLarge, "more than 4 GiB can't be compressed at once") }
        var output = [UInt8](repeating: 0, count: Int(unsafe deflateBound(&stream, UInt(input.count))))
        var status = Z_OK
        var made = 0
        // The output has the room that the library asked for, so that one call does it; no pointer is kept after.
        unsafe input.withUnsafeBufferPointer { source in
            unsafe output.withUnsafeMutableBufferPointer { target in
                unsafe stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
                unsafe stream.avail_in = UInt32(source.count)
                unsafe stream.next_out = target.baseAddress
                unsafe stream.avail_out = UInt32(clamping: target.count)
                status = unsafe deflate(&stream, Z_FINISH)
                unsafe made = target.count - Int(stream.avail_out)
            }
        }
        guard status == Z_STREAM_END else { throw ReportError(.corrupt, "zlib gave up") }
        output.removeLast(output.count - made)
        return output
    }
}

/// The checksum of gzip and ZIP (RFC 1952 §8).
enum ReportChecksum {
    static func crc32(_ octets: [UInt8]) -> UInt32 {
        // The octets stay where they are during the call.
        let value = unsafe octets.withUnsafeBufferPointer { unsafe crc32_z(0, $0.baseAddress, $0.count) }
        // Without octets the address may be absent, for which the library answers its start value, 0.
        return UInt32(truncatingIfNeeded: value)
    }
}
