/// Which picture a domain would like to see where a person has one of their own (draft-brand-indicators-for-message-identification-12 §4.3).
public enum BIMIAvatarPreference: String, Sendable, Hashable, Codable {
    /// The domain's indicator; what counts where the record says nothing.
    case brand
    /// The person's own picture.
    case personal
}

/// An Assertion Record: where a domain keeps its indicator and the evidence for it
/// (draft-brand-indicators-for-message-identification-12 §4.3).
///
///     default._bimi.kartapuce.test. TXT "v=BIMI1; l=https://logos.kartapuce.test/logo.svg; a=https://logos.kartapuce.test/mark.pem"
public struct BIMIRecord: Sendable, Hashable {
    /// The octets of the longest record that is read; the draft has no figure, and two URLs of the longest form fit.
    public static let octetLimit = 8192
    /// The most prefixes that `lps=` may have; the draft has no figure.
    public static let prefixLimit = 64

    /// `l=`: where the indicator is; `nil` where the value is empty.
    public var location: BIMILocation?
    /// `a=`: where the evidence is; `nil` where the value is empty or the tag is missing.
    public var evidenceLocation: BIMILocation?
    /// `lps=`: the beginnings of local-parts that are selectors of their own, in lower case. Empty: all of them are; `nil`: none is.
    public var localPartPrefixes: [String]?
    /// `avp=`; `nil` where the value is none of those that the draft knows, which is ignored and never passed on.
    public var avatarPreference: BIMIAvatarPreference?
    /// The names of the tags that nobody knows, which are ignored.
    public var unknownTags: [String]

    /// Whether the domain says that it takes no part: `l=` and `a=` are empty (§4.3.1).
    public var isDeclination: Bool { location == nil && evidenceLocation == nil }

    /// Whether a text claims to be a record of this version; everything else at the name is passed over
    /// (draft-brand-indicators-for-message-identification-12 §7.2, steps 4 and 7).
    public static func isRecord(_ octets: some Collection<UInt8>) -> Bool {
        func isBlank(_ octet: UInt8) -> Bool { octet == 0x20 || octet == 0x09 }
        var rest = octets[...]
        guard rest.popFirst() == UInt8(ascii: "v") else { return false }
        rest = rest.drop(while: isBlank)
        guard rest.popFirst() == UInt8(ascii: "=") else { return false }
        rest = rest.drop(while: isBlank)
        for octet in "BIMI1".utf8 {
            guard rest.popFirst() == octet else { return false }
        }
        rest = rest.drop(while: isBlank)
        return rest.isEmpty || rest.first == UInt8(ascii: ";")
    }

    /// Reads a record.
    ///
    /// Nothing is mended: not the case of letters, not the order, not a location that is none (§4.3).
    /// - Throws: ``BIMIRecordError``, which names the rule.
    public init(parsing octets: some Collection<UInt8>) throws(BIMIRecordError) {
        guard octets.count <= Self.octetLimit else { throw .tooLong(octets: octets.count) }
        guard Self.isRecord(octets) else { throw .notARecord }
        let tags: TagList
        do {
            tags = try TagList(parsing: octets)
        } catch {
            if case .repeatedName(let name) = error.problem { throw .repeatedTag(name) }
            throw .notATagList(error)
        }
        guard let location = tags["l"] else { throw .missingLocation }
        self.location = try Self.location(location, tag: "l")
        if let location = self.location { try Self.checkSuffix(of: location) }
        evidenceLocation = try Self.location(tags["a"] ?? "", tag: "a")
        localPartPrefixes = try tags["lps"].map(Self.prefixes)
        avatarPreference = tags["avp"].map { BIMIAvatarPreference(rawValue: $0) } ?? .brand
        let known: Set<String> = ["v", "l", "a", "lps", "avp"]
        unknownTags = tags.tags.map(\.name).filter { !known.contains($0) }
    }

    /// Reads a record from text.
    public init(parsing text: some StringProtocol) throws(BIMIRecordError) { try self.init(parsing: Array(text.utf8)) }

    /// §4.3: an empty value, or one single URI.
    private static func location(_ value: String, tag: String) throws(BIMIRecordError) -> BIMILocation? {
        guard !value.isEmpty else { return nil }
        // "commas within a URI (ASCII ; 0x2C) MUST be encoded": older drafts had lists here.
        guard !value.utf8.contains(UInt8(ascii: ",")) else { throw .severalLocations(tag: tag) }
        do {
            return try BIMILocation(value)
        } catch {
            throw .invalidLocation(tag: tag, error)
        }
    }

