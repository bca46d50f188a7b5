import CUnbound
import DNS
import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// The library's context with the thread that waits for its answers.
///
/// The C context is thread-safe (ub_ctx_async with a worker thread; each call takes the library's own lock). It is deleted by the
/// polling thread alone, after `shutdown` has let no new call begin and `calls` says that none is under way: hence
/// `@unchecked Sendable`.
@safe final class UnboundEngine: @unchecked Sendable {
    private struct State {
        var isOpen = true
        /// Calls into the library that haven't returned.
        var calls = 0
        var nextQuestion: UInt = 1
        /// Who waits for an answer; whoever gave up isn't here any more.
        var waiting: [UInt: CheckedContinuation<UnboundReply, any Error>] = [:]
        /// What the library still has, and points to until it answers or the context is deleted.
        var questions: [UInt: Question] = [:]
    }

    /// More questions than this at one time are refused.
    private static let questionLimit = 10_000

    private let context: OpaquePointer
    private let state = Mutex(State())

    init(configuration: UnboundResolver.Configuration) throws(UnboundError) {
        guard let context = unsafe ub_ctx_create() else { throw UnboundError("libunbound can't be initialised: no memory") }
        unsafe self.context = context
        do throws(UnboundError) {
            try configure(configuration)
            try check(unsafe ub_ctx_async(context, 1), "asynchronous mode")
            // RFC 6761 §6.2 gives .test to testing; the library would answer it with "no such name" by itself. This closes the
            // configuration: no option can be set after it.
            try check(unsafe ub_ctx_zone_remove(context, "test."), "local zone test.")
            try startPolling()
        } catch {
            // Nothing else has seen the context yet.
            unsafe ub_ctx_delete(context)
            throw error
        }
    }

    private func configure(_ configuration: UnboundResolver.Configuration) throws(UnboundError) {
        // The library's own limits are those of a desktop program: 16 questions under way and caches of 1 MiB.
        try set("outgoing-range:", "256")
        try set("num-queries-per-thread:", "1024")
        try set("msg-cache-size:", "8m")
        try set("rrset-cache-size:", "16m")
        for option in configuration.options { try set(option.name, option.value) }
        // The library reads the files with the first question, too late to say which one is at fault.
        for file in [configuration.trustAnchorFile, configuration.rootHintsFile] {
            if let file, !Self.isReadable(file) { throw UnboundError("\(file) can't be read") }
        }
        if let file = configuration.trustAnchorFile {
            try check(unsafe ub_ctx_add_ta_file(context, file), "trust anchors of \(file)")
        }
        for anchor in configuration.trustAnchors { try check(unsafe ub_ctx_add_ta(context, anchor), "trust anchor \(anchor)") }
        if let file = configuration.rootHintsFile { try set("root-hints:", file) }
        for forwarder in configuration.forwarders {
            try check(unsafe ub_ctx_set_fwd(context, forwarder), "forwarder \(forwarder)")
        }
    }

    static func isReadable(_ file: String) -> Bool { unsafe access(file, R_OK) == 0 }

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
        let question = Question(engine: self, number: number)
        let refusal: String? = state.withLock { state in
            guard state.isOpen else { return "the resolver is shut down" }
            guard state.questions.count < Self.questionLimit else { return "\(Self.questionLimit) questions wait already" }
            state.waiting[number] = continuation
            state.questions[number] = question
            state.calls += 1
            return nil
        }
        if let refusal { return continuation.resume(throwing: UnboundError(refusal)) }
        defer { state.withLock { $0.calls -= 1 } }
        // Cancelled before anybody waited: the handler of the cancellation has found nothing to do.
        if Task.isCancelled {
            forget(number)
            return finish(number, .failure(CancellationError()))
        }
        // The question lives in `questions` until the library's callback, or until the context is deleted and no callback comes.
        let reference = unsafe Unmanaged.passUnretained(question).toOpaque()
        var identifier: Int32 = 0
        let code = unsafe ub_resolve_async(context, name, Int32(type), 1, reference, receiveAnswer, &identifier)
        if code != 0 {
            forget(number)
            finish(number, .failure(UnboundError("the question can't be asked", code: code)))
        }
    }

    /// The library has done with a question.
    fileprivate func forget(_ number: UInt) {
        _ = state.withLock { $0.questions.removeValue(forKey: number) }
    }

    fileprivate func finish(_ number: UInt, _ result: Result<UnboundReply, any Error>) {
        let continuation = state.withLock { $0.waiting.removeValue(forKey: number) }
        continuation?.resume(with: result)
    }

    /// One thread sleeps until the library's worker has answers, and has them handed out.
    private func startPolling() throws(UnboundError) {
        var thread = pthread_t()
        let reference = unsafe Unmanaged.passRetained(self)
        let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
            guard let argument = unsafe argument else { return nil }
            // Balances the retain above; the thread keeps the engine until shutdown.
            unsafe Unmanaged<UnboundEngine>.fromOpaque(argument).takeRetainedValue().poll()
            return nil
        }
        guard unsafe pthread_create(&thread, nil, body, reference.toOpaque()) == 0 else {
            unsafe reference.release()
            throw UnboundError("no thread can be started for the resolver")
        }
        pthread_detach(thread)
    }

    private func poll() {
        var descriptor = pollfd(fd: unsafe ub_fd(context), events: Int16(POLLIN), revents: 0)
        while state.withLock({ $0.isOpen || $0.calls > 0 }) {
            // Wakes now and then to see whether it is still needed.
            guard unsafe Glibc.poll(&descriptor, 1, 250) > 0 else { continue }
            let code = unsafe ub_process(context)
            if code != 0 {
                failAll(UnboundError("answers can't be read", code: code))
                // The descriptor may stay readable: this must not become a busy loop.
                usleep(100_000)
            }
        }
        // Nobody asks any more, and this is the only thread that processes: the context can go, and no callback comes afterwards.
        unsafe ub_ctx_delete(context)
        state.withLock { $0.questions = [:] }
    }

    private func failAll(_ error: UnboundError) {
        let waiting = state.withLock { state in
            defer { state.waiting = [:] }
            return state.waiting
        }
        for continuation in waiting.values { continuation.resume(throwing: error) }
    }

    /// Lets no further question in and fails those that wait; the thread ends and takes the context with it.
    func shutdown() {
        state.withLock { $0.isOpen = false }
        failAll(UnboundError("the resolver is shut down"))
    }
}

/// Travels through the library with a question.
private final class Question: Sendable {
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
    // The engine's table of questions keeps it alive until `forget` below, and from here on so does this reference.
    let question = unsafe Unmanaged<Question>.fromOpaque(argument).takeUnretainedValue()
    question.engine.forget(question.number)
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
