import Dispatch

#if canImport(Glibc)
import Glibc
#endif

/// Memory that was freed, and that the C library keeps for what may come.
enum FreedMemory {
    /// What connections free when they are closed is free a moment later.
    private static let delay = DispatchTimeInterval.seconds(1)

    /// Gives it back to the system, soon and away from event loops: looking through all of it takes milliseconds.
    ///
    /// After a flood of connections it lies in small pieces between what is in use; the library itself gives back only what is free at the
    /// end, which is nothing then.
    @Sendable static func giveBack() {
        #if canImport(Glibc)
        DispatchQueue.global(qos: .utility).asyncAfter(deadline: .now() + delay) {
            typealias Trim = @convention(c) (Int) -> Int32
            // Safe: the function is the library's own and has this type (malloc_trim(3)); Swift's view of the library lacks it.
            guard let trim = unsafe dlsym(nil, "malloc_trim") else { return }
            _ = unsafe unsafeBitCast(trim, to: Trim.self)(0)
        }
        #endif
    }
}
