public import DNS
import FoundationEssentials
public import MailAuthentication
import MailTransport
import NIOCore
import NIOPosix
import Synchronization

/// Fetches indicators and evidence for all messages of a host: each location once at a time, however many messages wait for it, and on while nobody
/// waits any more, so that the next message finds it in the cache.
final class IndicatorFetches: Sendable {
    /// How much is done at a time, and how often.
    struct Limits: Sendable {
        /// Fetches at the same time; more would let strangers choose how many connections we open.
        var concurrent = 16
        /// For how long nobody asks again where it failed.
        var failureSeconds: Double = 300
        /// The most failures that are remembered.
        var failures = 1000
    }

    private typealias Answer = Result<[UInt8], BIMIFetchError>

    private struct Fetch {
        var task: Task<Void, Never>
        var waiters: [UInt64: CheckedContinuation<Answer, Never>]
    }

    private struct State {
        var running: [String: Fetch] = [:]
        var failures: [String: (error: BIMIFetchError, since: Date)] = [:]
        var lastWaiter: UInt64 = 0
        var isClosed = false
    }

    /// What was fetched.
    let cache: BIMICache
    private let limits: Limits
    private let now: @Sendable () -> Date
    private let state = Mutex(State())

    init(cache: BIMICache = BIMICache(), limits: Limits = Limits(), now: @escaping @Sendable () -> Date) {
        self.cache = cache
        self.limits = limits
        self.now = now
    }

    /// The octets at a location. Whoever is cancelled is told that they are still on their way.
    func octets(of location: BIMILocation, limit: Int, client: HTTPSClient, port: Int) async throws(BIMIFetchError) -> [UInt8] {
        let waiter = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        let answer: Answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let immediate: Answer? = state.withLock { state in
                    join(&state, location, limit, client, port, waiter, continuation)
                }
                if let immediate { continuation.resume(returning: immediate) }
            }
        } onCancel: {
            let continuation = state.withLock { $0.running[location.text]?.waiters.removeValue(forKey: waiter) }
            continuation?.resume(returning: .failure(Self.pending))
        }
        return try answer.get()
    }

    private static let pending = BIMIFetchError(.pending, reason: "it is still being fetched")

    /// Waits with those who wait already, or begins.
    /// - Returns: the answer, where it is known; then nobody waits.
    private func join(
        _ state: inout State, _ location: BIMILocation, _ limit: Int, _ client: HTTPSClient, _ port: Int, _ waiter: UInt64,
        _ continuation: CheckedContinuation<Answer, Never>
    ) -> Answer? {
        let key = location.text
        if state.isClosed || Task.isCancelled { return .failure(Self.pending) }
        if let failure = state.failures[key] {
            let age = now().timeIntervalSince(failure.since)
            // A clock that was set back would keep a failure for ever.
            if age >= 0, age < limits.failureSeconds { return .failure(failure.error) }
            state.failures[key] = nil
        }
        if state.running[key] != nil {
            state.running[key]?.waiters[waiter] = continuation
            return nil
        }
        guard state.running.count < limits.concurrent else {
            return .failure(BIMIFetchError(.pending, reason: "\(limits.concurrent) others are being fetched"))
        }
        let task = Task { await self.run(location, limit, client, port) }
        state.running[key] = Fetch(task: task, waiters: [waiter: continuation])
        return nil
    }

    /// Owns no mail: it ends by the client's own time limit, or when the host closes.
    private func run(_ location: BIMILocation, _ limit: Int, _ client: HTTPSClient, _ port: Int) async {
        let request = HTTPSRequest(
            get: location.target, host: location.host, port: port, accept: "image/svg+xml, application/pem-certificate-chain, */*;q=0.5",
            responseLimit: limit)
        let answer = Self.answer(await client.send(request))
        let time = now()
        if case .success(let octets) = answer { cache.store(octets, of: location, at: time) }
        let waiters = state.withLock { state in
            if case .failure(let error) = answer, error.code != .pending {
                if state.failures.count >= limits.failures, let oldest = state.failures.min(by: { $0.value.since < $1.value.since })?.key {
                    state.failures[oldest] = nil
                }
                state.failures[location.text] = (error, time)
            }
            return state.running.removeValue(forKey: location.text)?.waiters ?? [:]
        }
        for waiter in waiters.values { waiter.resume(returning: answer) }
    }

    /// What an exchange means here: a redirection isn't followed, and everything but 200 is none.
    private static func answer(_ exchange: HTTPSExchange) -> Answer {
        let code: BIMIFetchError.Code
        switch exchange.outcome {
        case .success(let response):
            if response.status == 200 { return .success(Array(response.body.readableBytesView)) }
            code = .refused
        case .failure(let failure):
            switch failure.code {
            case .nameLookupFailed: code = .nameLookupFailed
            case .noAddress, .forbiddenAddress: code = .noAddress
            case .connectionFailed, .connectionClosed: code = .connectionFailed
            case .tlsFailed, .untrustedCertificate, .wrongName, .wildcardCertificate: code = .untrusted
            case .timeout: code = .timeout
            case .cancelled: code = .pending
            case .headerTooLarge, .bodyTooLarge: code = .tooLarge
            case .invalidRequest, .invalidResponse: code = .refused
            }
        }
        return .failure(BIMIFetchError(code, reason: "\(exchange)"))
    }

    /// Ends what is being fetched.
    func close() async {
        let tasks = state.withLock { state in
            state.isClosed = true
            return state.running.values.map(\.task)
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }
}

/// Fetches by HTTPS.
public struct IndicatorFetcher: BIMIFetcher {
    let fetches: IndicatorFetches
    let client: HTTPSClient
    /// 443 but in tests.
    var port = 443

    init(fetches: IndicatorFetches, client: HTTPSClient, port: Int) {
        self.fetches = fetches
        self.client = client
        self.port = port
    }

    /// A fetcher for a command.
    /// - Parameter web: whom it trusts and where it may connect; the system's roots, and nothing private, where nothing is said.
    /// - Throws: what makes the roots unusable.
    public init(resolver: any DNS.Resolver, web: Configuration.WebSettings = .init()) throws {
        client = HTTPSClient(web, tls: try .web(authorityFile: web.authorities), resolver: resolver, group: MultiThreadedEventLoopGroup.singleton)
        port = web.port
        fetches = IndicatorFetches(now: { .now })
    }

    public func fetch(_ location: BIMILocation, limit: Int) async throws(BIMIFetchError) -> [UInt8] {
        try await fetches.octets(of: location, limit: limit, client: client, port: port)
    }
}
