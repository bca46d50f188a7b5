public import DNS
public import FoundationEssentials
public import MailMessage
public import NIOCore

/// The signatures of a message, read from its header section before its body comes in.
public struct DKIMExamination: Sendable {
    enum Finding: Sendable {
        case signature(DKIMShared<DKIMSignatureHeader>)
        case failure(DKIMFailure)
    }

    let fields: DKIMFieldIndex
    /// The DKIM-Signature fields, the topmost first.
    let findings: [(place: Int, finding: Finding)]

    /// What the signatures need to know of the body, each at least once.
    var requirements: some Sequence<DKIMBodyRequirement> {
        findings.lazy.compactMap {
            if case .signature(let signature) = $0.finding, signature.value.algorithm != .rsaSHA1 { signature.value.bodyRequirement } else { nil }
        }
    }
    /// What the signatures need to know of the body.
    public var bodyRequirements: Set<DKIMBodyRequirement> { Set(requirements) }

    /// Reads the signatures of a header section.
    public init(_ header: HeaderSection, limits: DKIMLimits = DKIMLimits()) { self.init(DKIMFieldIndex(header), limits: limits) }

    init(_ fields: DKIMFieldIndex, limits: DKIMLimits) {
        self.fields = fields
        findings = fields.map(named: "dkim-signature") { number, place in (place, Self.finding(number, place, fields, limits)) }
    }

    private static func finding(_ number: Int, _ place: Int, _ fields: DKIMFieldIndex, _ limits: DKIMLimits) -> Finding {
        guard number < limits.signatureCount else { return .failure(.tooManySignatures(limit: limits.signatureCount)) }
        guard !fields.isTruncated else { return .failure(.headerOverLimits) }
        do throws(DKIMSyntaxError) {
            let signature = try DKIMSignatureHeader(parsing: fields.header[place].rawValue.readableBytesView)
            return .signature(DKIMShared(signature))
        } catch { return .failure(.syntax(error)) }
    }

    /// Whether there is no signature at all: `dkim=none`.
    public var isUnsigned: Bool { findings.isEmpty }
}

/// Verifies DKIM signatures (RFC 6376 §6, RFC 8301, RFC 8463).
///
/// Every signature is evaluated on its own, several at the same time, and the message's body is hashed once for all of them. Nothing
/// is decided about the message: that is for who asked.
public struct DKIMVerifier: Sendable {
    let resolver: any Resolver
    let keyCache: DKIMKeyCache?
    /// Keys that were looked up for this message already.
    var known: [DomainName: DKIMKeyAnswer] = [:]
    /// What is accepted, and what it may cost.
    public let limits: DKIMLimits

    /// A verifier that looks keys up with `resolver`, and keeps them in `keyCache` where there is one.
    public init(resolver: any Resolver, keyCache: DKIMKeyCache? = nil, limits: DKIMLimits = DKIMLimits()) {
        self.resolver = resolver
        self.keyCache = keyCache
        self.limits = limits
    }

    /// Verifies the signatures of a message whose body is in memory.
    /// - Returns: an evaluation of each DKIM-Signature field, the topmost first; none where the message is unsigned.
    public func verify(header: HeaderSection, body: ByteBuffer, at time: Date) async -> [DKIMEvaluation] {
        let examination = DKIMExamination(header, limits: limits)
        var hasher = DKIMBodyHasher(examination.requirements)
        hasher.update(body)
        return await verify(examination, body: hasher.finish(), at: time)
    }

    /// Verifies the signatures of a message that is read piece by piece.
    /// - Parameter header: its header section, which begins at the content's first octet.
    /// - Throws: what the content throws when it can't be read.
    public func verify(header: HeaderSection, content: any MessageContent, at time: Date) async throws -> [DKIMEvaluation] {
        let examination = DKIMExamination(header, limits: limits)
        guard !examination.isUnsigned else { return [] }
        var hasher = DKIMBodyHasher(examination.requirements)
        try await hasher.update(content, from: header.range.upperBound, octets: limits.readOctets)
        return await verify(examination, body: hasher.finish(), at: time)
    }

    /// Verifies the signatures of a message whose body was hashed already.
    /// - Parameter body: the hashes; those of ``DKIMExamination/bodyRequirements`` must be among them.
    public func verify(_ examination: DKIMExamination, body: DKIMBodyDigests, at time: Date) async -> [DKIMEvaluation] {
        let findings = examination.findings
        guard findings.count > 1 else {
            guard let (place, finding) = findings.first else { return [] }
            return [await evaluate(finding, at: place, examination.fields, body, time)]
        }
        return await withTaskGroup(of: (Int, DKIMEvaluation).self) { group in
            for (number, item) in findings.enumerated() {
                group.addTask { (number, await evaluate(item.finding, at: item.place, examination.fields, body, time)) }
            }
            var evaluations: [Int: DKIMEvaluation] = [:]
            for await (number, evaluation) in group { evaluations[number] = evaluation }
            return findings.indices.compactMap { evaluations[$0] }
        }
    }

    private func evaluate(
        _ finding: DKIMExamination.Finding, at place: Int, _ fields: DKIMFieldIndex, _ body: DKIMBodyDigests, _ time: Date
    ) async -> DKIMEvaluation {
        switch finding {
        case .signature(let signature): return await evaluate(signature, at: place, fields, body, time)
        case .failure(let failure):
            var evaluation = DKIMEvaluation(fieldIndex: place, fieldRange: fields.header.range(at: place))
            evaluation.fail(failure)
            return evaluation
        }
    }
}

extension DKIMBodyHasher {
    /// Takes the octets of a content from one of them on, in pieces.
    mutating func update(_ content: any MessageContent, from start: Int, octets: Int) async throws {
        var position = start
        while position < content.byteCount {
            let end = min(content.byteCount, position + max(1, octets))
            update(try await content.read(position..<end))
            position = end
        }
    }
}
