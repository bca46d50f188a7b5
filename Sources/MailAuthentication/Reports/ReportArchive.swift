/// The octets of a report out of what they came in: gzip, a ZIP archive, or nothing. What it is says its beginning, not its name.
public enum ReportArchive {
    /// What the octets came in.
    public enum Format: String, Hashable, Sendable, Codable {
        case plain, gzip, zip
    }

    /// What the beginning says.
    public static func format(of octets: some Collection<UInt8>) -> Format {
        let start = Array(octets.prefix(4))
        if start.starts(with: [0x1F, 0x8B]) { return .gzip }
        if start == [0x50, 0x4B, 0x03, 0x04] || start == [0x50, 0x4B, 0x05, 0x06] { return .zip }
        return .plain
    }

    /// Decompresses. What comes out is not decompressed again.
    /// - Throws: ``ReportError``: too large, grows too much, corrupt, truncated, an archive without a file whose name ends in `suffix`.
    public static func contents(
        of octets: [UInt8], suffix: String = ".xml", limits: ReportLimits = ReportLimits()
    ) throws(ReportError) -> (octets: [UInt8], format: Format) {
        guard octets.count <= limits.inputOctets else {
            throw ReportError(.tooLarge, "the file has more than \(limits.inputOctets) octets")
        }
        let format = format(of: octets)
        switch format {
        case .plain: return (octets, format)
        case .gzip: return (try gunzip(octets, limits), format)
        case .zip: return (try ReportZip(octets, limits: limits).firstFile(suffix: suffix), format)
        }
    }

    /// Compresses (RFC 1952): the same octets for the same input. For reports of other kinds than aggregate ones, such as those on TLS.
    /// - Throws: ``ReportError`` when the library refuses.
    public static func gzip(_ octets: [UInt8]) throws(ReportError) -> [UInt8] { try ReportDeflater.gzip(octets) }

    /// One or more members (RFC 1952 §2.2); octets after the last one are ignored, as gzip does.
    private static func gunzip(_ octets: [UInt8], _ limits: ReportLimits) throws(ReportError) -> [UInt8] {
        let inflater = ReportInflater(limits: limits, inputCount: octets.count)
        var output: [UInt8] = []
        var rest = octets[...]
        var members = 0
        while rest.starts(with: [0x1F, 0x8B]) {
            members += 1
            // A member without contents has 20 octets: a million of them would be work without a result.
            guard members <= 1000 else { throw ReportError(.tooMany, "there are more than 1000 gzip members") }
            rest = rest.dropFirst(try inflater.inflate(rest, .gzip, into: &output))
        }
        return output
    }
}

/// Reads one file of a ZIP archive (PKWARE APPNOTE 6.3) by its central directory.
struct ReportZip {
    private struct Entry {
        var name: String
        var flags: Int
        var method: Int
        var checksum: UInt32
        var compressedCount: Int
        var count: Int
        var headerOffset: Int
    }

    private let octets: [UInt8]
    private let limits: ReportLimits

    init(_ octets: [UInt8], limits: ReportLimits) {
        self.octets = octets
        self.limits = limits
    }

    /// The first file whose name ends so, the case of letters aside; without one, the only file of the archive.
    func firstFile(suffix: String) throws(ReportError) -> [UInt8] {
        let entries = try directory()
        let files = entries.filter { !$0.name.hasSuffix("/") && !$0.name.hasPrefix("__MACOSX/") }
        if let found = files.first(where: { $0.name.lowercased().hasSuffix(suffix) }) { return try contents(found) }
        // Some senders leave the ending away.
        guard files.count == 1, let only = files.first else {
            throw ReportError(.emptyArchive, "the archive has no file whose name ends in “\(suffix)”")
        }
        return try contents(only)
    }

    private func number16(_ offset: Int) throws(ReportError) -> Int {
        guard offset >= 0, offset <= octets.count - 2 else { throw cut }
        return Int(octets[offset]) | Int(octets[offset + 1]) << 8
    }

    private func number32(_ offset: Int) throws(ReportError) -> Int { try number16(offset) | number16(offset + 2) << 16 }

