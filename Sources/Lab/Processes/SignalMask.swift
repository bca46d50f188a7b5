import Foundation

/// Runs something with no signal blocked in this thread, and restores the mask afterwards.
///
/// A child inherits the signal mask of the thread that starts it, and the threads that run tasks block nearly every signal: a daemon started from one would
/// never hear SIGTERM.
func withoutBlockedSignals<Result>(_ body: () throws -> Result) rethrows -> Result {
    var none = sigset_t()
    var previous = sigset_t()
    // Both sets are local variables that outlive the calls, and nothing keeps their addresses.
    unsafe sigemptyset(&none)
    unsafe pthread_sigmask(SIG_SETMASK, &none, &previous)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &previous, nil) }
    return try body()
}
