import Crypto
public import DNS
public import FoundationEssentials
public import MailMessage
public import NIOCore

/// A key and the names under which it is published.
public struct DKIMSigningKey: Sendable {
    /// `d=`.
    public var domain: DomainName
    /// `s=`.
    public var selector: DomainName
    /// The key.
    public var key: DKIMPrivateKey
    /// `i=`, such as `@mail.kartapuce.test`; `nil` to leave it out.
    public var identity: String?

    /// Puts them together.
    public init(domain: DomainName, selector: DomainName, key: DKIMPrivateKey, identity: String? = nil) {
        self.domain = domain
        self.selector = selector
        self.key = key
        self.identity = identity
    }
}

/// Signs messages (RFC 6376 §5, RFC 8301, RFC 8463): with one key, or with several at once so that every verifier finds an algorithm
/// that it knows.
public struct DKIMSigner: Sendable {
    /// The keys; their signatures stand in this order.
    public let keys: [DKIMSigningKey]
    /// How messages are signed.
    public let options: DKIMSigningOptions

    /// A signer with keys.
    public init(keys: [DKIMSigningKey], options: DKIMSigningOptions = DKIMSigningOptions()) {
        self.keys = keys
        self.options = options
    }

    /// Begins with a header section; the body is to follow.
    /// - Throws: ``DKIMSigningRefusal``.
    public func begin(_ header: HeaderSection) throws(DKIMSigningRefusal) -> DKIMSigning { try DKIMSigning(header, self) }

    /// Signs a message whose body is in memory.
    /// - Returns: the DKIM-Signature fields, to be put before the message.
    /// - Throws: ``DKIMSigningRefusal``.
    public func sign(header: HeaderSection, body: ByteBuffer, at time: Date) throws(DKIMSigningRefusal) -> ByteBuffer {
        var signing = try begin(header)
        signing.update(body)
        return try signing.finish(at: time)
    }

    /// Signs a message that is read piece by piece.
    /// - Throws: ``DKIMSigningRefusal``, and what the content throws when it can't be read.
    public func sign(header: HeaderSection, content: any MessageContent, at time: Date) async throws -> ByteBuffer {
        var signing = try begin(header)
        let pieceOctets = DKIMLimits().readOctets
        var position = header.range.upperBound
        while position < content.byteCount {
            let end = min(content.byteCount, position + pieceOctets)
            signing.update(try await content.read(position..<end))
            position = end
        }
        return try signing.finish(at: time)
    }
}

/// The signing of one message.
public struct DKIMSigning: Sendable {
    private let signer: DKIMSigner
    private let fields: DKIMFieldIndex
    private let names: [String]
    private let fieldNames: DKIMFieldNames
    private let isMIME: Bool
    private var hasher: DKIMBodyHasher
    private var inspector = DKIMMessageInspector()

    init(_ header: HeaderSection, _ signer: DKIMSigner) throws(DKIMSigningRefusal) {
        guard !signer.keys.isEmpty else { throw .noKey }
        self.signer = signer
        fields = DKIMFieldIndex(header)
        try DKIMSigningCheck(fields: fields, options: signer.options).run(domains: signer.keys.map(\.domain))
        names = try signer.options.fields(for: fields)
        guard let fieldNames = DKIMFieldNames(names) else {
            throw .template(DKIMSyntaxError(.invalidValue, tag: "h", section: "RFC 6376 §3.5"))
        }
        self.fieldNames = fieldNames
        isMIME = !fields["mime-version"].isEmpty
        hasher = DKIMBodyHasher([DKIMBodyRequirement(signer.options.bodyCanonicalization)])
    }

    /// Takes the next octets of the body.
    public mutating func update(_ octets: ByteBuffer) {
        hasher.update(octets)
        inspector.update(octets)
    }

