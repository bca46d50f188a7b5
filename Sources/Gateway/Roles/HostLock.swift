import FoundationEssentials

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The data folder of a host that runs: held as long as its process lives, so that no second one serves from it, and so that commands find
/// the process.
///
/// It is a lock of the kernel's and no file with a number: a crash leaves nothing behind that would have to be doubted.
public final class HostLock: Sendable {
    private let descriptor: Int32

    private static func path(_ folder: String) -> String { "\(folder)/postern.lock" }

    /// Takes the lock, before anything in the folder is touched. The folder is made where there is none yet.
    /// - Throws: an error that names the other process, or says why there can be no lock.
    init(folder: String) throws {
        do { try PrivateFile.createFolder(folder) } catch { throw HostError("\(error)") }
        let path = Self.path(folder)
        // Safe: the path is handed over as a C string that lives for the call.
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw HostError("\(path) can't be made (error \(errno)): look at the folder's owner and permissions") }
        var lock = flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0)
        // Safe: the structure lives for the call.
        guard unsafe fcntl(descriptor, F_SETLK, &lock) == 0 else {
            let holder = Self.holder(of: folder)
            close(descriptor)
            throw HostError(
                "\(folder) is in use by \(holder.map { "process \($0)" } ?? "another process"): two hosts can't share a data folder; stop that one first")
        }
    }

    deinit { close(descriptor) }

    /// The process that serves from a data folder; `nil` where there is none.
    public static func holder(of folder: String) -> Int32? {
        // Safe: the path is handed over as a C string that lives for the call.
        let descriptor = unsafe open(path(folder), O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var lock = flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0)
        // Safe: the structure lives for the call.
        guard unsafe fcntl(descriptor, F_GETLK, &lock) == 0, lock.l_type != Int16(F_UNLCK) else { return nil }
        return lock.l_pid
    }
}
