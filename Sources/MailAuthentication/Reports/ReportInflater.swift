import CZlib

/// Decompresses the octets of a report within its limits.
struct ReportInflater {
    let limits: ReportLimits
    /// The compressed octets that the growth is compared with.
    let inputCount: Int

    /// Decompresses one stream and appends what comes out.
    /// - Returns: the octets of the input that belong to the stream.
    /// - Throws: ``ReportError`` of the codes `corrupt`, `truncated`, `tooLarge`, `growsTooMuch`.
    func inflate(_ input: ArraySlice<UInt8>, _ format: Inflater.Format, into output: inout [UInt8]) throws(ReportError) -> Int {
        var inflater = Inflater(outputLimit: limits.outputOctets)
        inflater.growth = .init(factor: limits.growth, freeOctets: limits.growthFreeOctets, inputCount: inputCount)
        do throws(Inflater.Failure) {
            return try inflater.inflate(input, format, into: &output)
        } catch {
            switch error {
            case .unavailable: throw ReportError(.corrupt, "zlib can't be initialised")
            case .memory: throw ReportError(.corrupt, "there is no memory for zlib")
            case .truncated: throw ReportError(.truncated, "the compressed octets end too early")
            case .damaged: throw ReportError(.corrupt, "the compressed octets are damaged (RFC 1951)")
            case .tooLarge: throw ReportError(.tooLarge, "the report has more than \(limits.outputOctets) octets when it is decompressed")
            case .growsTooMuch: throw ReportError(.growsTooMuch, "the report becomes more than \(limits.growth) times larger when it is decompressed")
            }
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
