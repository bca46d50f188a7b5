#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What a data folder takes, and what is left for it.
public enum StoreSpace {
    /// Octets that are left on the folder's file system for this process; `nil` where nobody knows.
    public static func free(_ folder: String) -> Int? {
        var status = statvfs()
        // Safe: the structure and the path live for the call.
        guard unsafe statvfs(folder, &status) == 0 else { return nil }
        return Int(clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
    }

    /// The databases' write-ahead logs with their sizes in octets.
    public static func logs(_ folder: String) -> [(database: String, octets: Int)] {
        ["spool", "mail"].compactMap { name in (try? CopiedFile.size(of: "\(folder)/\(name).sqlite-wal")).map { (name, $0) } }
    }
}
