public import DNS

/// The value of a DKIM-Signature field, read and checked on its own: nothing of the message, the DNS or the clock is needed
/// (RFC 6376 §3.5, §6.1.1; RFC 8616 §5).
public struct DKIMSignatureHeader: Sendable, Hashable {
    /// `a=`.
    public var algorithm: DKIMAlgorithm
    /// `b=`, decoded.
    public var signature: [UInt8]
    /// The octets of the field's value that `b=` takes, with the blanks around it: they are left out of what is signed (§3.7).
    public var signatureRange: Range<Int>
    /// `bh=`, decoded.
    public var bodyHash: [UInt8]
    /// The first half of `c=`.
    public var headerCanonicalization: DKIMCanonicalization
    /// The second half of `c=`.
    public var bodyCanonicalization: DKIMCanonicalization
    /// `d=`: who takes responsibility.
    public var domain: DomainName
    /// `h=`: the names in the order in which their fields are signed, in lower case.
    public var signedFields: [String] { fieldNames.texts }
    let fieldNames: DKIMFieldNames
    /// `i=` as it is written, decoded; `nil` where it is absent and stands for `@` and the domain.
    public var identity: String?
    /// The domain of `i=`, or of `d=` where there is none.
    public var identityDomain: DomainName
    /// `l=`: how many octets of the body are signed; `nil` for all of them.
    public var bodyLength: UInt64?
    /// `s=`.
    public var selector: DomainName
    /// `t=`: seconds since 1970.
    public var timestamp: UInt64?
    /// `x=`: seconds since 1970.
    public var expiration: UInt64?
    /// Every tag, also those that mean nothing here.
    public var tags: TagList

    /// The most octets of a value that are read.
    public static let octetLimit = 65536
    /// The most names in `h=`.
    public static let signedFieldLimit = 1000

    /// What this signature needs to know of the body.
    public var bodyRequirement: DKIMBodyRequirement { DKIMBodyRequirement(bodyCanonicalization, length: bodyLength) }

    /// Where its key is (RFC 6376 §3.6.2.1); `nil` where that isn't a domain name.
    public var keyName: DomainName? { selector.joined(by: "_domainkey", to: domain) }

    /// Reads a value.
    /// - Parameter octets: what stands between the colon and the field's last line end, with its folds.
    /// - Throws: ``DKIMSyntaxError``.
    public init(parsing octets: some Collection<UInt8>) throws(DKIMSyntaxError) {
        let reader = try DKIMTagReader(octets, section: "RFC 6376 §3.5")
        guard try reader.hasValue("v", "1") else { throw reader.error(.unsupportedVersion, "v") }
        try self.init(reader)
        try readIdentity(reader)
        // RFC 6376 §5.4, §6.1.1
        guard fieldNames.contains("from") else { throw reader.error(.fromNotSigned, "h", "RFC 6376 §6.1.1") }
    }

    /// Reads a value that is given as text.
    public init(parsing text: some StringProtocol) throws(DKIMSyntaxError) { try self.init(parsing: Array(text.utf8)) }

    /// Reads what DKIM-Signature and ARC-Message-Signature have in common.
    init(_ reader: DKIMTagReader, allowsEmptyNames: Bool = false) throws(DKIMSyntaxError) {
        algorithm = try reader.algorithm()
        signature = try reader.base64("b")
        signatureRange = try reader.place("b").value
        bodyHash = try reader.base64("bh")
        (headerCanonicalization, bodyCanonicalization) = try reader.canonicalizations()
        fieldNames = try reader.fieldNames("h", limit: Self.signedFieldLimit, allowsEmpty: allowsEmptyNames)
        domain = try reader.domain("d")
        selector = try reader.domain("s")
        identityDomain = domain
        tags = reader.tags
        bodyLength = try reader.number("l", digits: 76)
        timestamp = try reader.number("t", digits: 12)
        expiration = try reader.number("x", digits: 12)
        if let timestamp, let expiration, expiration <= timestamp { throw reader.error(.invalidValue, "x") }
        if let methods = reader.optional("q"), methods != "dns/txt" {
            let known = methods.split(separator: ":").contains { $0.lowercased() == "dns/txt" }
            guard known else { throw reader.error(.unsupportedQueryMethod, "q") }
        }
    }

    /// RFC 6376 §3.5: `[ Local-part ] "@" domain-name`, of which the domain is that of `d=` or below it.
    private mutating func readIdentity(_ reader: DKIMTagReader) throws(DKIMSyntaxError) {
        guard let text = reader.optional("i") else { return }
        guard let decoded = Self.decodeQuotedPrintable(text), let at = decoded.utf8.lastIndex(of: UInt8(ascii: "@")) else {
            throw reader.error(.invalidValue, "i")
        }
        guard let name = try? DomainName(decoded[decoded.index(after: at)...]) else { throw reader.error(.invalidValue, "i") }
        guard name.isEqualOrSubdomain(of: domain) else { throw reader.error(.identityOutsideDomain, "i", "RFC 6376 §6.1.1") }
        identity = decoded
        identityDomain = name
    }

    /// RFC 6376 §2.11: `=` and two hexadecimal digits stand for an octet.
    static func decodeQuotedPrintable(_ text: String) -> String? {
        guard text.utf8.contains(UInt8(ascii: "=")) else { return text }
        var result: [UInt8] = []
        var rest = text.utf8[...]
        while let octet = rest.popFirst() {
            guard octet == UInt8(ascii: "=") else {
                result.append(octet)
                continue
            }
            guard let high = rest.popFirst(), let low = rest.popFirst(), let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16),
                high != UInt8(ascii: "+"), high != UInt8(ascii: "-")
            else { return nil }
            result.append(value)
        }
        return String(validating: result, as: UTF8.self)
    }
}