    private var cut: ReportError { ReportError(.truncated, "the ZIP archive ends too early") }

    private func damaged(_ what: String) -> ReportError { ReportError(.corrupt, "the ZIP archive is damaged: \(what)") }

    /// The end of the central directory record has 22 octets and a comment of at most 65535.
    private func directoryEnd() -> Int? {
        guard octets.count >= 22 else { return nil }
        for offset in stride(from: octets.count - 22, through: max(0, octets.count - 22 - 65_535), by: -1)
        where octets[offset] == 0x50 && octets[offset + 1] == 0x4B && octets[offset + 2] == 0x05 && octets[offset + 3] == 0x06 {
            return offset
        }
        return nil
    }

    private func directory() throws(ReportError) -> [Entry] {
        guard let end = directoryEnd() else { throw ReportError(.truncated, "the ZIP archive has no directory at its end") }
        let count = try number16(end + 10)
        let size = try number32(end + 12)
        let start = try number32(end + 16)
        guard count != 0xFFFF, size != 0xFFFF_FFFF, start != 0xFFFF_FFFF else {
            throw ReportError(.unsupportedArchive, "ZIP64 archives aren't read")
        }
        guard try number16(end + 4) == 0, try number16(end + 6) == 0 else {
            throw ReportError(.unsupportedArchive, "archives of several volumes aren't read")
        }
        guard start + size <= end else { throw damaged("its directory lies outside of it") }
        var entries: [Entry] = []
        var offset = start
        for _ in 0..<min(count, limits.archiveEntries) {
            guard try number32(offset) == 0x0201_4B50 else { throw damaged("an entry of its directory doesn't begin as one") }
            let nameCount = try number16(offset + 28)
            let next = offset + 46 + nameCount + (try number16(offset + 30)) + (try number16(offset + 32))
            guard next <= end else { throw damaged("an entry of its directory lies outside of it") }
            entries.append(
                Entry(
                    name: String(decoding: octets[(offset + 46)..<(offset + 46 + nameCount)], as: UTF8.self),
                    flags: try number16(offset + 8), method: try number16(offset + 10),
                    checksum: UInt32(truncatingIfNeeded: try number32(offset + 16)), compressedCount: try number32(offset + 20),
                    count: try number32(offset + 24), headerOffset: try number32(offset + 42)))
            offset = next
        }
        return entries
    }

    /// The sizes of the directory hold: where a data descriptor follows the octets, the local header has none (APPNOTE 4.4.4).
    private func contents(_ entry: Entry) throws(ReportError) -> [UInt8] {
        guard entry.flags & 0x2041 == 0 else { throw ReportError(.unsupportedArchive, "encrypted archives aren't read") }
        guard entry.compressedCount != 0xFFFF_FFFF, entry.count != 0xFFFF_FFFF, entry.headerOffset != 0xFFFF_FFFF else {
            throw ReportError(.unsupportedArchive, "ZIP64 archives aren't read")
        }
        guard try number32(entry.headerOffset) == 0x0403_4B50 else { throw damaged("a file has no header") }
        let start = entry.headerOffset + 30 + (try number16(entry.headerOffset + 26)) + (try number16(entry.headerOffset + 28))
        guard start + entry.compressedCount <= octets.count else { throw cut }
        let data = octets[start..<(start + entry.compressedCount)]
        guard entry.count <= limits.outputOctets else {
            throw ReportError(.tooLarge, "the report has more than \(limits.outputOctets) octets when it is decompressed")
        }
        var output: [UInt8] = []
        switch entry.method {
        case 0:
            guard entry.count == entry.compressedCount else { throw damaged("a stored file has two sizes") }
            output = Array(data)
        case 8:
            let used = try ReportInflater(limits: limits, inputCount: data.count).inflate(data, .raw, into: &output)
            guard used == data.count, output.count == entry.count else { throw damaged("a file has another size than its directory says") }
        default:
            throw ReportError(.unsupportedArchive, "files of method \(entry.method) aren't read")
        }
        guard ReportChecksum.crc32(output) == entry.checksum else { throw damaged("a file's checksum is wrong") }
        return output
    }
}
