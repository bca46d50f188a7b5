import DNS
public import FoundationEssentials
public import MailMessage
public import NIOCore

/// Why a message isn't sealed.
public enum ARCSealingRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    /// The last seal says that the chain was broken; no other follows it (RFC 8617 §5.1, step 2).
    case alreadySealedAsFailed
    /// There are as many sets as there may be (RFC 8617 §4.2.1).
    case tooManySets(limit: Int)
    /// The status that was given can't be that of this chain.
    case statusContradictsChain(ARCResult)
    /// The header section is larger than what is read of it.
    case headerOverLimits
    /// The message doesn't begin with a field, nor with the empty line behind none: with fields in front, other lines would be its header.
    case malformedHeader
    /// The results have an octet that can't stand in a field, or a fold without a blank.
    case invalidResults
    /// A field of ARC, Authentication-Results or a trace field was to be signed (RFC 8617 §4.1.2).
    case forbiddenField(String)
    /// The key can't sign.
    case key(DKIMPrivateKeyError)

    public var description: String {
        switch self {
        case .alreadySealedAsFailed: "the chain was sealed as failed; no other seal follows (RFC 8617 §5.1)"
        case .tooManySets(let limit): "the chain has \(limit) sets, and no more are allowed (RFC 8617 §4.2.1)"
        case .statusContradictsChain(let status): "the status “\(status.rawValue)” can't be that of this chain (RFC 8617 §5.2)"
        case .headerOverLimits: "the header section is larger than what is read of it"
        case .malformedHeader: "the message doesn't begin with a header field (RFC 5322 §2.1)"
        case .invalidResults: "the authentication results can't stand in a header field (RFC 8601 §2.2)"
        case .forbiddenField(let name): "\(name) must not be signed by an ARC-Message-Signature (RFC 8617 §4.1.2)"
        case .key(let error): "\(error)"
        }
    }
}

/// Seals messages that go on to somebody else (RFC 8617 §5.1).
public struct ARCSealer: Sendable {
    /// The key, and where it is published.
    public let key: DKIMSigningKey
    /// The names for `h=` of the message signature; `nil` for those of ``DKIMSigningOptions/defaultFields`` that are there and the
    /// DKIM signatures.
    public let signedFields: [String]?
    /// How the message may change on its way (`c=` of the message signature).
    public let canonicalization: (header: DKIMCanonicalization, body: DKIMCanonicalization)

    /// A sealer with a key; its identity isn't used.
    public init(
        key: DKIMSigningKey, signedFields: [String]? = nil,
        canonicalization: (header: DKIMCanonicalization, body: DKIMCanonicalization) = (.relaxed, .relaxed)
    ) {
        self.key = key
        self.signedFields = signedFields
        self.canonicalization = canonicalization
    }

    /// Begins with a header section as it will go on, DKIM signatures included; the body is to follow.
    /// - Parameters:
    ///   - chain: what validating the message's chain came to when it arrived.
    ///   - results: the value of the Authentication-Results field with all that was found then, from the authserv-id on.
    /// - Throws: ``ARCSealingRefusal``.
    public func begin(_ header: HeaderSection, chain: ARCResult, results: String) throws(ARCSealingRefusal) -> ARCSealing {
        try ARCSealing(header, self, chain, results)
    }

    /// Seals a message whose body is in memory.
    /// - Returns: the fields of the new set, to be put before the message.
    /// - Throws: ``ARCSealingRefusal``.
    public func seal(
        header: HeaderSection, body: ByteBuffer, chain: ARCResult, results: String, at time: Date
    ) throws(ARCSealingRefusal) -> ByteBuffer {
        var sealing = try begin(header, chain: chain, results: results)
        sealing.update(body)
        return try sealing.finish(at: time)
    }
}

/// The sealing of one message.
public struct ARCSealing: Sendable {
    private let sealer: ARCSealer
    private let examination: ARCExamination
    private let chain: ARCResult
    private let results: String
    private let names: [String]
    private let fieldNames: DKIMFieldNames
    private let requirement: DKIMBodyRequirement
    private var hasher: DKIMBodyHasher

    /// The instance of the new set.
    public let instance: Int

    init(_ header: HeaderSection, _ sealer: ARCSealer, _ chain: ARCResult, _ results: String) throws(ARCSealingRefusal) {
        self.sealer = sealer
        self.chain = chain
        let examination = ARCExamination(header)
        self.examination = examination
        let fields = examination.fields
        guard !fields.isTruncated else { throw .headerOverLimits }
        let beginsWithField = header.first.map { $0.range.lowerBound == header.fieldsRange.lowerBound }
        guard beginsWithField ?? (header.fieldsRange.isEmpty && header.endsWithEmptyLine) else { throw .malformedHeader }
        guard !examination.isSealedAsFailed else { throw .alreadySealedAsFailed }
        instance = examination.highestInstance + 1
        guard instance <= ARCExamination.instanceLimit else { throw .tooManySets(limit: ARCExamination.instanceLimit) }
        switch (chain, examination.structure) {
        case (.none, .none), (.pass, .sets), (.fail, .sets), (.fail, .failure): break
        case (.none, .sets), (.none, .failure), (.pass, .none), (.pass, .failure), (.fail, .none): throw .statusContradictsChain(chain)
        }
        self.results = try Self.checked(results)
        let names =
            sealer.signedFields
            ?? (DKIMSigningOptions.defaultFields + ["DKIM-Signature"]).flatMap { Array(repeating: $0, count: fields[$0.lowercased()].count) }
        for name in names where name.lowercased() != "dkim-signature" && DKIMSigningOptions.isTraceField(name) { throw .forbiddenField(name) }
        self.names = Array(names.prefix(DKIMSignatureHeader.signedFieldLimit))
        guard let fieldNames = DKIMFieldNames(self.names) else { throw .forbiddenField(names.joined(separator: ":")) }
        self.fieldNames = fieldNames
        requirement = DKIMBodyRequirement(sealer.canonicalization.body)
        hasher = DKIMBodyHasher([requirement])
    }