    /// Ends the body and signs.
    /// - Returns: the DKIM-Signature fields, to be put before the message.
    /// - Throws: ``DKIMSigningRefusal``.
    public consuming func finish(at time: Date) throws(DKIMSigningRefusal) -> ByteBuffer {
        inspector.finish()
        try DKIMSigningCheck.refuse(inspector, offset: fields.header.range.upperBound)
        if let place = inspector.eightBit, !isMIME { throw .eightBitBody(offset: fields.header.range.upperBound + place) }
        // The header section ends where a line is no field, and what others take for header would be body.
        guard fields.header.endsWithEmptyLine || inspector.isEmpty else { throw .malformedHeader }
        let options = signer.options
        guard let digest = hasher.finish()[DKIMBodyRequirement(options.bodyCanonicalization)] else { throw .noKey }
        var canonicalizer = DKIMHeaderCanonicalizer(options.headerCanonicalization)
        _ = fields.select(fieldNames, except: -1, into: &canonicalizer)
        var result = ByteBuffer()
        for key in signer.keys {
            var writer = DKIMTagWriter("DKIM-Signature")
            writer.tag("v", "1")
            writer.tag("a", key.key.algorithm.rawValue)
            writer.tag("c", "\(options.headerCanonicalization.rawValue)/\(options.bodyCanonicalization.rawValue)")
            writer.tag("d", key.domain.ascii)
            writer.tag("s", key.selector.ascii)
            if let identity = key.identity { writer.tag("i", Self.quotedPrintable(identity)) }
            let seconds = UInt64(max(0, time.timeIntervalSince1970))
            if options.includesTimestamp { writer.tag("t", "\(seconds)") }
            if let lifetime = options.lifetimeSeconds { writer.tag("x", "\(seconds + min(max(1, lifetime), 1 << 40))") }
            writer.list("h", names)
            writer.base64("bh", DKIMBase64.encode(digest.sha256))
            do throws(DKIMPrivateKeyError) { try DKIMFieldSigning.complete(&writer, canonicalizer, key.key) } catch { throw .key(error) }
            result.writeString(writer.text + "\r\n")
        }
        return result
    }

    /// RFC 6376 §2.11: what can't stand in a tag's value is written as `=` and two digits.
    private static func quotedPrintable(_ text: String) -> String {
        var result = ""
        for octet in text.utf8 {
            if (0x21...0x7E).contains(octet), octet != UInt8(ascii: ";"), octet != UInt8(ascii: "=") {
                result.unicodeScalars.append(Unicode.Scalar(octet))
            } else {
                result += "=" + (octet < 16 ? "0" : "") + String(octet, radix: 16, uppercase: true)
            }
        }
        return result
    }
}

/// Puts signatures into fields that are complete but for them.
enum DKIMFieldSigning {
    /// Writes `b=` (RFC 6376 §3.7: the field itself is signed last, with an empty `b=` and without its line end).
    static func complete(
        _ writer: inout DKIMTagWriter, _ canonicalizer: DKIMHeaderCanonicalizer, _ key: DKIMPrivateKey
    ) throws(DKIMPrivateKeyError) {
        var template = writer
        template.begin("b")
        var canonicalizer = canonicalizer
        canonicalizer.append(line: template.text, isTerminated: false)
        writer.base64("b", DKIMBase64.encode(try key.signature(for: SHA256.hash(data: canonicalizer.octets))))
    }
}

extension DKIMSigner {
    /// Computes what belongs into `b=` of a DKIM-Signature field that stands at the top of a header section, whatever its tags and
    /// folds: to make a signature that was published again. Nothing but the field is checked.
    /// - Throws: ``DKIMSigningRefusal``.
    public static func signature(completing header: HeaderSection, with key: DKIMPrivateKey) throws(DKIMSigningRefusal) -> String {
        let fields = DKIMFieldIndex(header)
        guard let place = fields["dkim-signature"].first else { throw .missingField("DKIM-Signature") }
        let field = header[place]
        let signature: DKIMSignatureHeader
        do throws(DKIMSyntaxError) { signature = try DKIMSignatureHeader(parsing: field.rawValue.readableBytesView) } catch { throw .template(error) }
        var canonicalizer = DKIMHeaderCanonicalizer(signature.headerCanonicalization)
        _ = fields.select(signature.fieldNames, except: place, into: &canonicalizer)
        canonicalizer.append(field, cutting: signature.signatureRange, isTerminated: false)
        do throws(DKIMPrivateKeyError) {
            return DKIMBase64.encode(try key.signature(for: SHA256.hash(data: canonicalizer.octets)))
        } catch { throw .key(error) }
    }
}
