import Crypto
import FoundationEssentials
import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Copying of files with their digest, a piece at a time.
enum CopiedFile {
    private static let piece = 1 << 20

    /// Copies a file, durably.
    /// - Returns: its entry in the manifest.
    static func copy(_ source: String, to folder: String, as path: String) throws -> BackupManifest.File {
        let target = "\(folder)/\(path)"
        if let slash = target.lastIndex(of: "/") { try makeFolder(String(target[..<slash])) }
        let file = try OpenFile(path: target, flags: O_RDWR | O_CREAT | O_EXCL, isTemporary: false)
        let (byteCount, sha256) = try read(source) { try file.append($0) }
        try file.sync()
        return BackupManifest.File(path: path, byteCount: byteCount, sha256: sha256)
    }

    /// The entry of a file that stands where it belongs.
    static func entry(of path: String, in folder: String) throws -> BackupManifest.File {
        let (byteCount, sha256) = try read("\(folder)/\(path)") { _ in }
        return BackupManifest.File(path: path, byteCount: byteCount, sha256: sha256)
    }

    private static func read(_ path: String, _ body: (ByteBuffer) throws -> Void) throws -> (byteCount: Int, sha256: String) {
        let size = try size(of: path)
        let file = try OpenFile(path: path, flags: O_RDONLY, isTemporary: false)
        var hash = SHA256()
        var position = 0
        while position < size {
            let part = try file.read(position..<min(size, position + piece))
            // The octets are read while they are borrowed.
            unsafe part.withUnsafeReadableBytes { unsafe hash.update(bufferPointer: $0) }
            try body(part)
            position += part.readableBytes
        }
        return (position, hash.finalize().map { BodyFolder.hexadecimal($0) }.joined())
    }

    static func size(of path: String) throws -> Int {
        var status = stat()
        // Safe: stat fills the structure that lives for the call.
        guard unsafe stat(path, &status) == 0 else { throw StoreError(errno: errno, doing: "find", path: path) }
        return Int(status.st_size)
    }

    /// Makes a folder that only we can read, with those above it that are missing.
    static func makeFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch { throw StoreError(.inputOutput, "cannot make the folder \(path): \(error)") }
    }

    /// The regular files below a folder, with their paths from there.
    static func files(below folder: String) throws -> [String] {
        var found: [String] = []
        var folders = [""]
        while let next = folders.popLast() {
            let place = next.isEmpty ? folder : "\(folder)/\(next)"
            let names: [String]
            do { names = try FileManager.default.contentsOfDirectory(atPath: place) } catch {
                throw StoreError(.inputOutput, "cannot read the folder \(place): \(error)")
            }
            for name in names {
                let path = next.isEmpty ? name : "\(next)/\(name)"
                var status = stat()
                // Safe: as above. What vanished meanwhile is none of ours.
                guard unsafe lstat("\(folder)/\(path)", &status) == 0 else { continue }
                switch status.st_mode & S_IFMT {
                case S_IFDIR: folders.append(path)
                case S_IFREG: found.append(path)
                default: break
                }
            }
        }
        return found
    }
}
