/// A DMARC Policy Record (RFC 9989 §4.7).
///
/// The version decides whether a text is such a record; whatever is wrong behind it is left out or takes its default value (RFC 9989 §4.8),
/// and ``notes`` say so. The tags that RFC 9989 retired (`pct`, `rf`, `ri`) change nothing.
///
/// Example: `v=DMARC1; p=reject; sp=quarantine; adkim=s; rua=mailto:reports@kartapuce.test`
public struct DMARCRecord: Sendable, Hashable, Codable {
    /// The octets of the longest record that is read: no TXT record is longer.
    public static let octetLimit = 65_535
    /// The most pairs that are read.
    public static let tagLimit = 256
    /// The most URIs of one tag that are kept.
    public static let reportingURILimit = 100

    /// The record as published; octets that are no UTF-8 are replaced.
    public let text: String
    /// The policy for the domain itself (`p`); `none` where ``isReducedToReporting``, or where no usable `p` stands.
    public private(set) var policy: DMARCPolicy = .none
    /// The policy for subdomains (`sp`).
    public private(set) var subdomainPolicy: DMARCPolicy?
    /// The policy for subdomains that don't exist (`np`).
    public private(set) var nonexistentSubdomainPolicy: DMARCPolicy?
    /// How the domain of a DKIM signature must match (`adkim`).
    public private(set) var dkimAlignment: DMARCAlignmentMode = .relaxed
    /// How the domain of SPF must match (`aspf`).
    public private(set) var spfAlignment: DMARCAlignmentMode = .relaxed
    /// When failure reports are wanted (`fo`), in order; counts only where ``failureReportURIs`` has an entry.
    public private(set) var failureOptions: [DMARCFailureOption] = [.allFail]
    /// Where aggregate reports go (`rua`).
    public private(set) var aggregateReportURIs: [DMARCReportingURI] = []
    /// Where failure reports go (`ruf`).
    public private(set) var failureReportURIs: [DMARCReportingURI] = []
    /// Whether the domain is a public suffix (`psd`).
    public private(set) var publicSuffix: DMARCPublicSuffixFlag = .unknown
    /// Whether the owner tests the policy: one step weaker is wanted (`t`).
    public private(set) var isTesting = false
    /// Whether `p`, `sp` or `np` is unusable, so that the record only asks for reports, as `p=none` does (RFC 9989 §4.10.1).
    public private(set) var isReducedToReporting = false
    /// Whether the record can be applied: it has a usable policy or a usable `rua` (RFC 9989 §4.10.1). ``init(parsing:)-(StringProtocol)``
    /// refuses those that can't; the tree walk needs their `psd` all the same.
    public private(set) var isApplicable = true
    /// What was left out or has no meaning any more, for people.
    public private(set) var notes: [String] = []

    /// Reads a record.
    /// - Throws: ``DMARCRecordError`` for what isn't one, and for one that can't be applied.
    public init(parsing text: some StringProtocol) throws(DMARCRecordError) { try self.init(parsing: Array(text.utf8)) }

    /// Reads a record from the joined strings of a TXT record (RFC 9989 §4.5).
    /// - Throws: ``DMARCRecordError`` for what isn't one, and for one that can't be applied.
    public init(parsing octets: [UInt8]) throws(DMARCRecordError) {
        try self.init(readingFormOf: octets)
        guard isApplicable else { throw DMARCRecordError(.noUsablePolicy) }
    }

    /// As ``init(parsing:)-([UInt8])``, but also takes a record that can't be applied.
    init(readingFormOf octets: [UInt8]) throws(DMARCRecordError) {
        guard octets.count <= Self.octetLimit else { throw DMARCRecordError(.tooLong) }
        text = String(decoding: octets, as: UTF8.self)
        let semicolon = UInt8(ascii: ";")
        var end = octets.firstIndex(of: semicolon) ?? octets.count
        guard Self.isVersion(octets[..<end]) else { throw DMARCRecordError(.notDMARC1) }
        guard octets.count(where: { $0 == semicolon }) < Self.tagLimit else { throw DMARCRecordError(.tooManyTags) }
        // The limit keeps the search for a name that comes twice short.
        var names = ["v"]
        var hasPolicy = false
        var hasUnusablePolicy = false
        while end < octets.count {
            let start = end + 1
            end = octets[start...].firstIndex(of: semicolon) ?? octets.count
            let pair = Self.trimmed(octets[start..<end])
            if pair.isEmpty { continue }
            guard let equals = pair.firstIndex(of: UInt8(ascii: "=")), let name = Self.tagName(pair[..<equals]) else {
                note("“\(Self.shown(pair))” is no tag and was left out (RFC 9989 §4.8)")
                continue
            }
            // RFC 6376 §3.2, whose syntax RFC 9989 §4.7 takes over: one tag twice makes the whole list invalid.
            guard !names.contains(name) else { throw DMARCRecordError(.repeatedTag(name)) }
            names.append(name)
            let value = Self.trimmed(pair[(equals + 1)...])
            switch name {
            case "p", "sp", "np":
                let policy = Self.word(value).flatMap(DMARCPolicy.init(rawValue:))
                if policy == nil {
                    hasUnusablePolicy = true
                    note("“\(name)=\(Self.shown(value))” is no policy (RFC 9989 §4.7)")
                }
                switch name {
                case "p":
                    hasPolicy = true
                    self.policy = policy ?? .none
                case "sp": subdomainPolicy = policy
                default: nonexistentSubdomainPolicy = policy
                }
            default: take(name, value)
            }
        }
        finish(hasPolicy: hasPolicy, hasUnusablePolicy: hasUnusablePolicy, namesFailureOptions: names.contains("fo"))
    }

