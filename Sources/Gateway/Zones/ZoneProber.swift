import NIOCore
import NIOPosix

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Tries the probes of a role from the host where it runs.
///
/// Deliberate: plain sockets and `poll` instead of channels. A probe is one system call and its outcome; hundreds of them that are refused in the very moment of
/// connecting are no use for a pipeline.
public struct ZoneProber: Sendable {
    private let timeout: Duration
    /// Attempts at the same time: as many as a firewall's limits for half-open connections take without dropping any.
    private static let width = 64

    /// - Parameter timeout: how long an answer may take.
    public init(timeout: Duration) { self.timeout = timeout }

    /// Tries everything that a role can try.
    /// - Throws: when the process may not use threads or sockets at all.
    public func verify(_ role: ZoneRole, in plan: ZonePlan) async throws -> ZoneVerification {
        let probes = ZoneProbe.all(from: role, in: plan)
        let outcomes = try await NIOThreadPool.singleton.runIfActive { Self.outcomes(of: probes, timeout: timeout) }
        return ZoneVerification(from: role, outcomes: Array(zip(probes, outcomes).map { ($0, $1) }))
    }

    /// An attempt that waits for its answer.
    private struct Attempt {
        let index: Int
        let descriptor: CInt
        let deadline: ContinuousClock.Instant
    }

    private static func outcomes(of probes: [ZoneProbe], timeout: Duration) -> [ZoneFinding.Outcome] {
        var outcomes = [ZoneFinding.Outcome](repeating: .silent, count: probes.count)
        var waiting: [Attempt] = []
        var next = 0
        while next < probes.count || !waiting.isEmpty {
            while waiting.count < width, next < probes.count {
                if let descriptor = start(probes[next]) {
                    waiting.append(Attempt(index: next, descriptor: descriptor, deadline: .now + timeout))
                } else {
                    outcomes[next] = .refused
                }
                next += 1
            }
            var polled = waiting.map { pollfd(fd: $0.descriptor, events: Int16(probes[$0.index].transport == .tcp ? POLLOUT : POLLIN), revents: 0) }
            // The array lives during the call, and its count is its own.
            _ = unsafe poll(&polled, nfds_t(polled.count), 50)
            let now = ContinuousClock.now
            var remaining: [Attempt] = []
            for (attempt, state) in zip(waiting, polled) {
                if state.revents != 0 {
                    outcomes[attempt.index] = hasFailed(attempt.descriptor) ? .refused : .open
                } else if now < attempt.deadline {
                    remaining.append(attempt)
                    continue
                }
                close(attempt.descriptor)
            }
            waiting = remaining
        }
        return outcomes
    }

    /// Opens a socket and begins to connect; `nil` where that is refused at once.
    private static func start(_ probe: ZoneProbe) -> CInt? {
        guard let address = try? SocketAddress(ipAddress: probe.address, port: probe.port) else { return nil }
        #if canImport(Darwin)
        let kind = probe.transport == .tcp ? SOCK_STREAM : SOCK_DGRAM
        #else
        let kind = CInt(probe.transport == .tcp ? SOCK_STREAM.rawValue : SOCK_DGRAM.rawValue)
        #endif
        let descriptor = socket(probe.address.contains(":") ? AF_INET6 : AF_INET, kind, 0)
        guard descriptor >= 0 else { return nil }
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        // The address is read during the call.
        let connected = unsafe address.withSockAddr { unsafe connect(descriptor, $0, socklen_t($1)) }
        guard connected == 0 || errno == EINPROGRESS else {
            close(descriptor)
            return nil
        }
        if probe.transport == .udp {
            // UDP has no connections: only an answer proves that the way is open. A question for the root's name servers (RFC 1035 §4.1).
            let question: [UInt8] = [0x50, 0x5A, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1]
            guard unsafe send(descriptor, question, question.count, 0) == question.count else {
                close(descriptor)
                return nil
            }
        }
        return descriptor
    }

    private static func hasFailed(_ descriptor: CInt) -> Bool {
        var error: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        // Both are local variables that outlive the call.
        let asked = unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
        return asked != 0 || error != 0
    }
}
