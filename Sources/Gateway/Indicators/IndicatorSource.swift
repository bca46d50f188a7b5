import DNS
import FoundationEssentials
import MailAuthentication
import MailTransport
import NIOCore

/// What a host has for indicators: the authorities that may certify marks, the web's roots, and what was fetched.
struct IndicatorSource: Sendable {
    private let roots: BIMIRoots
    private let tls: TLSClientContext
    private let fetches: IndicatorFetches

    /// - Parameters:
    ///   - isFilter: for `postern milter`, whatever the roles are.
    ///   - earlier: what it was under another configuration; what was fetched is kept.
    /// - Throws: ``HostError`` or ``TLSFailure`` that names the file; `nil` comes back where indicators are switched off.
    init?(_ configuration: Configuration, isFilter: Bool = false, earlier: IndicatorSource? = nil, now: @escaping @Sendable () -> Date = { .now }) throws {
        let settings = configuration.authentication.bimi
        guard settings.enabled, isFilter || configuration.roles.contains(.mx) else { return nil }
        roots = try settings.markAuthorities.map(Self.roots) ?? BIMIRoots()
        tls = try .web(authorityFile: configuration.web.authorities)
        fetches =
            earlier?.fetches
            ?? IndicatorFetches(cache: BIMICache(limits: .init(timeToLiveSeconds: Double(settings.cacheSeconds))), now: now)
    }

    private static func roots(_ path: String) throws -> BIMIRoots {
        guard let data = FileManager.default.contents(atPath: path), data.count <= 1 << 20 else {
            throw HostError("\(path) can't be read as a file of at most 1 MiB (authentication.bimi.markAuthorities)")
        }
        do {
            let roots = try BIMIRoots(parsingPEM: Array(data))
            guard roots.count > 0 else { throw HostError("\(path) holds no certificate in PEM (authentication.bimi.markAuthorities)") }
            return roots
        } catch let error as BIMIRootsError {
            throw HostError("\(path) holds no certificates in PEM (authentication.bimi.markAuthorities): \(error)")
        }
    }

    /// What judges the messages of a listener.
    func judge(_ configuration: Configuration, resolver: any Resolver, group: any EventLoopGroup) -> IndicatorJudge {
        let (settings, web) = (configuration.authentication.bimi, configuration.web)
        let client = HTTPSClient(web, tls: tls, resolver: resolver, group: group)
        let evaluator = BIMIEvaluator(
            resolver: resolver, fetcher: IndicatorFetcher(fetches: fetches, client: client, port: web.port), roots: roots, cache: fetches.cache,
            options: .init(evidence: settings.evidence))
        return IndicatorJudge(evaluator: evaluator, wait: .milliseconds(settings.waitMilliseconds))
    }

    /// Ends what is being fetched.
    func close() async { await fetches.close() }
}
