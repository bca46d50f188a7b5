import FoundationEssentials
import MailMessage
import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The octets of a message as a row refers to them.
enum StoredBody: Sendable {
    case row(ByteBuffer)
    case file(String, size: Int)

    var size: Int {
        switch self {
        case .row(let octets): octets.readableBytes
        case .file(_, let size): size
        }
    }
    var data: Data? { buffer.map { Data($0.readableBytesView) } }
    /// The octets of a row; `nil` for those in a file.
    var buffer: ByteBuffer? { if case .row(let octets) = self { octets } else { nil } }
    var fileName: String? { if case .file(let name, _) = self { name } else { nil } }
}

/// A folder of bodies that are too large for a row: `<folder>/xx/<32 digits>`.
///
/// A file gets its name and is synced, with its folder, before the row that refers to it is committed, and is deleted after the row is:
/// a crash leaves a file too many, never one too few. ``sweep(olderThan:isReferenced:)`` removes those.
struct BodyFolder: Sendable {
    let path: String
    let incoming: String
    let rowLimit: Int

    static func open(data: String, name: String, rowLimit: Int) async throws -> BodyFolder {
        let folder = BodyFolder(path: "\(data)/\(name)", incoming: "\(data)/incoming", rowLimit: rowLimit)
        try await NIOThreadPool.singleton.runIfActive {
            let private700: [FileAttributeKey: Any] = [.posixPermissions: 0o700]
            do {
                for directory in [data, folder.path, folder.incoming] {
                    try FileManager.default.createDirectory(
                        atPath: directory, withIntermediateDirectories: true, attributes: private700)
                }
                for number in 0..<256 {
                    let directory = "\(folder.path)/\(hexadecimal(UInt8(number)))"
                    guard !FileManager.default.fileExists(atPath: directory) else { continue }
                    try FileManager.default.createDirectory(
                        atPath: directory, withIntermediateDirectories: true, attributes: private700)
                }
            } catch {
                throw StoreError(.inputOutput, "cannot make the folders of the store in \(data): \(error)")
            }
            try syncDirectory(folder.path)
            try syncDirectory(data)
        }
        return folder
    }

    /// Keeps content: small as octets for the row, large as a durable file.
    func keep(_ content: any MessageContent) async throws -> StoredBody {
        let size = content.byteCount
        if size <= rowLimit { return .row(try await content.readAll()) }
        let name = Self.randomName()
        if let file = (content as? FileContent)?.file {
            let linked = try await NIOThreadPool.singleton.runIfActive {
                try file.sync()
                // Safe: the paths are handed over as C strings that live for the call. A failure (another file system, a file that
                // was deleted since) is answered by copying.
                guard unsafe link(file.path, location(name)) == 0 else { return false }
                try Self.syncDirectory(directory(name))
                return true
            }
            if linked { return .file(name, size: size) }
        }
        let file = try await NIOThreadPool.singleton.runIfActive {
            try OpenFile(path: location(name), flags: O_RDWR | O_CREAT | O_EXCL, isTemporary: false)
        }
        do {
            var start = 0
            while start < content.byteCount {
                let part = try await content.read(start..<min(start + 1 << 20, content.byteCount))
                guard part.readableBytes > 0 else { throw StoreError(.inputOutput, "content ends before its end") }
                start += part.readableBytes
                try await NIOThreadPool.singleton.runIfActive { try file.append(part) }
            }
            try await NIOThreadPool.singleton.runIfActive {
                try file.sync()
                try Self.syncDirectory(directory(name))
            }
        } catch {
            await remove([name])
            throw error
        }
        return .file(name, size: size)
    }

    /// The content that a row refers to. Opening is one system call; it is done where rows are read.
    func content(data: Data?, fileName: String?, size: Int) throws -> any MessageContent {
        if let fileName {
            return FileContent(file: try OpenFile(path: location(fileName), flags: O_RDONLY, isTemporary: false), byteCount: size)
        }
        return BufferedContent(ByteBuffer(bytes: data ?? Data()))
    }

