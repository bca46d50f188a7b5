import NIOCore
import NIOPosix

/// Waiting for what other processes do.
enum Waiting {
    /// Asks again and again until there is an answer.
    ///
    /// - Throws: ``LabError`` after the time, and whatever the question throws.
    @discardableResult
    static func until<Answer>(
        _ what: String,
        timeout: Duration,
        every milliseconds: Int = 50,
        _ question: () async throws -> Answer?
    ) async throws -> Answer {
        let deadline = ContinuousClock.now + timeout
        while true {
            if let answer = try await question() { return answer }
            try Task.checkCancellation()
            if ContinuousClock.now >= deadline { throw LabError(.timedOut, "\(what) did not happen within \(timeout)") }
            await LabFiles.pause(milliseconds: milliseconds)
        }
    }

    /// Whether something accepts connections there.
    ///
    /// - Parameter plan: where it is tried: on loopback from here, in a namespace from the host itself.
    static func accepts(address: String, port: Int, in plan: AddressPlan) async -> Bool {
        let launcher = plan.launcher(at: address)
        guard launcher.isEmpty else {
            let tried = try? await Command.run("bash", ["-c", "exec 3<>/dev/tcp/\(address)/\(port)"], launcher: launcher, timeout: .seconds(3))
            return tried?.succeeded ?? false
        }
        return await accepts(address: address, port: port)
    }

    /// Whether something accepts connections at an address that this process itself reaches.
    static func accepts(address: String, port: Int) async -> Bool {
        do {
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(2))
                .connect(host: address, port: port)
                .get()
            try? await channel.close().get()
            return true
        } catch {
            return false
        }
    }
}

/// Does something to its end even where the task is cancelled already: what was started has to be stopped.
func uncancelled(_ body: @escaping @Sendable () async -> Void) async {
    await Task { await body() }.value
}