    /// RFC 9989 §4.10.1: without a usable policy only the wish for reports counts.
    private mutating func finish(hasPolicy: Bool, hasUnusablePolicy: Bool, namesFailureOptions: Bool) {
        if !hasPolicy || hasUnusablePolicy {
            policy = .none
            subdomainPolicy = nil
            nonexistentSubdomainPolicy = nil
            isReducedToReporting = true
            isApplicable = !aggregateReportURIs.isEmpty
            note(
                isApplicable
                    ? "there is no usable policy; as reports are asked for, “p=none” applies (RFC 9989 §4.10.1)"
                    : "there is no usable policy and nowhere to send reports: the record applies to no message (RFC 9989 §4.10.1)")
        }
        if namesFailureOptions, failureReportURIs.isEmpty { note("“fo” has no meaning without “ruf” (RFC 9989 §4.7)") }
    }

    private mutating func take(_ name: String, _ value: ArraySlice<UInt8>) {
        // Those of reporting URIs are long, and nobody asks for them.
        var word: String? { Self.word(value) }
        var isUsable = true
        switch name {
        case "adkim":
            if let mode = word.flatMap(DMARCAlignmentMode.init(rawValue:)) { dkimAlignment = mode } else { isUsable = false }
        case "aspf":
            if let mode = word.flatMap(DMARCAlignmentMode.init(rawValue:)) { spfAlignment = mode } else { isUsable = false }
        case "psd":
            if let flag = word.flatMap(DMARCPublicSuffixFlag.init(rawValue:)) { publicSuffix = flag } else { isUsable = false }
        case "t":
            let flag = word
            isUsable = flag == "y" || flag == "n"
            isTesting = flag == "y"
        case "fo":
            if let options = word.flatMap(Self.failureOptions) { failureOptions = options } else { isUsable = false }
        case "rua": aggregateReportURIs = uris(name, value)
        case "ruf": failureReportURIs = uris(name, value)
        case "pct":
            note("“pct=\(Self.shown(value))” is retired: the policy applies to all messages, and “t=y” asks for a test (RFC 9989 Appendix A.6)")
        case "rf": note("“rf” is retired: failure reports have one form (RFC 9989 §9.3)")
        case "ri": note("“ri” is retired: reports come once a day at least (RFC 9989 §9.3)")
        default: note("the unknown tag “\(name)” was left out (RFC 9989 §4.7)")
        }
        if !isUsable { note("“\(name)=\(Self.shown(value))” is not valid; the default applies (RFC 9989 §4.8)") }
    }

