public import DNS

/// The words for a result (draft-brand-indicators-for-message-identification-12 §7.7).
public enum BIMIResult: String, Sendable, Hashable, Codable {
    /// The indicator may be shown.
    case pass
    /// There is no record.
    case none
    /// The record, the indicator or the evidence is wrong.
    case fail
    /// The DNS had no answer.
    case temperror
    /// The domain takes no part.
    case declined
    /// Nobody looked.
    case skipped
}

/// Whether evidence vouches for the indicator: `policy.authority` (§7.7).
public enum BIMIAuthority: String, Sendable, Hashable, Codable {
    /// It does.
    case pass
    /// There is evidence, and it doesn't.
    case fail
    /// There is none, or nobody looked at it.
    case none
}

/// What came of BIMI for a message, and why.
public struct BIMIEvaluation: Sendable {
    /// The word for Authentication-Results.
    public internal(set) var result: BIMIResult
    /// Why it is this one, for the comment; `nil` for `pass`.
    public internal(set) var reason: String?
    /// What DMARC lacked; `nil` where BIMI was for this message.
    public internal(set) var refusal: BIMIPrecondition.Refusal?
    /// The record's search; `nil` where nobody looked.
    public internal(set) var discovery: BIMIDiscovery.Finding?
    /// The record.
    public internal(set) var record: BIMIRecord?
    /// Whether evidence vouches for the indicator.
    public internal(set) var authority: BIMIAuthority = .none
    /// What came of the evidence; `nil` where nobody looked at it.
    public internal(set) var mark: BIMIMarkReport?
    /// What came of the indicator; `nil` where nobody looked at it.
    public internal(set) var indicator: BIMIIndicatorReport?
    /// What was fetched, in order.
    public internal(set) var fetches: [BIMIFetch] = []
    /// Whether the indicator at `l=` was compared with that of the evidence, and found equal; `nil` where it wasn't compared.
    public internal(set) var locationMatchesEvidence: Bool?

    init(_ result: BIMIResult, reason: String? = nil) {
        self.result = result
        self.reason = reason
    }

    /// Nobody waited for the end.
    public static var late: BIMIEvaluation { BIMIEvaluation(.temperror, reason: "it took too long") }

    /// `header.d`: the domain of the record that was found.
    public var domain: DomainName? { record == nil ? nil : discovery?.domain }
    /// `header.selector`: the selector of the record that was found.
    public var selector: BIMISelector? { record == nil ? nil : discovery?.selector }

    /// `policy.indicator-hash`: the last eight digits of the SVG's SHA-256 (§7.7). Only together with ``indicatorField``.
    public var indicatorHash: String? { result == .pass ? indicator.map { String($0.digest.suffix(8)) } : nil }

    /// The whole field BIMI-Location with its line end; `nil` unless the result is `pass` (§7.9).
    public var locationField: String? {
        guard result == .pass, let record else { return nil }
        var tags: [String] = []
        // "If both a= and l= tags are included then the MTA MUST perform checks": without these only the one that was used.
        if let location = record.location, authority != .pass || locationMatchesEvidence == true { tags.append("l=\(location.text)") }
        if authority == .pass, let evidence = record.evidenceLocation { tags.append("a=\(evidence.text)") }
        return "BIMI-Location: v=BIMI1;\r\n " + tags.map { BIMIFields.folded($0) }.joined(separator: ";\r\n ") + "\r\n"
    }

    /// The whole field BIMI-Indicator with its line end: the SVG, unpacked, in Base64; `nil` unless the result is `pass` (§7.10).
    public var indicatorField: String? {
        guard result == .pass, let indicator, indicator.isAccepted else { return nil }
        return BIMIFields.indicator(indicator.svg)
    }

    /// The whole field BIMI-Logo-Preference with its line end; `nil` unless the result is `pass`, and where the record has another word (§7.11).
    public var preferenceField: String? {
        guard result == .pass, let preference = record?.avatarPreference else { return nil }
        return "BIMI-Logo-Preference: avp=\(preference.rawValue);\r\n"
    }
}

/// Something that was fetched, or found in the cache.
public struct BIMIFetch: Sendable, Hashable {
    /// From where.
    public var location: BIMILocation
    /// How many octets came; `nil` where it failed.
    public var octets: Int?
    /// Why it failed.
    public var error: BIMIFetchError?
    /// Whether it was in the cache.
    public var isFromCache: Bool
}
