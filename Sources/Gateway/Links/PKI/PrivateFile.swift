import FoundationEssentials

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Writes small files that others must not read, whole or not at all.
enum PrivateFile {
    /// Writes a file of mode 0600 beside its place and renames it there after it is on disk, so that neither a crash nor a second reader
    /// ever sees half a key, or one that everybody may read.
    static func write(_ text: String, to path: String) throws(PKIError) {
        let temporary = "\(path).\(UInt64.random(in: 0...UInt64.max))"
        // Exclusive: a link that somebody put there is not followed. (Here and below: C strings live during the call.)
        let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("create", temporary) }
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            // The pointer is used during the call only, and the count ends within the array.
            let count = unsafe bytes[written...].withUnsafeBytes { unsafe systemWrite(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let error = failure("write", temporary)
                close(descriptor)
                unsafe unlink(temporary)
                throw error
            }
            written += count
        }
        let isSynchronised = fsync(descriptor) == 0
        close(descriptor)
        guard isSynchronised, unsafe rename(temporary, path) == 0 else {
            let error = failure("write", path)
            unsafe unlink(temporary)
            throw error
        }
    }

    /// Creates a folder of mode 0700 with those above it, where it isn't there yet.
    static func createFolder(_ path: String) throws(PKIError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw PKIError(.inputOutput, "can't create the folder \(path): \(error)")
        }
    }

    private static func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
        guard let bytes = unsafe bytes else { return 0 }
        #if canImport(Glibc)
        return unsafe Glibc.write(descriptor, bytes, count)
        #elseif canImport(Musl)
        return unsafe Musl.write(descriptor, bytes, count)
        #else
        return unsafe Darwin.write(descriptor, bytes, count)
        #endif
    }

    private static func failure(_ action: String, _ path: String) -> PKIError {
        let reason = unsafe String(cString: strerror(errno))
        return PKIError(.inputOutput, "can't \(action) \(path): \(reason); check the folder, its owner and the disk")
    }
}
