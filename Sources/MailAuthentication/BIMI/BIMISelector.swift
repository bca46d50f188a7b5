/// The name below which a domain keeps one of its records (draft-brand-indicators-for-message-identification-12 §4.4): `brand` in
/// `brand._bimi.kartapuce.test`.
public struct BIMISelector: Sendable, Hashable, CustomStringConvertible {
    /// The selector in lower case.
    public let name: String

    /// The one that counts where a message names none.
    public static let `default` = BIMISelector(unchecked: "default")

    private init(unchecked name: String) { self.name = name }

    /// Takes a selector: labels of letters, digits and hyphens with periods between them (RFC 5321 §4.1.2, `sub-domain`).
    /// - Throws: ``BIMISelectorError/invalidSelector(_:)``.
    public init(_ text: some StringProtocol) throws(BIMISelectorError) {
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        guard text.utf8.count <= 253,
            labels.allSatisfy({
                (1...63).contains($0.utf8.count) && $0.utf8.allSatisfy(BIMILocalPart.isSelectorOctet) && !$0.hasPrefix("-") && !$0.hasSuffix("-")
            })
        else { throw .invalidSelector(String(text.prefix(64))) }
        name = text.lowercased()
    }

    /// Reads the value of a field BIMI-Selector, folded or not (§5.1).
    ///
    ///     BIMI-Selector: v=BIMI1; s=brand
    /// - Throws: ``BIMISelectorError``. Whoever has no selector uses ``default``: a field that can't be read is ignored (Appendix A.5).
    public init(fieldValue octets: some Collection<UInt8>) throws(BIMISelectorError) {
        guard octets.count <= 1024 else { throw .tooLong }
        let tags: TagList
        do {
            tags = try TagList(parsing: octets)
        } catch {
            throw .notATagList(error)
        }
        guard let first = tags.tags.first, first.name == "v", first.value == "BIMI1" else { throw .noVersion }
        guard let selector = tags["s"] else { throw .noSelector }
        try self.init(selector)
    }

    /// Takes the selector of a message.
    /// - Parameters:
    ///   - fieldValues: the values of its fields BIMI-Selector.
    ///   - isSigned: whether the signature that DMARC aligned covers the field; otherwise anybody may have added it (§5.5).
    /// - Returns: the selector, and why it isn't the field's.
    public static func choose(fieldValues: [[UInt8]], isSigned: Bool) -> (selector: BIMISelector, ignored: BIMISelectorError?) {
        guard let value = fieldValues.first else { return (.default, nil) }
        guard fieldValues.count == 1 else { return (.default, .severalFields) }
        guard isSigned else { return (.default, .notSigned) }
        do throws(BIMISelectorError) {
            return (try BIMISelector(fieldValue: value), nil)
        } catch {
            return (.default, error)
        }
    }

    public var description: String { name }
}

/// Why a field BIMI-Selector doesn't count.
public enum BIMISelectorError: Error, Hashable, Sendable, CustomStringConvertible {
    /// It has more than 1024 octets.
    case tooLong
    /// It is no list of tags.
    case notATagList(TagListError)
    /// It doesn't begin with `v=BIMI1`.
    case noVersion
    /// `s=` is missing.
    case noSelector
    /// `s=` isn't made of labels.
    case invalidSelector(String)
    /// There is more than one.
    case severalFields
    /// The aligned signature doesn't cover it.
    case notSigned

    public var description: String {
        let (what, section) =
            switch self {
            case .tooLong: ("BIMI-Selector has more than 1024 octets", "5.1")
            case .notATagList(let error): ("\(error)", "5.1")
            case .noVersion: ("BIMI-Selector doesn't begin with “v=BIMI1”", "5.1")
            case .noSelector: ("BIMI-Selector has no “s=”", "5.1")
            case .invalidSelector(let text): ("“\(text)” is no selector", "4.4")
            case .severalFields: ("there is more than one BIMI-Selector", "5.1")
            case .notSigned: ("no aligned DKIM signature covers BIMI-Selector", "5.5")
            }
        return "\(what) (draft-brand-indicators-for-message-identification-12 §\(section))"
    }
}
