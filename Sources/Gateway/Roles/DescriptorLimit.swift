import Logging

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// How many descriptors the process may have, and how many of them clients may take: whoever has a session must be able to go on, and that
/// needs files of the store and connections to other hosts.
enum DescriptorLimit {
    /// Raises the soft limit to the hard one: the soft one is for programs that use `select`.
    /// - Returns: the limit now.
    static func raise() -> Int {
        var limit = rlimit()
        // Safe: the structure is a local variable that lives for the calls.
        guard unsafe getrlimit(resource, &limit) == 0 else { return 1024 }
        let soft = limit.rlim_cur
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            // Safe: as above.
            if unsafe setrlimit(resource, &limit) != 0 { limit.rlim_cur = soft }
        }
        return Int(clamping: limit.rlim_cur)
    }

    /// The connections of clients that there is room for.
    /// - Parameters:
    ///   - configured: what the configuration allows.
    ///   - deliveries: connections to other hosts at once.
    ///   - descriptors: what the process may have open.
    static func connections(configured: Int, deliveries: Int, descriptors: Int) -> Int {
        // Files of the store, listeners and the resolver take some dozens.
        let reserve = min(descriptors / 2, deliveries + 100)
        return min(configured, max(1, descriptors - reserve))
    }

    #if canImport(Glibc)
    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
    private static let resource = RLIMIT_NOFILE
    #endif
}