    /// Deletes files whose rows are gone. One that cannot be deleted now is swept later.
    func remove(_ names: [String]) async {
        guard !names.isEmpty else { return }
        try? await NIOThreadPool.singleton.runIfActive {
            // Safe: as above.
            for name in names { unsafe unlink(location(name)) }
        }
    }

    /// Deletes files whose rows were not committed, as far as that is certain. After an I/O error a row may be found committed when the
    /// database is opened next: its file stays, and is swept then if it isn't needed.
    func remove(_ names: [String], after error: any Error) async {
        guard (error as? StoreError)?.code != .inputOutput else { return }
        await remove(names)
    }

    func makeIncomingFile() async throws -> any IncomingFile {
        let path = "\(incoming)/\(Self.randomName())"
        let file = try await NIOThreadPool.singleton.runIfActive {
            try OpenFile(path: path, flags: O_RDWR | O_CREAT | O_EXCL, isTemporary: true)
        }
        return SpooledIncomingFile(file: file)
    }

    /// Deletes what a crash left. Young files are spared: another process may be about to commit their rows. Linking a file renews the
    /// time of its last status change, by which its age is measured.
    func sweep(olderThan seconds: Int, isReferenced: @escaping @Sendable (String) throws -> Bool) async throws {
        try await NIOThreadPool.singleton.runIfActive {
            let now = Int(Date().timeIntervalSince1970)
            for number in 0..<256 {
                for name in names(in: "\(path)/\(Self.hexadecimal(UInt8(number)))") {
                    guard let age = Self.age(location(name), now: now), age >= seconds, try !isReferenced(name) else { continue }
                    // Safe: as above.
                    unsafe unlink(location(name))
                }
            }
            for name in names(in: incoming) {
                guard let age = Self.age("\(incoming)/\(name)", now: now), age >= (seconds == 0 ? 0 : 86_400) else { continue }
                // Safe: as above.
                unsafe unlink("\(incoming)/\(name)")
            }
        }
    }

    private func names(in directory: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    }
    func directory(_ name: String) -> String { "\(path)/\(name.prefix(2))" }
    func location(_ name: String) -> String { "\(directory(name))/\(name)" }

    private static func age(_ path: String, now: Int) -> Int? {
        var status = stat()
        // Safe: stat fills the structure that lives for the call.
        guard unsafe stat(path, &status) == 0 else { return nil }
        #if canImport(Darwin)
        return now - Int(status.st_ctimespec.tv_sec)
        #else
        return now - Int(status.st_ctim.tv_sec)
        #endif
    }

    private static func syncDirectory(_ path: String) throws {
        let descriptor = openDescriptor(path, O_RDONLY)
        guard descriptor >= 0 else { throw StoreError(errno: errno, doing: "open", path: path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw StoreError(errno: errno, doing: "sync", path: path) }
    }

    /// Replaces a file by way of a new one beside it, so that there is always a whole one.
    static func replaceFile(_ path: String, with octets: [UInt8]) throws {
        let new = "\(path).\(randomName())"
        do {
            let file = try OpenFile(path: new, flags: O_RDWR | O_CREAT | O_EXCL, isTemporary: false)
            try file.append(ByteBuffer(bytes: octets))
            try file.sync()
            // Safe: the paths are handed over as C strings that live for the call.
            guard unsafe rename(new, path) == 0 else { throw StoreError(errno: errno, doing: "replace", path: path) }
        } catch {
            // Safe: as above.
            unsafe unlink(new)
            throw error
        }
        try syncDirectory(path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ".")
    }

    private static func randomName() -> String { TraceID.random().description }

    static func hexadecimal(_ octet: UInt8) -> String {
        let digits = String(octet, radix: 16)
        return octet < 16 ? "0" + digits : digits
    }
}

extension MessageContent {
    /// Splits off what was put in front, so that the file behind it can be shared instead of being copied.
    func separatingPrefix(after front: ByteBuffer) -> (prefix: ByteBuffer, base: any MessageContent) {
        var prefix = front
        var base: any MessageContent = self
        while let outer = base as? PrefixedContent, prefix.readableBytes + outer.prefix.readableBytes <= 64 * 1024 {
            prefix.writeImmutableBuffer(outer.prefix)
            base = outer.base
        }
        return (prefix, base)
    }
}
