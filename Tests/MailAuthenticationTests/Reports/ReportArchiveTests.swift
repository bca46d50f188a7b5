import Foundation
import MailAuthentication
import Testing

/// Archives are made octet by octet here, so that each field can be wrong.
private struct ZipFile {
    var name = "report.xml"
    var contents: [UInt8]
    /// What stands in the archive: the contents, or bare deflate of them.
    var data: [UInt8]
    var method = 0
    var flags = 0
    var checksum: UInt32?
    var writesSizesInHeader = true
    var statedCount: Int?
    var statedCompressedCount: Int?

    init(stored contents: [UInt8]) {
        self.contents = contents
        data = contents
    }

    /// A gzip member of ours without its header of 10 octets and its end of 8.
    init(gzip: [UInt8], contents: [UInt8]) {
        self.contents = contents
        data = Array(gzip.dropFirst(10).dropLast(8))
        method = 8
    }
}

private enum Zip {
    static func number(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }

    static func crc(_ octets: [UInt8]) -> UInt32 {
        var crc = ~UInt32(0)
        for octet in octets {
            crc ^= UInt32(octet)
            for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        return ~crc
    }

    static func archive(_ files: [ZipFile], overlapping: Bool = false) -> [UInt8] {
        var result: [UInt8] = []
        var directory: [UInt8] = []
        for file in files {
            let offset = overlapping ? 0 : result.count
            let common =
                number(file.flags, 2) + number(file.method, 2) + number(0, 4) + number(Int(file.checksum ?? crc(file.contents)), 4)
                + number(file.statedCompressedCount ?? file.data.count, 4) + number(file.statedCount ?? file.contents.count, 4)
                + number(file.name.utf8.count, 2) + number(0, 2)
            var local = [0x50, 0x4B, 3, 4, 20, 0] + common
            if !file.writesSizesInHeader { local.replaceSubrange(14..<26, with: [UInt8](repeating: 0, count: 12)) }
            if !overlapping || result.isEmpty { result += local + Array(file.name.utf8) + file.data }
            if !file.writesSizesInHeader { result += [0x50, 0x4B, 7, 8] + common[8..<20] }
            directory += [0x50, 0x4B, 1, 2, 20, 0, 20, 0] + common + number(0, 10) + number(offset, 4) + Array(file.name.utf8)
        }
        let start = result.count
        let count = number(files.count, 2)
        return result + directory + [0x50, 0x4B, 5, 6, 0, 0, 0, 0] + count + count + number(directory.count, 4) + number(start, 4) + [0, 0]
    }
}

struct ReportArchiveTests {
    private let xml = ReportSample.xml()

    private func failure(_ octets: [UInt8], _ limits: ReportLimits = ReportLimits()) -> ReportError.Code? {
        do throws(ReportError) {
            _ = try ReportArchive.contents(of: octets, limits: limits)
            return nil
        } catch {
            return error.code
        }
    }

    private func gzip() throws -> [UInt8] { try ReportSample.report.gzip() }
    private func contents() throws -> [UInt8] { try ReportSample.report.xml() }

    @Test func theBeginningDecides() throws {
        #expect(ReportArchive.format(of: xml) == .plain)
        #expect(ReportArchive.format(of: try gzip()) == .gzip)
        #expect(ReportArchive.format(of: Zip.archive([ZipFile(stored: xml)])) == .zip)
        #expect(try ReportArchive.contents(of: xml).octets == xml)
    }

    @Test func severalMembersAreJoined() throws {
        let contents = try contents()
        let found = try ReportArchive.contents(of: gzip() + gzip() + [0, 0, 0]).octets
        #expect(found == contents + contents)
        let empty: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        #expect(try ReportArchive.contents(of: empty + gzip()).octets == contents)
        #expect(failure(Array(repeating: empty, count: 1001).flatMap { $0 }) == .tooMany)
    }

