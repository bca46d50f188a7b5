public import DNS
public import FoundationEssentials
public import MailMessage
import NIOCore

/// Finds out who sent a message: the client's name, SPF, the signatures, the chain of ARC, all at the same time, and DMARC after them.
public struct SenderVerifier: Sendable {
    /// As much of a message as may be header, in octets.
    public static let headerLimit = 1 << 20

    private let resolver: any Resolver
    private let spf: SPFChecker
    private let dkim: DKIMVerifier
    private let arc: ARCVerifier

    /// - Parameters:
    ///   - resolver: where names are looked up.
    ///   - receivingHost: this host's name.
    ///   - keyCache: keeps keys from one message to the next.
    ///   - evaluatesEverything: whether seals that don't matter any more are evaluated as well, for tools that explain.
    public init(
        resolver: any Resolver, receivingHost: String, keyCache: DKIMKeyCache? = nil, limits: DKIMLimits = DKIMLimits(), evaluatesEverything: Bool = false
    ) {
        self.resolver = resolver
        spf = SPFChecker(resolver: resolver, receivingHost: receivingHost)
        dkim = DKIMVerifier(resolver: resolver, keyCache: keyCache, limits: limits)
        arc = ARCVerifier(resolver: resolver, keyCache: keyCache, limits: limits, evaluatesEverything: evaluatesEverything)
    }

    /// Finds out about a message.
    /// - Parameters:
    ///   - client: who handed it in; without one neither SPF nor the client's name is looked at.
    ///   - content: the message as it came, without what this host puts in front.
    /// - Throws: what the content throws when it can't be read.
    public func verify(_ client: SenderClient?, content: any MessageContent, at time: Date) async throws -> SenderEvaluation {
        let head = try await content.read(0..<min(content.byteCount, Self.headerLimit))
        let header = HeaderSection(parsing: head)
        let signatures = DKIMExamination(header, limits: dkim.limits)
        let chain = ARCExamination(header)
        // The body is read and hashed once for all signatures of both kinds.
        var hasher = DKIMBodyHasher(signatures.bodyRequirements.union(chain.bodyRequirements))
        if !signatures.bodyRequirements.isEmpty || !chain.bodyRequirements.isEmpty {
            try await hasher.update(content, from: header.range.upperBound, octets: dkim.limits.readOctets)
        }
        let body = hasher.finish()
        async let names = client.mapAsync { await ReverseNameChecker(resolver: resolver).check($0.address) }
        async let policy = client.mapAsync { await spf.check(address: $0.address, helo: $0.helo, mailFrom: $0.mailFrom, at: time) }
        async let signed = dkim.verify(signatures, body: body, at: time)
        async let sealed = arc.verify(chain, body: body, at: time)
        let (spfEvaluation, dkimEvaluations) = await (policy, signed)
        let dmarc = await Self.dmarc(head, spfEvaluation, dkimEvaluations, resolver)
        return SenderEvaluation(
            client: client, reverseName: await names, spf: spfEvaluation, dkim: dkimEvaluations, arc: await sealed, dmarc: dmarc)
    }

    /// DMARC on what SPF and DKIM came to (RFC 9989 §5.3).
    private static func dmarc(_ head: ByteBuffer, _ spf: SPFEvaluation?, _ dkim: [DKIMEvaluation], _ resolver: any Resolver) async -> DMARCEvaluation {
        let evaluator = DMARCEvaluator(resolver: resolver)
        let author: DMARCAuthor
        do {
            author = try DMARCAuthor(message: head)
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
