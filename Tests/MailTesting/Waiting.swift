/// Waits until something has happened that another task does; five seconds at most.
package func eventually(_ condition: () -> Bool) async -> Bool {
    for _ in 0..<500 {
        if condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return condition()
}

/// As ``eventually(_:)``, for what must be asked for; half a minute at most.
package func eventually(_ condition: () async throws -> Bool) async throws -> Bool {
    for _ in 0..<1500 {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(20))
    }
    return try await condition()
}
