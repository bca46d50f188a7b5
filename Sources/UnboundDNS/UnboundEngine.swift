import CUnbound
import DNS
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The library's context with the thread that waits for its answers.
///
/// The C context is thread-safe (ub_ctx_async with a worker thread; each call takes the library's own lock), so the pointer may be
/// used from every thread until `shutdown`, which the mutex serialises with the calls: hence `@unchecked Sendable`.
@safe final class UnboundEngine: @unchecked Sendable {
    private struct State {
        var isOpen = true
        var nextQuestion: UInt = 1
        var waiting: [UInt: CheckedContinuation<UnboundReply, any Error>] = [:]
    }

    private let context: OpaquePointer
    private let state = Mutex(State())

    init(configuration: UnboundResolver.Configuration) throws(UnboundError) {
        guard let context = unsafe ub_ctx_create() else { throw UnboundError("libunbound can't be initialised: no memory") }
        unsafe self.context = context
        try set("local-zone:", "test. nodefault")
        for option in configuration.options { try set(option.name, option.value) }
        if let file = configuration.trustAnchorFile {
            try check(unsafe ub_ctx_add_ta_file(context, file), "trust anchors of \(file)")
        }
        if let file = configuration.rootHintsFile { try set("root-hints:", file) }
        for forwarder in configuration.forwarders {
            try check(unsafe ub_ctx_set_fwd(context, forwarder), "forwarder \(forwarder)")
        }
        try check(unsafe ub_ctx_async(context, 1), "asynchronous mode")
        startPolling()
    }

    private func set(_ name: String, _ value: String) throws(UnboundError) {
        try check(unsafe ub_ctx_set_option(context, name, value), "option \(name) \(value)")
    }

    private func check(_ code: Int32, _ what: @autoclosure () -> String) throws(UnboundError) {
        guard code == 0 else { throw UnboundError(what(), code: code) }
    }

    /// Asks and waits for the answer without holding a thread.
    func ask(_ name: String, type: UInt16) async throws -> UnboundReply {
        let number = state.withLock { state in
            defer { state.nextQuestion += 1 }
            return state.nextQuestion
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                start(name, type: type, number: number, continuation)
            }
        } onCancel: {
            // The library's answer, when it comes, finds nobody waiting and is dropped.
            finish(number, .failure(CancellationError()))
        }
    }

    private func start(_ name: String, type: UInt16, number: UInt, _ continuation: CheckedContinuation<UnboundReply, any Error>) {
        let isOpen = state.withLock { state in
            if state.isOpen { state.waiting[number] = continuation }
            return state.isOpen
        }
        guard isOpen, !Task.isCancelled else {
            if isOpen {
                finish(number, .failure(CancellationError()))
            } else {
                continuation.resume(throwing: UnboundError("the resolver is shut down"))
            }
            return
        }
        let question = Question(engine: self, number: number)
        // The library hands the reference back exactly once, in its callback; if the call fails it never will.
        let reference = unsafe Unmanaged.passRetained(question)
        var identifier: Int32 = 0
        let code = unsafe ub_resolve_async(context, name, Int32(type), 1, unsafe reference.toOpaque(), receiveAnswer, &identifier)
        if code != 0 {
            unsafe reference.release()
            finish(number, .failure(UnboundError("the question can't be asked", code: code)))
        }
    }

    fileprivate func finish(_ number: UInt, _ result: Result<UnboundReply, any Error>) {
        let continuation = state.withLock { $0.waiting.removeValue(forKey: number) }
        continuation?.resume(with: result)
    }

    /// One thread sleeps until the library's worker has answers, and has them handed out.
    private func startPolling() {
        let engine = self
        var thread = pthread_t()
        let reference = unsafe Unmanaged.passRetained(engine)
        let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
            guard let argument = unsafe argument else { return nil }
            // Balances the retain above; the thread keeps the engine until shutdown.
            unsafe Unmanaged<UnboundEngine>.fromOpaque(argument).takeRetainedValue().poll()
            return nil
        }
        if unsafe pthread_create(&thread, nil, body, reference.toOpaque()) == 0 {
            pthread_detach(thread)
        } else {
            unsafe reference.release()
        }
    }

    private func poll() {
        var descriptor = pollfd(fd: unsafe ub_fd(context), events: Int16(POLLIN), revents: 0)
        while state.withLock({ $0.isOpen }) {
            // Wakes now and then to see whether it is still needed.
            if unsafe Glibc.poll(&descriptor, 1, 500) > 0 { _ = unsafe ub_process(context) }
        }
        // Nobody asks any more, and this is the only thread that processes: the context can go.
        unsafe ub_ctx_delete(context)
    }

    func shutdown() {
        let waiting = state.withLock { state in
            state.isOpen = false
            defer { state.waiting = [:] }
            return state.waiting
        }
        for continuation in waiting.values { continuation.resume(throwing: UnboundError("the resolver is shut down")) }
    }
}

/// Travels through the library with a question.
private final class Question {
    let engine: UnboundEngine
    let number: UInt

    init(engine: UnboundEngine, number: UInt) {
        self.engine = engine
        self.number = number
    }
}

/// Called by the library on the polling thread, once for each question.
private func receiveAnswer(_ argument: UnsafeMutableRawPointer?, _ code: Int32, _ result: UnsafeMutablePointer<ub_result>?) {
    guard let argument = unsafe argument else { return }
    // Balances the retain at the question.
    let question = unsafe Unmanaged<Question>.fromOpaque(argument).takeRetainedValue()
    defer { unsafe ub_resolve_free(result) }
    guard code == 0, let result = unsafe result?.pointee else {
        question.engine.finish(question.number, .failure(UnboundError("no answer", code: code)))
        return
    }
    question.engine.finish(question.number, .success(unsafe UnboundReply(copying: result)))
}

extension UnboundReply {
    /// Copies what the library found; its arrays end with a null pointer.
    fileprivate init(copying result: ub_result) {
        var records: [[UInt8]] = []
        if unsafe result.havedata != 0, let data = unsafe result.data, let lengths = unsafe result.len {
            var index = 0
            // The library ends the array with a null pointer and gives as many lengths.
            while index < 4096, let record = unsafe data[index] {
                let buffer = unsafe UnsafeRawBufferPointer(start: UnsafeRawPointer(record), count: Int(lengths[index]))
                records.append(unsafe Array(buffer))
                index += 1
            }
        }
        unsafe self.init(
            responseCode: result.rcode, hasData: result.havedata != 0, isNonexistent: result.nxdomain != 0, isSecure: result.secure != 0,
            isBogus: result.bogus != 0, bogusReason: result.why_bogus.map { unsafe String(cString: $0) },
            canonicalName: result.canonname.map { unsafe String(cString: $0) }, timeToLive: UInt32(clamping: result.ttl), records: records)
    }
}
