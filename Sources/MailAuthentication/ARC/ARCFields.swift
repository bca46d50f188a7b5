public import DNS
import MailMessage

/// A chain validation status: the value of `cv=`, and what came of validating a chain (RFC 8617 §4.4).
public enum ARCResult: String, Sendable, Hashable, Codable, CaseIterable {
    /// There is no chain.
    case none
    case pass
    case fail
}

/// The value of an ARC-Seal field (RFC 8617 §4.1.3).
public struct ARCSealHeader: Sendable, Hashable {
    /// `i=`.
    public var instance: Int
    /// `cv=`: the status of the chain when the seal was made.
    public var chainStatus: ARCResult
    /// `a=`.
    public var algorithm: DKIMAlgorithm
    /// `b=`, decoded.
    public var signature: [UInt8]
    /// The octets of the value that `b=` takes.
    public var signatureRange: Range<Int>
    /// `d=`.
    public var domain: DomainName
    /// `s=`.
    public var selector: DomainName
    /// `t=`: seconds since 1970.
    public var timestamp: UInt64?

    /// Where its key is; `nil` where that isn't a domain name.
    public var keyName: DomainName? { selector.joined(by: "_domainkey", to: domain) }

    /// Reads a value.
    /// - Throws: ``DKIMSyntaxError``.
    public init(parsing octets: some Collection<UInt8>) throws(DKIMSyntaxError) {
        let reader = try DKIMTagReader(octets, section: "RFC 8617 §4.1.3")
        instance = try reader.instance()
        guard let status = ARCResult(rawValue: try reader.compact("cv")) else { throw reader.error(.invalidValue, "cv", "RFC 8617 §4.4") }
        chainStatus = status
        algorithm = try reader.algorithm()
        signature = try reader.base64("b")
        signatureRange = try reader.place("b").value
        domain = try reader.domain("d")
        selector = try reader.domain("s")
        timestamp = try reader.number("t", digits: 12)
        guard reader.tags.place(of: "h") == nil else { throw reader.error(.invalidValue, "h") }
    }
}

/// The value of an ARC-Message-Signature field (RFC 8617 §4.1.2).
public struct ARCMessageSignatureHeader: Sendable, Hashable {
    /// `i=`.
    public var instance: Int
    /// What it has in common with a DKIM-Signature; there is no identity.
    public var signature: DKIMSignatureHeader

    /// The ways in which it may be meant, the standard's first.
    ///
    /// Deliberate: without `c=` the form is simple (RFC 6376 §3.5), but drafts of RFC 8617 had it relaxed, and there are sealers that follow
    /// them. Both forms are of the same text, so that whoever made a signature which fits one of them has signed the message.
    var readings: [DKIMSignatureHeader] {
        guard hasTwoReadings else { return [signature] }
        var relaxed = signature
        relaxed.headerCanonicalization = .relaxed
        relaxed.bodyCanonicalization = .relaxed
        return [signature, relaxed]
    }

    /// Whether ``readings`` has the relaxed form as well.
    var hasTwoReadings: Bool { signature.tags.place(of: "c" as TagName) == nil }

    /// Reads a value.
    /// - Throws: ``DKIMSyntaxError``.
    public init(parsing octets: some Collection<UInt8>) throws(DKIMSyntaxError) {
        let reader = try DKIMTagReader(octets, section: "RFC 8617 §4.1.2")
        instance = try reader.instance()
        signature = try DKIMSignatureHeader(reader, allowsEmptyNames: true)
        // Of the fields of ARC only the seal is refused: that its own set is signed has been seen, and does no harm.
        guard !signature.fieldNames.contains("arc-seal") else { throw reader.error(.invalidValue, "h") }
    }
}

/// The value of an ARC-Authentication-Results field (RFC 8617 §4.1.1).
public struct ARCAuthenticationResults: Sendable, Hashable {
    /// `i=`.
    public var instance: Int
    /// What follows the instance: the value of an Authentication-Results field, without folds.
    public var results: String

    /// Reads a value.
    /// - Throws: ``DKIMSyntaxError``.
    public init(parsing octets: some Collection<UInt8>) throws(DKIMSyntaxError) {
        func error(_ problem: DKIMSyntaxError.Problem) -> DKIMSyntaxError { DKIMSyntaxError(problem, tag: "i", section: "RFC 8617 §4.1.1") }
        guard octets.count <= DKIMSignatureHeader.octetLimit else { throw DKIMSyntaxError(.tooLarge, section: "RFC 8617 §4.1.1") }
        let octets = Array(octets)
        guard let semicolon = octets.firstIndex(of: UInt8(ascii: ";")) else { throw error(.missingTag) }
        let tag = Self.withoutComments(octets[..<semicolon])
        guard tag.starts(with: "i=".utf8), !tag[2...].contains(UInt8(ascii: "=")) else { throw error(.missingTag) }
        guard let instance = DKIMTagReader.instance(String(decoding: tag[2...], as: UTF8.self)) else { throw error(.invalidValue) }
        self.instance = instance
        results = Self.unfolded(octets.span.extracting((semicolon + 1)..<octets.count))
    }

    /// Without line ends, and without blanks in front.
    private static func unfolded(_ octets: Span<UInt8>) -> String {
        var start = 0
        while start < octets.count, TagList.isSpace(octets[start]) { start += 1 }
        return String(withoutLineEnds: octets.extracting(start..<octets.count))
    }

    /// Octets outside of comments (RFC 5322 §3.2.2), without blanks.
    private static func withoutComments(_ octets: ArraySlice<UInt8>) -> [UInt8] {
        var depth = 0
        return octets.filter { octet in
            if octet == UInt8(ascii: "(") { depth += 1 }
            defer { if octet == UInt8(ascii: ")"), depth > 0 { depth -= 1 } }
            return depth == 0 && !TagList.isSpace(octet)
        }
    }
}

extension DKIMTagReader {
    /// `i=` of an ARC set (RFC 8617 §4.2.1).
    func instance() throws(DKIMSyntaxError) -> Int {
        guard let instance = Self.instance(try text("i")) else { throw error(.invalidValue, "i", "RFC 8617 §4.2.1") }
        return instance
    }

    /// 1 to 50.
    static func instance(_ text: String) -> Int? {
        guard (1...2).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text) else { return nil }
        return (1...ARCExamination.instanceLimit).contains(number) ? number : nil
    }
}
