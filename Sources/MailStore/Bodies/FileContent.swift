import FoundationEssentials
public import MailMessage
public import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Octets in a file. It holds the file open, so that they can be read even after the file was deleted.
public struct FileContent: MessageContent {
    let file: OpenFile
    public let byteCount: Int

    /// - Throws: ``StoreError`` `.inputOutput` where the file ends early or cannot be read.
    public func read(_ range: Range<Int>) async throws -> ByteBuffer {
        let file = file
        return try await NIOThreadPool.singleton.runIfActive { try file.read(range) }
    }
}

/// Octets in a file that is opened when they are asked for, and may be gone by then.
struct UnopenedFileContent: MessageContent {
    let path: String
    let byteCount: Int

    func read(_ range: Range<Int>) async throws -> ByteBuffer {
        try await NIOThreadPool.singleton.runIfActive { try OpenFile(path: path, flags: O_RDONLY, isTemporary: false).read(range) }
    }
}

/// The system's call by a name of its own: types here have an `open` too.
func openDescriptor(_ path: String, _ flags: Int32) -> Int32 {
    // Safe: the path is handed over as a C string that lives for the call.
    unsafe open(path, flags | O_CLOEXEC, 0o600)
}

/// A file that is open as long as somebody holds this.
final class OpenFile: Sendable {
    let path: String
    /// Set for a file in the folder of incoming messages, which goes when nobody holds it any more.
    let isTemporary: Bool
    private let descriptor: Int32

    init(path: String, flags: Int32, isTemporary: Bool) throws {
        let descriptor = openDescriptor(path, flags)
        guard descriptor >= 0 else {
            let number = errno
            if number == ENOENT, flags & O_CREAT != 0 {
                throw StoreError(.inputOutput, "cannot make \(path): its folder is missing; a restart makes it again")
            }
            throw StoreError(errno: number, doing: "open", path: path)
        }
        self.path = path
        self.isTemporary = isTemporary
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
        // Safe: the path is handed over as a C string that lives for the call.
        if isTemporary { unsafe unlink(path) }
    }

    func read(_ range: Range<Int>) throws -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: range.count)
        while buffer.readableBytes < range.count {
            let done = buffer.readableBytes
            // Safe: pread writes at most the given number of octets into the space that the buffer owns for the call.
            let count = try unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: range.count - done) { space in
                let count = unsafe pread(
                    descriptor, space.baseAddress, min(space.count, range.count - done), off_t(range.lowerBound + done))
                if count < 0 && errno != EINTR { throw StoreError(errno: errno, doing: "read", path: path) }
                if count == 0 { throw StoreError(.inputOutput, "\(path) ends before octet \(range.upperBound)") }
                return max(count, 0)
            }
            _ = count
        }
        return buffer
    }

    func append(_ buffer: ByteBuffer) throws {
        // Safe: write reads within the bounds that the buffer gives for the call.
        try unsafe buffer.withUnsafeReadableBytes { bytes in
            var done = 0
            while done < bytes.count {
                let count = unsafe write(descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done)
                if count < 0 {
                    if errno == EINTR { continue }
                    throw StoreError(errno: errno, doing: "write", path: path)
                }
                done += count
            }
        }
    }

    func sync() throws {
        guard fsync(descriptor) == 0 else { throw StoreError(errno: errno, doing: "sync", path: path) }
    }
}

/// A large message on its way in.
final class SpooledIncomingFile: IncomingFile {
    private let file: OpenFile
    private let size = Mutex(0)

    init(file: OpenFile) { self.file = file }

    func append(_ buffer: ByteBuffer) async throws {
        let file = file
        try await NIOThreadPool.singleton.runIfActive { try file.append(buffer) }
        size.withLock { $0 += buffer.readableBytes }
    }

    func finish() async throws -> any MessageContent {
        FileContent(file: file, byteCount: size.withLock { $0 })
    }

    func discard() async {
        // Safe: the path is handed over as a C string that lives for the call. The descriptor is closed with the last holder.
        unsafe unlink(file.path)
    }
}

extension StoreError {
    /// What the system said, in the store's terms.
    init(errno number: Int32, doing action: String, path: String) {
        let code: Code = number == ENOSPC || number == EDQUOT ? .full : number == ENOENT ? .notFound : .inputOutput
        self.init(code, "cannot \(action) \(path): error \(number)\(code == .full ? ", no space left: free space on its file system" : "")")
    }
}
