import Foundation

/// Ctrl-C ends what was started, then the run.
func endChildrenOnInterrupt() {
    for number in [SIGINT, SIGTERM] {
        // The handler is a function without context. What it does isn't allowed in every handler (a lock, memory), but the process
        // ends anyway, and the worst is a child that has to be ended by hand.
        signal(number) { number in
            RunningChildren.end()
            _exit(128 + number)
        }
    }
}
