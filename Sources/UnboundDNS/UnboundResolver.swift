import CUnbound
public import DNS
import PosternMetrics
import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// A validating, caching resolver inside the process (libunbound). Only its asynchronous calls are used: no caller's thread ever
/// waits in it.
public final class UnboundResolver: Resolver {
    /// How the resolver works.
    public struct Configuration: Sendable {
        /// A file with the trust anchors for DNSSEC (DS or DNSKEY records in zone file form); by default the root key that the
        /// system brings. Without any anchor every answer is insecure.
        public var trustAnchorFile: String? = Configuration.systemTrustAnchorFile
        /// Further trust anchors, each a DS or DNSKEY record in zone file form.
        public var trustAnchors: [String] = []
        /// Recursive servers to ask, as `192.0.2.1` or `192.0.2.1@5353`; none: the authoritative servers from the root on.
        public var forwarders: [String] = []
        /// The root's servers; `nil`: those that the library knows.
        public var rootHintsFile: String?
        /// After this time a question counts as unanswered.
        public var timeout: Duration = .seconds(10)
        /// Further options of unbound.conf, such as `("val-bogus-ttl:", "1")`.
        public var options: [(name: String, value: String)] = []

        /// The defaults.
        public init() {}

        /// Where Debian's packages `dns-root-data` and `unbound-anchor` put the root's key; `nil` where there is none.
        public static var systemTrustAnchorFile: String? {
            ["/usr/share/dns/root.key", "/var/lib/unbound/root.key"].first(where: UnboundEngine.isReadable)
        }
    }

    private let engine: UnboundEngine
    private let cache = AnswerCache()
    private let timeout: Duration

    /// Sets the library up.
    /// - Throws: ``UnboundError`` that names the option or file at fault.
    public init(configuration: Configuration) throws(UnboundError) {
        engine = try UnboundEngine(configuration: configuration)
        timeout = configuration.timeout
    }

    deinit { engine.shutdown() }

    public func lookup(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer {
        let began = ContinuousClock.now
        if let answer = cache.answer(to: name, type, at: began) {
            Metrics.lookups.add(answer.outcome.metric)
            Metrics.lookupSeconds.observe(.now - began)
            return answer
        }
        defer { Metrics.lookupSeconds.observe(.now - began) }
        do {
            let answer = try await ask(name, type)
            Metrics.lookups.add(answer.outcome.metric)
            cache.keep(answer, at: .now)
            return answer
        } catch {
            Metrics.lookups.add(error.code.metric)
            throw error
        }
    }

    private func ask(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer {
        let timeout = timeout
        let engine = engine
        let reply: UnboundReply
        do {
            reply = try await withThrowingTaskGroup(of: UnboundReply.self) { group in
                group.addTask { try await engine.ask(name.ascii.isEmpty ? "." : name.ascii, type: type.rawValue) }
                group.addTask {
                    try await Task.sleep(for: timeout)
                    throw DNSError(.timeout, name: name.ascii, type: type, reason: "no answer within \(timeout)")
                }
                defer { group.cancelAll() }
                guard let first = try await group.next() else { throw CancellationError() }
                return first
            }
        } catch let error as DNSError {
            throw error
        } catch let error as UnboundError {
            throw DNSError(.serverFailure, name: name.ascii, type: type, reason: error.description)
        } catch {
            throw DNSError(.timeout, name: name.ascii, type: type, reason: "the question was cancelled")
        }
        return try reply.answer(to: name, type)
    }

    /// Ends the library's work; questions that wait fail.
    public func shutdown() { engine.shutdown() }

    /// What ``proveValidation(secure:bogus:)`` found.
    public enum ValidationProof: Sendable, Equatable {
        /// A signed name came back secure and, where one was given, a bogus one failed.
        case proven(String)
        /// Validation doesn't work, for this reason: nothing that rests on DNSSEC may be used.
        case notProven(String)
    }

    /// Proves that validation works: a signed name comes back secure, a bogus one fails.
    /// - Parameters:
    ///   - secure: a signed name; `nil`: the root.
    ///   - bogus: a name whose signatures are wrong; `nil`: not tried.
    public func proveValidation(secure: DomainName?, bogus: DomainName?) async -> ValidationProof {
        let name = secure ?? .root
        let shown = name == .root ? "the root" : name.ascii
        do {
            guard try await lookup(name, .soa).security == .secure else {
                return .notProven("\(shown) should be signed and came back without proof: is the trust anchor right?")
            }
        } catch {
            return .notProven("\(shown) can't be validated: \(error)")
        }
        guard let bogus else { return .proven("\(shown) is secure") }
        do {
            _ = try await lookup(bogus, .soa)
            return .notProven("\(bogus.ascii) has wrong signatures, and its answer was taken all the same")
        } catch {
            guard error.code == .bogus else { return .notProven("\(bogus.ascii) should be bogus, but: \(error)") }
            return .proven("\(shown) is secure, \(bogus.ascii) was refused as bogus")
        }
    }
}

/// Why the library could not be set up or asked.
public struct UnboundError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What, and what the library says.
    public let description: String

    init(_ what: String, code: Int32) {
        description = unsafe "\(what): \(String(cString: ub_strerror(code)))"
    }

    init(_ description: String) { self.description = description }
}

extension DNSAnswer.Outcome {
    fileprivate var metric: Metrics.LookupResult {
        switch self {
        case .records: .records
        case .noData: .noData
        case .nonexistentDomain: .noSuchName
        }
    }
}

extension DNSError.Code {
    fileprivate var metric: Metrics.LookupResult {
        switch self {
        case .timeout: .timeout
        case .bogus: .bogus
        case .serverFailure, .invalidQuestion: .failure
        }
    }
}
