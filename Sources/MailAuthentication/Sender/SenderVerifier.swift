public import DNS
public import FoundationEssentials
public import MailMessage
import NIOCore

/// Finds out who sent a message: the client's name, SPF, the signatures, the chain of ARC, all at the same time, and DMARC after them.
public struct SenderVerifier: Sendable {
    /// As much of a message as may be header, in octets.
    public static let headerLimit = 1 << 20

    private let resolver: any Resolver
    private let receivingHost: String
    private let keyCache: DKIMKeyCache?
    private let limits: DKIMLimits
    private let evaluatesEverything: Bool

    /// - Parameters:
    ///   - resolver: where names are looked up.
    ///   - receivingHost: this host's name.
    ///   - keyCache: keeps keys from one message to the next.
    ///   - evaluatesEverything: whether seals that don't matter any more are evaluated as well, for tools that explain.
    public init(
        resolver: any Resolver, receivingHost: String, keyCache: DKIMKeyCache? = nil, limits: DKIMLimits = DKIMLimits(), evaluatesEverything: Bool = false
    ) {
        self.resolver = resolver
        self.receivingHost = receivingHost
        self.keyCache = keyCache
        self.limits = limits
        self.evaluatesEverything = evaluatesEverything
    }

    /// Finds out about a message.
    /// - Parameters:
    ///   - client: who handed it in; without one neither SPF nor the client's name is looked at.
    ///   - content: the message as it came, without what this host puts in front.
    ///   - restricting: the resolver for this message, made of the one that this verifier has: with a limit of time, for example.
    /// - Throws: what the content throws when it can't be read.
    public func verify(
        _ client: SenderClient?, content: any MessageContent, at time: Date, restricting: (any Resolver) -> any Resolver = { $0 }
    ) async throws -> SenderEvaluation {
        let resolver = restricting(resolver)
        let dkim = DKIMVerifier(resolver: resolver, keyCache: keyCache, limits: limits)
        let arc = ARCVerifier(resolver: resolver, keyCache: keyCache, limits: limits, evaluatesEverything: evaluatesEverything)
        let head = try await content.read(0..<min(content.byteCount, Self.headerLimit))
        let header = HeaderSection(parsing: head)
        let fields = DKIMFieldIndex(header)
        let signatures = DKIMExamination(fields, limits: limits)
        let chain = ARCExamination(fields)
        // The body is read and hashed once for all signatures of both kinds.
        let requirements = Array(signatures.requirements) + chain.bodyRequirements
        var hasher = DKIMBodyHasher(requirements)
        if !requirements.isEmpty {
            try await hasher.update(content, from: header.range.upperBound, octets: limits.readOctets)
        }
        let body = hasher.finish()
        async let names = client.mapAsync { await ReverseNameChecker(resolver: resolver).check($0.address) }
        async let policy = client.mapAsync { client in
            await SPFChecker(resolver: resolver, receivingHost: receivingHost)
                .check(address: client.address, helo: client.helo, mailFrom: client.mailFrom, at: time)
        }
        let (signed, sealed) = await Self.verify(signatures, dkim, chain, arc, body, time)
        let spf = await policy
        let dmarc = await Self.dmarc(header, head, spf, signed, resolver)
        return SenderEvaluation(client: client, reverseName: await names, spf: spf, dkim: signed, arc: sealed, dmarc: dmarc)
    }

    /// The signatures and the chain at the same time; most messages have no chain, and need no task for it.
    private static func verify(
        _ signatures: DKIMExamination, _ dkim: DKIMVerifier, _ chain: ARCExamination, _ arc: ARCVerifier, _ body: DKIMBodyDigests, _ time: Date
    ) async -> ([DKIMEvaluation], ARCEvaluation) {
        guard case .sets = chain.structure, !signatures.isUnsigned else {
            return (await dkim.verify(signatures, body: body, at: time), await arc.verify(chain, body: body, at: time))
        }
        async let sealed = arc.verify(chain, body: body, at: time)
        return (await dkim.verify(signatures, body: body, at: time), await sealed)
    }

    /// DMARC on what SPF and DKIM came to (RFC 9989 §5.3).
    private static func dmarc(
        _ header: HeaderSection, _ head: ByteBuffer, _ spf: SPFEvaluation?, _ dkim: [DKIMEvaluation], _ resolver: any Resolver
    ) async -> DMARCEvaluation {
        let evaluator = DMARCEvaluator(resolver: resolver)
        let author: DMARCAuthor
        do {
            author = try DMARCAuthor(header: header, of: head)
        } catch {
            return evaluator.evaluate(error)
        }
        let identities =
            spf.map { [DMARCSPFResult(domain: $0.domain, result: $0.result.rawValue, identity: $0.identity == .helo ? .heloOfNullReversePath : .mailFrom)] }
            ?? []
        let signatures = dkim.compactMap { evaluation in
            evaluation.domain.map {
                DMARCDKIMResult(domain: $0.ascii, selector: evaluation.selector?.ascii ?? "", result: evaluation.result.rawValue)
            }
        }
        return await evaluator.evaluate(author, spf: identities, dkim: signatures)
    }
}

extension Optional where Wrapped: Sendable {
    fileprivate func mapAsync<Value: Sendable>(_ transform: (Wrapped) async -> Value) async -> Value? {
        guard let self else { return nil }
        return await transform(self)
    }
}
