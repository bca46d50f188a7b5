import Foundation

/// Starts a child with no signals blocked: a thread of the concurrency runtime may block some, a child inherits that, and one that
/// never sees SIGTERM can't be ended in good order.
func withoutBlockedSignals<Result>(_ body: () throws -> Result) rethrows -> Result {
    var none = sigset_t()
    var previous = sigset_t()
    // Both sets are local variables that outlive the calls, and nothing keeps their addresses.
    unsafe sigemptyset(&none)
    unsafe pthread_sigmask(SIG_SETMASK, &none, &previous)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &previous, nil) }
    return try body()
}
