import ArgumentParser
import COpenSSL
import Foundation
import Synchronization

/// `bench handshakes`: opens TLS 1.3 sessions one after the other on several threads, waits for the first octet of each, and closes.
///
/// The client is OpenSSL's, because NIOSSL has no way to resume a session. It is a process of its own, so that its CPU time can be told.
struct HandshakeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "handshakes", abstract: "Open TLS sessions on loopback.", shouldDisplay: false)

    @Option var port: Int
    @Option var seconds: Double
    @Option var threads: Int = 8
    @Flag(help: "Resume the session before with its ticket.") var resumed = false
    @Flag(help: "Say something, where the server doesn't speak first.") var speaks = false

    func run() async throws {
        let totals = Totals()
        let start = ContinuousClock.now
        let deadline = start + .seconds(seconds)
        let (port, resumes, speaks) = (port, resumed, speaks)
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<threads {
                group.addTask {
                    // Blocking calls: a thread of its own for each.
                    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                        Thread {
                            let result = Result {
                                try HandshakeClient(port: port, source: "127.0.0.\(2 + number)", resumes: resumes, speaks: speaks).run(until: deadline)
                            }
                            totals.counts.withLock { totals in
                                switch result {
                                case .success(let counts):
                                    totals.done += counts.done
                                    totals.reused += counts.reused
                                case .failure(let error): totals.failure = "\(error)"
                                }
                            }
                            continuation.resume()
                        }.start()
                    }
                }
            }
        }
        let counts = totals.counts.withLock { $0 }
        if let failure = counts.failure { throw BenchError(failure) }
        say("\(counts.done) \(counts.reused) \((ContinuousClock.now - start) / .seconds(1))")
    }
}

/// What the threads did together.
private final class Totals: Sendable {
    let counts = Mutex((done: 0, reused: 0, failure: String?.none))
}

/// One thread's connections. OpenSSL's objects belong to it alone, and are freed with it.
@safe private final class HandshakeClient {
    private let port: Int
    private let source: String
    private let resumes: Bool
    private let speaks: Bool
    private let context: OpaquePointer
    private var session: OpaquePointer?

    init(port: Int, source: String, resumes: Bool, speaks: Bool) throws {
        self.port = port
        self.source = source
        self.resumes = resumes
        self.speaks = speaks
        // Safe: the context belongs to this object, which frees it at its end.
        guard let context = unsafe SSL_CTX_new(TLS_client_method()) else { throw BenchError("SSL_CTX_new failed") }
        unsafe self.context = context
        unsafe _ = postern_bench_set_minimum_version(context, TLS1_3_VERSION)
    }

    deinit {
        unsafe SSL_SESSION_free(session)
        unsafe SSL_CTX_free(context)
    }

    func run(until deadline: ContinuousClock.Instant) throws -> (done: Int, reused: Int) {
        var (done, reused) = (0, 0)
        // The first one has no ticket yet, and isn't counted.
        _ = try connect()
        while ContinuousClock.now < deadline {
            if try connect() { reused += 1 }
            done += 1
        }
        return (done, reused)
    }

    /// - Returns: whether the session was resumed.
    private func connect() throws -> Bool {
        let descriptor = try open()
        defer { close(descriptor) }
        // Safe: the connection is freed before the context, and the session is counted by OpenSSL.
        guard let ssl = unsafe SSL_new(context) else { throw BenchError("SSL_new failed") }
        defer { unsafe SSL_free(ssl) }
        guard unsafe SSL_set_fd(ssl, descriptor) == 1 else { throw BenchError("SSL_set_fd failed") }
        if resumes, let session = unsafe session { unsafe SSL_set_session(ssl, session) }
        guard unsafe SSL_connect(ssl) == 1 else { throw BenchError("the handshake failed: \(ERR_peek_error())") }
        if speaks { unsafe "QUIT\r\n".withCString { text in _ = unsafe SSL_write(ssl, text, 6) } }
        var octets = [UInt8](repeating: 0, count: 512)
        let read = unsafe octets.withUnsafeMutableBytes { bytes in unsafe SSL_read(ssl, bytes.baseAddress, Int32(bytes.count)) }
        guard read > 0 else { throw BenchError("the server said nothing") }
        let isReused = unsafe SSL_session_reused(ssl) == 1
        if resumes {
            unsafe SSL_SESSION_free(session)
            unsafe session = SSL_get1_session(ssl)
        }
        unsafe SSL_shutdown(ssl)
        return isReused
    }

    private func open() throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw BenchError("socket failed: \(errno)") }
        var one: Int32 = 1
        // Safe: each structure lives for its call.
        unsafe setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        var status = unsafe withAddress(source, 0) { unsafe bind(descriptor, $0, $1) }
        if status == 0 { status = unsafe withAddress("127.0.0.1", port) { unsafe Glibc.connect(descriptor, $0, $1) } }
        guard status == 0 else {
            let number = errno
            close(descriptor)
            throw BenchError("no connection to port \(port): \(number)")
        }
        return descriptor
    }

    private func withAddress(_ host: String, _ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        unsafe inet_pton(AF_INET, host, &address.sin_addr)
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }
}
