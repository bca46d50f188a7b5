import DNS
import MailMessage
import NIOCore

@testable import MailAuthentication

/// DKIM: fields and records by themselves, and whole messages with the key record that stands before them. The input is a key record, a line
/// `====`, and a message.
enum DKIMTarget {
    static func run(_ data: [UInt8]) {
        let input = Input(data)
        let (record, message) = input.halves
        signature(message)
        key(input.octets)
        hash(message)
        verify(record, message)
        sign(message, input)
    }

    /// The octets 1 to 32: no secret.
    static let key = try? DKIMPrivateKey(parsing: "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=")

    static var signingKey: DKIMSigningKey? {
        guard let key, let domain = try? DomainName("kartapuce.test"), let selector = try? DomainName("fuzz") else { return nil }
        return DKIMSigningKey(domain: domain, selector: selector, key: key)
    }

    /// Answers with the record, and with our own under our own name.
    static func resolver(_ record: [UInt8]) -> OneRecordResolver {
        var resolver = OneRecordResolver(text: record)
        if let key, let name = try? DomainName("fuzz._domainkey.kartapuce.test") { resolver.apart[name] = Array(key.recordText.utf8) }
        return resolver
    }

    private static func signature(_ octets: [UInt8]) {
        guard let header = try? DKIMSignatureHeader(parsing: octets) else { return }
        require(header.signedFields.contains("from"), "From isn't signed")
        require(header.signatureRange.upperBound <= octets.count, "the signature lies at \(header.signatureRange)")
        require(header.identityDomain.isEqualOrSubdomain(of: header.domain), "\(header.identityDomain) isn't of \(header.domain)")
        require(DKIMBase64.decode(octets[header.signatureRange]) == header.signature, "another signature lies in its place")
    }

    private static func key(_ octets: [UInt8]) {
        _ = try? DKIMPrivateKey(parsing: String(decoding: octets.prefix(8_192), as: UTF8.self))
        guard let record = try? DKIMKeyRecord(parsing: octets), let key = try? DKIMPublicKey(record) else { return }
        require(!record.isRevoked, "a revoked key can be used")
        _ = key
    }

    private static func hash(_ octets: [UInt8]) {
        let requirements = [
            DKIMBodyRequirement(.simple), DKIMBodyRequirement(.relaxed), DKIMBodyRequirement(.simple, length: 10), DKIMBodyRequirement(.relaxed, length: 7),
        ]
        let whole = digests(octets, .whole, requirements)
        for cut in [Cut.single, .random] where cut != .single || octets.count < 4_096 {
            let other = digests(octets, cut, requirements)
            for requirement in requirements {
                require(whole[requirement] == other[requirement], "another hash in pieces: \(requirement)")
            }
        }
        for requirement in requirements {
            guard let digest = whole[requirement] else { return require(false, "no hash for \(requirement)") }
            require(digest.hashedOctets <= digest.canonicalOctets, "more octets are hashed than there are")
            require(requirement.length == nil || digest.hashedOctets <= (requirement.length ?? 0), "more octets are hashed than was asked for")
        }
        require(whole[requirements[0]]?.sha256 == alone(octets, requirements[0]), "another hash by itself")
    }

    private static func alone(_ octets: [UInt8], _ requirement: DKIMBodyRequirement) -> [UInt8]? {
        digests(octets, .whole, [requirement])[requirement]?.sha256
    }

    private static func digests(_ octets: [UInt8], _ cut: Cut, _ requirements: [DKIMBodyRequirement]) -> DKIMBodyDigests {
        var hasher = DKIMBodyHasher(requirements)
        for piece in cut.pieces(octets) { hasher.update(ByteBuffer(bytes: piece)) }
        return hasher.finish()
    }

    private static func verify(_ record: [UInt8], _ octets: [UInt8]) {
        let resolver = resolver(record)
        let evaluations = evaluate(octets, resolver)
        for evaluation in evaluations {
            require(!evaluation.reason.isEmpty || evaluation.result == .pass, "\(evaluation.result) without a reason")
            require(evaluation.fieldRange.upperBound <= octets.count, "a signature outside of its message")
            guard evaluation.result == .pass else { continue }
            require(evaluation.failure == nil && evaluation.bodyMatches == true && evaluation.headerMatches == true, "pass of what doesn't match")
            require(evaluation.signature != nil && evaluation.keyRecord?.isRevoked == false, "pass without a key")
        }
    }

    private static func evaluate(_ octets: [UInt8], _ resolver: OneRecordResolver) -> [DKIMEvaluation] {
        let message = ByteBuffer(bytes: octets)
        return CallingThread.run {
            let header = HeaderSection(parsing: message)
            return await DKIMVerifier(resolver: resolver).verify(header: header, body: message.behind(header), at: fuzzedTime)
        }
    }

    /// What is signed here passes here.
    private static func sign(_ octets: [UInt8], _ input: Input) {
        guard let signingKey else { return require(false, "the key can't be read") }
        var options = DKIMSigningOptions()
        options.allowsForeignAuthors = true
        options.allowsInternationalizedHeader = input.has(0)
        options.headerCanonicalization = input.has(1) ? .simple : .relaxed
        options.bodyCanonicalization = input.has(2) ? .simple : .relaxed
        let message = ByteBuffer(bytes: octets)
        let header = HeaderSection(parsing: message)
        guard let fields = try? DKIMSigner(keys: [signingKey], options: options).sign(header: header, body: message.behind(header), at: fuzzedTime) else {
            return
        }
        require(fields.readableBytesView.hasWholeLineEnds, "a bare CR or LF in a signature")
        for line in fields.readableBytesView.split(separator: 0x0A) { require(line.count <= 999, "a line of \(line.count) octets was written") }
        let evaluations = evaluate(Array(fields.readableBytesView) + octets, resolver([]))
        guard let first = evaluations.first, first.failure != .headerOverLimits else { return require(!evaluations.isEmpty, "the signature can't be seen") }
        require(first.result == .pass, "our own signature doesn't pass: \(first.reason)")
    }
}

extension ByteBuffer {
    /// A message's octets behind its header section.
    func behind(_ header: HeaderSection) -> ByteBuffer {
        getSlice(at: readerIndex + header.range.upperBound, length: readableBytes - header.range.upperBound) ?? ByteBuffer()
    }
}