/// Reads the values of tags with the grammar of each.
struct DKIMTagReader {
    let tags: TagList
    let section: String

    init(_ octets: some Collection<UInt8>, section: String) throws(DKIMSyntaxError) {
        guard octets.count <= DKIMSignatureHeader.octetLimit else { throw DKIMSyntaxError(.tooLarge, section: section) }
        do { tags = try TagList(parsing: octets) } catch { throw DKIMSyntaxError(.tagList(error), section: section) }
        self.section = section
    }

    func error(_ problem: DKIMSyntaxError.Problem, _ tag: String, _ section: String? = nil) -> DKIMSyntaxError {
        DKIMSyntaxError(problem, tag: tag, section: section ?? self.section)
    }

    func place(_ name: TagName) throws(DKIMSyntaxError) -> TagList.Place {
        guard let place = tags.place(of: name) else { throw error(.missingTag, name.text.description) }
        return place
    }

    /// The value as it is written.
    func text(_ name: TagName) throws(DKIMSyntaxError) -> String { TagList.text(tags.octets.span.extracting(try place(name).text)) ?? "" }

    /// The value without blanks.
    func compact(_ name: TagName) throws(DKIMSyntaxError) -> String { tags.compactText(try place(name)) }

    func optional(_ name: TagName) -> String? { tags.place(of: name).map(tags.compactText) }

    /// Whether the value is this, blanks left out.
    func hasValue(_ name: TagName, _ value: StaticString) throws(DKIMSyntaxError) -> Bool {
        let place = try place(name)
        return Self.areEqual(tags.octets.span.extracting(place.text), value) || tags.compactText(place) == value.description
    }

    private static func areEqual(_ octets: Span<UInt8>, _ value: StaticString) -> Bool {
        guard octets.count == value.utf8CodeUnitCount else { return false }
        // Safe: a literal of ASCII, which has as many octets as were compared.
        for index in octets.indices where unsafe octets[index] != value.utf8Start[index] { return false }
        return true
    }

    func algorithm() throws(DKIMSyntaxError) -> DKIMAlgorithm {
        // What nearly everybody writes.
        if try hasValue("a", "rsa-sha256") { return .rsaSHA256 }
        let text = try compact("a")
        guard !text.isEmpty else { throw error(.invalidValue, "a") }
        guard let algorithm = DKIMAlgorithm(rawValue: text) else { throw error(.unsupportedAlgorithm, "a") }
        return algorithm
    }

    func base64(_ name: TagName) throws(DKIMSyntaxError) -> [UInt8] {
        let place = try place(name)
        guard let octets = DKIMBase64.decode(tags.octets.span.extracting(place.text)), !octets.isEmpty else {
            throw error(.invalidValue, name.text.description)
        }
        return octets
    }

    func domain(_ name: TagName) throws(DKIMSyntaxError) -> DomainName {
        let place = try place(name)
        let octets = tags.octets.span.extracting(place.text)
        if let domain = DomainName(final: octets) { return domain }
        guard let text = TagList.text(octets), let domain = try? DomainName(text) else {
            throw error(.invalidValue, name.text.description)
        }
        return domain
    }

    /// Digits only; what is beyond 64 bits is as large as can be.
    func number(_ name: TagName, digits: Int) throws(DKIMSyntaxError) -> UInt64? {
        guard let place = tags.place(of: name) else { return nil }
        let text = tags.octets.span.extracting(place.text)
        var number: UInt64 = 0
        var count = 0
        var isOver = false
        for index in text.indices where !TagList.isSpace(text[index]) {
            guard (0x30...0x39).contains(text[index]), count < digits else { throw error(.invalidValue, name.text.description) }
            count += 1
            let (tens, isFirstOver) = number.multipliedReportingOverflow(by: 10)
            let (sum, isSecondOver) = tens.addingReportingOverflow(UInt64(text[index] - 0x30))
            isOver = isOver || isFirstOver || isSecondOver
            number = sum
        }
        guard count > 0 else { throw error(.invalidValue, name.text.description) }
        return isOver ? .max : number
    }

    func canonicalizations() throws(DKIMSyntaxError) -> (header: DKIMCanonicalization, body: DKIMCanonicalization) {
        guard tags.place(of: "c") != nil else { return (.simple, .simple) }
        // What nearly everybody writes.
        if try hasValue("c", "relaxed/relaxed") { return (.relaxed, .relaxed) }
        if try hasValue("c", "relaxed/simple") { return (.relaxed, .simple) }
        let text = try compact("c")
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let header = DKIMCanonicalization(rawValue: String(parts[0])) else { throw error(.invalidValue, "c") }
        guard parts.count == 2 else { return (header, .simple) }
        guard let body = DKIMCanonicalization(rawValue: String(parts[1])) else { throw error(.invalidValue, "c") }
        return (header, body)
    }

    /// Names of fields between colons. Those of ARC may be empty, and select nothing.
    func fieldNames(_ name: TagName, limit: Int, allowsEmpty: Bool) throws(DKIMSyntaxError) -> DKIMFieldNames {
        let place = try place(name)
        guard let names = DKIMFieldNames(tags.octets.span.extracting(place.text)) else { throw error(.invalidValue, name.text.description) }
        guard names.count <= limit else { throw error(.tooLarge, name.text.description) }
        guard allowsEmpty || !names.hasEmptyName else { throw error(.invalidValue, name.text.description) }
        return names
    }
}