    /// Takes the next octets of the body.
    public mutating func update(_ octets: ByteBuffer) { hasher.update(octets) }

    /// Ends the body and seals.
    /// - Returns: the fields of the new set, the seal first, to be put before the message.
    /// - Throws: ``ARCSealingRefusal``.
    public consuming func finish(at time: Date) throws(ARCSealingRefusal) -> ByteBuffer {
        let seconds = UInt64(max(0, time.timeIntervalSince1970))
        let digest = hasher.finish()[requirement]
        let results = "ARC-Authentication-Results: i=\(instance); \(results)"
        let signature = try messageSignature(seconds, digest?.sha256 ?? [])
        let seal = try seal(seconds, results, signature)
        var buffer = ByteBuffer()
        for field in [seal, signature, results] { buffer.writeString(field + "\r\n") }
        return buffer
    }

    private func messageSignature(_ seconds: UInt64, _ bodyHash: [UInt8]) throws(ARCSealingRefusal) -> String {
        let (header, body) = sealer.canonicalization
        var writer = DKIMTagWriter("ARC-Message-Signature")
        writer.tag("i", "\(instance)")
        writer.tag("a", sealer.key.key.algorithm.rawValue)
        writer.tag("c", "\(header.rawValue)/\(body.rawValue)")
        writer.tag("d", sealer.key.domain.ascii)
        writer.tag("s", sealer.key.selector.ascii)
        writer.tag("t", "\(seconds)")
        writer.list("h", names)
        writer.base64("bh", DKIMBase64.encode(bodyHash))
        var canonicalizer = DKIMHeaderCanonicalizer(header)
        _ = examination.fields.select(fieldNames, except: -1, into: &canonicalizer)
        return try complete(writer, canonicalizer)
    }

    private func seal(_ seconds: UInt64, _ results: String, _ signature: String) throws(ARCSealingRefusal) -> String {
        var writer = DKIMTagWriter("ARC-Seal")
        writer.tag("i", "\(instance)")
        writer.tag("a", sealer.key.key.algorithm.rawValue)
        writer.tag("t", "\(seconds)")
        writer.tag("cv", chain.rawValue)
        writer.tag("d", sealer.key.domain.ascii)
        writer.tag("s", sealer.key.selector.ascii)
        var canonicalizer = DKIMHeaderCanonicalizer(.relaxed)
        // RFC 8617 §5.1.2: the seal of a broken chain covers its own set only.
        if chain != .fail, case .sets(let sets) = examination.structure {
            for set in sets {
                for place in [set.resultsPlace, set.signaturePlace, set.sealPlace] { canonicalizer.append(examination.fields.header[place]) }
            }
        }
        canonicalizer.append(line: results, isTerminated: true)
        canonicalizer.append(line: signature, isTerminated: true)
        return try complete(writer, canonicalizer)
    }

    private func complete(_ writer: DKIMTagWriter, _ canonicalizer: DKIMHeaderCanonicalizer) throws(ARCSealingRefusal) -> String {
        var writer = writer
        do throws(DKIMPrivateKeyError) {
            try DKIMFieldSigning.complete(&writer, canonicalizer, sealer.key.key)
        } catch { throw .key(error) }
        return writer.text
    }

    /// Folds stay where they are; where there are none, there is one after each semicolon.
    private static func checked(_ results: String) throws(ARCSealingRefusal) -> String {
        let octets = Array(results.utf8)
        guard octets.count <= DKIMSignatureHeader.octetLimit / 2, octets.contains(where: { !TagList.isSpace($0) }) else { throw .invalidResults }
        for (index, octet) in octets.enumerated() {
            switch octet {
            case 0x0D:
                guard index + 2 < octets.count, octets[index + 1] == 0x0A, octets[index + 2] == 0x20 || octets[index + 2] == 0x09 else {
                    throw .invalidResults
                }
            case 0x0A: guard index > 0, octets[index - 1] == 0x0D else { throw .invalidResults }
            case 0x09, 0x20...0x7E, 0x80...0xFF: break
            default: throw .invalidResults
            }
        }
        guard !octets.contains(0x0A) else { return results }
        var folded: [UInt8] = []
        var isQuoted = false
        var iterator = octets.makeIterator()
        while let octet = iterator.next() {
            folded.append(octet)
            if isQuoted, octet == UInt8(ascii: "\\"), let next = iterator.next() {
                folded.append(next)
            } else if octet == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if octet == UInt8(ascii: ";"), !isQuoted {
                folded.append(contentsOf: "\r\n\t".utf8)
            }
        }
        // A fold must have something behind it, and its blank takes the place of the one that followed.
        return String(decoding: folded, as: UTF8.self).replacing("\r\n\t ", with: "\r\n\t")
    }
}