    @Test func cutGzipIsRefusedWhereverItIsCut() throws {
        let gzip = try gzip()
        for count in 2..<gzip.count { #expect(failure(Array(gzip[..<count])) == .truncated, "\(count) octets") }
    }

    @Test func damagedGzipIsRefused() throws {
        var gzip = try gzip()
        gzip[gzip.count - 6] ^= 1
        #expect(failure(gzip) == .corrupt)
        #expect(failure([0x1F, 0x8B] + [UInt8](repeating: 0xFF, count: 100)) == .corrupt)
    }

    /// 8 MiB of one letter are 8 KiB of gzip.
    @Test func gzipBombsEnd() throws {
        var report = ReportSample.report
        report.metadata.extraContactInfo = String(repeating: "a", count: 8 << 20)
        let bomb = try report.gzip()
        #expect(bomb.count < 20_000)
        #expect(failure(bomb) == .growsTooMuch)
        var limits = ReportLimits()
        limits.growth = 2000
        limits.outputOctets = 1 << 20
        #expect(failure(bomb, limits) == .tooLarge)
        limits.inputOctets = 1000
        #expect(failure(bomb, limits) == .tooLarge)
        let file = ZipFile(gzip: bomb, contents: try report.xml())
        #expect(failure(Zip.archive([file])) == .growsTooMuch)
    }

    @Test func storedAndDeflatedFilesAreRead() throws {
        #expect(try ReportArchive.contents(of: Zip.archive([ZipFile(stored: xml)])).octets == xml)
        var file = ZipFile(gzip: try gzip(), contents: try contents())
        #expect(try ReportArchive.contents(of: Zip.archive([file])).octets == contents())
        // A data descriptor (APPNOTE 4.3.9): the sizes stand behind the octets and in the directory.
        file.flags = 8
        file.writesSizesInHeader = false
        #expect(try ReportArchive.contents(of: Zip.archive([file])).octets == contents())
        var other = ZipFile(stored: [1, 2, 3])
        other.name = "__MACOSX/._report.xml"
        var text = ZipFile(stored: [4])
        text.name = "readme.txt"
        file.name = "R.XML"
        #expect(try ReportArchive.contents(of: Zip.archive([other, text, file])).octets == contents())
        file.name = "report"
        #expect(try ReportArchive.contents(of: Zip.archive([file])).octets == contents())
    }

    @Test func whatIsntReadIsNamed() throws {
        var file = ZipFile(stored: xml)
        file.flags = 1
        #expect(failure(Zip.archive([file])) == .unsupportedArchive)
        file = ZipFile(stored: xml)
        file.method = 14
        #expect(failure(Zip.archive([file])) == .unsupportedArchive)
        file = ZipFile(stored: xml)
        file.statedCount = 0xFFFF_FFFF
        #expect(failure(Zip.archive([file])) == .unsupportedArchive)
        file = ZipFile(stored: xml)
        file.name = "a.txt"
        #expect(failure(Zip.archive([file, file])) == .emptyArchive)
        #expect(failure(Zip.archive([])) == .emptyArchive)
    }

    @Test func archivesThatContradictThemselvesAreRefused() throws {
        var file = ZipFile(stored: xml)
        file.checksum = 1
        #expect(failure(Zip.archive([file])) == .corrupt)
        file = ZipFile(stored: xml)
        file.statedCount = 3
        #expect(failure(Zip.archive([file])) == .corrupt)
        file = ZipFile(gzip: try gzip(), contents: try contents())
        file.statedCount = 3
        #expect(failure(Zip.archive([file])) == .corrupt)
        file = ZipFile(stored: xml)
        file.statedCompressedCount = 1 << 30
        file.statedCount = 1 << 20
        #expect(failure(Zip.archive([file])) == .truncated)
        file.statedCompressedCount = nil
        file.statedCount = 1 << 30
        #expect(failure(Zip.archive([file])) == .tooLarge)
        // A directory whose place lies behind it.
        var archive = Zip.archive([ZipFile(stored: xml)])
        archive[archive.count - 5] = 0xFF
        #expect(failure(archive) == .corrupt)
    }

    /// Files that share their octets make no more of them: one file is read, once.
    @Test func overlappingFilesAreReadOnce() throws {
        var file = ZipFile(gzip: try gzip(), contents: try contents())
        file.checksum = Zip.crc(file.contents)
        let archive = Zip.archive([ZipFile](repeating: file, count: 5000), overlapping: true)
        #expect(try ReportArchive.contents(of: archive).octets == contents())
    }

    /// What comes out of an archive isn't taken apart again.
    @Test func archivesInArchivesStayClosed() throws {
        let inner = Zip.archive([ZipFile(stored: xml)])
        #expect(try ReportArchive.contents(of: Zip.archive([ZipFile(stored: inner)])).octets == inner)
    }

    @Test func cutZipIsRefusedWhereverItIsCut() throws {
        let archive = Zip.archive([ZipFile(gzip: try gzip(), contents: try contents())])
        for count in 4..<archive.count { #expect(failure(Array(archive[..<count])) == .truncated, "\(count) octets") }
    }

    /// Each octet of an archive changed: whatever comes, it ends, and what is read has the right checksum.
    @Test func changedOctetsNeverDoHarm() throws {
        let contents = try contents()
        for archive in [Zip.archive([ZipFile(gzip: try gzip(), contents: contents)]), try gzip()] {
            for index in 4..<archive.count {
                for change: UInt8 in [1, 0x80, 0xFF] {
                    var changed = archive
                    changed[index] ^= change
                    guard let found = try? ReportArchive.contents(of: changed).octets else { continue }
                    #expect(found == contents, "octet \(index)")
                }
            }
        }
    }

    @Test(.timeLimit(.minutes(3))) func megabytesOfHostileOctetsEndInTime() {
        for start: [UInt8] in [[0x1F, 0x8B, 8, 0], [0x50, 0x4B, 3, 4]] {
            for filling: [UInt8] in [[0], [0x50, 0x4B, 5, 6], [0xFF], [0x50], [0x1F, 0x8B, 8]] {
                let octets = start + ReportSample.repeated(filling, octets: 10 << 20)
                #expect(failure(octets) != nil)
            }
        }
    }
}