    private mutating func uris(_ name: String, _ value: ArraySlice<UInt8>) -> [DMARCReportingURI] {
        var found: [DMARCReportingURI] = []
        for part in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            let part = Self.trimmed(part)
            guard let uri = DMARCReportingURI(parsing: String(decoding: part, as: UTF8.self)) else {
                note("“\(Self.shown(part))” in “\(name)” is no reporting URI (RFC 9989 §4.8)")
                continue
            }
            guard found.count < Self.reportingURILimit else {
                note("“\(name)” has more than \(Self.reportingURILimit) URIs; the others are left out")
                break
            }
            if uri.mailbox == nil { note("“\(Self.shown(part))” in “\(name)” is not “mailto:”; nothing is sent there (RFC 9989 §4.7)") }
            if uri.obsoleteSizeLimit != nil { note("the size behind “!” in “\(name)” is ignored (RFC 9989 §4.8)") }
            found.append(uri)
        }
        return found
    }

    /// `dmarc-fo`: 0 or 1 but not both, d and s, each once (RFC 9989 §4.8).
    private static func failureOptions(_ text: String) -> [DMARCFailureOption]? {
        var options: Set<DMARCFailureOption> = []
        for part in text.split(separator: ":", maxSplits: 4, omittingEmptySubsequences: false) {
            let letter = String(decoding: trimmed(Array(part.utf8)[...]), as: UTF8.self)
            guard let option = DMARCFailureOption(rawValue: letter), options.insert(option).inserted else { return nil }
        }
        if options.contains(.allFail), options.contains(.anyFails) { return nil }
        return options.sorted()
    }

    /// The policy for an author's domain that is a subdomain of the record's (RFC 9989 §4.10.1).
    /// - Parameter exists: whether the DNS knows the author's domain.
    public func policyForSubdomain(exists: Bool) -> (policy: DMARCPolicy, tag: DMARCPolicyTag) {
        if !exists, let nonexistentSubdomainPolicy { return (nonexistentSubdomainPolicy, .np) }
        if let subdomainPolicy { return (subdomainPolicy, .sp) }
        return (policy, .p)
    }

    /// Whether octets begin as a record of this version does, whatever follows: only these count as policy records of a name
    /// (RFC 9989 §4.10, step 2).
    static func beginsAsRecord(_ octets: [UInt8]) -> Bool {
        isVersion(octets.prefix(octetLimit).prefix { $0 != UInt8(ascii: ";") })
    }

    /// `"v" *WSP "=" *WSP %s"DMARC1"`; the record begins with it.
    private static func isVersion(_ pair: ArraySlice<UInt8>) -> Bool {
        guard let first = pair.first, first | 0x20 == UInt8(ascii: "v") else { return false }
        let rest = trimmed(pair.dropFirst())
        return rest.first == UInt8(ascii: "=") && trimmed(rest.dropFirst()).elementsEqual("DMARC1".utf8)
    }

    private mutating func note(_ text: String) {
        // One of a kind more helps nobody.
        if notes.count < 32 { notes.append(text) }
    }

    private static func trimmed(_ octets: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let start = octets.firstIndex { !TagList.isSpace($0) } ?? octets.endIndex
        let end = octets[start...].lastIndex { !TagList.isSpace($0) }.map { $0 + 1 } ?? start
        return octets[start..<end]
    }

    /// A name in lower case, as its case doesn't count (RFC 5234 §2.3); RFC 6376 §3.2 has digits and “_” in it, too.
    private static func tagName(_ octets: ArraySlice<UInt8>) -> String? {
        let name = String(decoding: trimmed(octets).prefix(64), as: UTF8.self).lowercased()
        guard let first = name.utf8.first, (0x61...0x7A).contains(first) else { return nil }
        let isName = name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "_") }
        return isName ? name : nil
    }

    /// A value in lower case (words of the grammar are alike in both cases); `nil` for other octets than the grammar's.
    private static func word(_ octets: ArraySlice<UInt8>) -> String? {
        guard octets.count <= 64, octets.allSatisfy({ (0x20...0x7E).contains($0) || $0 == 0x09 }) else { return nil }
        return String(decoding: octets, as: UTF8.self).lowercased()
    }

    /// At most 64 characters for a note, without controls.
    private static func shown(_ octets: ArraySlice<UInt8>) -> String {
        String(decoding: octets.prefix(64).map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }
}

/// Why a text is no DMARC Policy Record that can be applied.
public struct DMARCRecordError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// What is wrong.
    public enum Code: Hashable, Sendable, Codable {
        case notDMARC1
        case repeatedTag(String)
        case noUsablePolicy
        case tooManyTags
        case tooLong
    }

    /// What is wrong.
    public let code: Code

    init(_ code: Code) { self.code = code }

    public var description: String {
        switch code {
        case .notDMARC1: "the record doesn't begin with “v=DMARC1” (RFC 9989 §4.7)"
        case .repeatedTag(let name): "the tag “\(name)” comes twice (RFC 9989 §4.7, RFC 6376 §3.2)"
        case .noUsablePolicy:
            "there is no usable “p”, or “sp” or “np” is unusable, and no usable “rua” that would make it “p=none” (RFC 9989 §4.10.1)"
        case .tooManyTags: "the record has more than \(DMARCRecord.tagLimit) tags"
        case .tooLong: "the record has more than \(DMARCRecord.octetLimit) octets (RFC 1035 §3.2.1)"
        }
    }
}