    /// §4.3.2: a URI that ends like a picture of another kind makes the record wrong; one without such an end may lead to an SVG.
    private static func checkSuffix(of location: BIMILocation) throws(BIMIRecordError) {
        let path = location.target.prefix { $0 != "?" }
        guard let dot = path.lastIndex(of: "."), let slash = path.lastIndex(of: "/"), dot > slash else { return }
        let suffix = path[path.index(after: dot)...].lowercased()
        if otherFormats.contains(suffix) { throw .unsupportedFormat(suffix) }
    }

    private static let otherFormats: Set<String> = [
        "ai", "apng", "avif", "bmp", "cdr", "emf", "eps", "gif", "heic", "heif", "ico", "jfif", "jp2", "jpe", "jpeg", "jpg", "jxl", "pdf", "png",
        "ps", "psd", "tif", "tiff", "webp", "wmf",
    ]

    /// §4.3: prefixes of letters, digits and hyphens, separated by commas.
    private static func prefixes(_ value: String) throws(BIMIRecordError) -> [String] {
        guard !value.isEmpty else { return [] }
        var prefixes: [String] = []
        for part in value.split(separator: ",", omittingEmptySubsequences: false) {
            let octets = Array(part.utf8.drop(while: TagList.isSpace))
            let prefix = String(decoding: octets[..<((octets.lastIndex { !TagList.isSpace($0) } ?? -1) + 1)], as: UTF8.self)
            guard (1...63).contains(prefix.utf8.count), prefix.utf8.allSatisfy(BIMILocalPart.isSelectorOctet) else {
                throw .invalidPrefix(prefix)
            }
            guard prefixes.count < prefixLimit else { throw .tooManyPrefixes }
            prefixes.append(prefix.lowercased())
        }
        return prefixes
    }
}

/// Why a text is no Assertion Record.
public enum BIMIRecordError: Error, Hashable, Sendable, CustomStringConvertible {
    /// It doesn't begin with `v=BIMI1`, and is to be passed over.
    case notARecord
    /// It is longer than ``BIMIRecord/octetLimit``.
    case tooLong(octets: Int)
    /// It is no list of tags.
    case notATagList(TagListError)
    /// A tag comes twice: `l=` has one value.
    case repeatedTag(String)
    /// `l=` is missing.
    case missingLocation
    /// A comma stands in a location: a list, or a comma that should have been encoded.
    case severalLocations(tag: String)
    /// A location is none that may be fetched.
    case invalidLocation(tag: String, BIMILocationError)
    /// `l=` ends like a picture of another kind than SVG.
    case unsupportedFormat(String)
    /// `lps=` has something else than letters, digits and hyphens.
    case invalidPrefix(String)
    /// `lps=` has more than ``BIMIRecord/prefixLimit`` prefixes.
    case tooManyPrefixes

    public var description: String {
        let (what, section): (String, String)
        switch self {
        case .notARecord: (what, section) = ("the text doesn't begin with “v=BIMI1”", "4.3")
        case .tooLong(let octets): (what, section) = ("the record has \(octets) octets, more than \(BIMIRecord.octetLimit)", "4.3")
        case .notATagList(let error): (what, section) = ("\(error)", "4.3")
        case .repeatedTag(let name): (what, section) = ("the tag “\(name)” comes twice", "4.3")
        case .missingLocation: (what, section) = ("the tag “l” is missing", "4.3")
        case .severalLocations(let tag): (what, section) = ("“\(tag)=” has a comma, and must be one single URI", "4.3")
        // The location's own error names its rule.
        case .invalidLocation(let tag, let error): return "“\(tag)=”: \(error)"
        case .unsupportedFormat(let suffix): (what, section) = ("“l=” leads to a “.\(suffix)”, and only SVG is a format for indicators", "4.3.2")
        case .invalidPrefix(let prefix): (what, section) = ("“lps=” has the prefix “\(prefix)”, which is no text of 1 to 63 letters, digits and hyphens", "4.3")
        case .tooManyPrefixes: (what, section) = ("“lps=” has more than \(BIMIRecord.prefixLimit) prefixes", "4.3")
        }
        return "\(what) (draft-brand-indicators-for-message-identification-12 §\(section))"
    }
}
