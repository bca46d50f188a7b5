public import MailMessage

/// What a message itself says about TLS (RFC 8689 §3, §4.1).
public enum TLSTag: String, Hashable, Sendable, Codable, CaseIterable {
    /// It says nothing.
    case none
    /// REQUIRETLS: every hop must authenticate the next one and hand the demand on.
    case required
    /// `TLS-Required: No`: it is to arrive whatever a domain's policies say.
    case optional
}

/// The header field TLS-Required (RFC 8689 §3).
public enum TLSRequiredField {
    /// What the fields say together.
    public enum Reading: Hashable, Sendable {
        /// There is none.
        case absent
        /// There is one, and it says No.
        case no
        /// There are several, or one that says something else: it counts as absent.
        case invalid(String)
    }

    /// Reads the values of all such fields of a message, each after its colon. `No` may be written in any case (RFC 5234 §2.3).
    public static func read(_ values: [[UInt8]]) -> Reading {
        guard let value = values.first else { return .absent }
        guard values.count == 1 else { return .invalid("there are \(values.count) fields TLS-Required, and only one may stand there (RFC 8689 §3)") }
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D || $0 == 0x0A }
        var word = value[...].drop(while: isBlank)
        while let last = word.last, isBlank(last) { word.removeLast() }
        guard word.count == 2, word.map({ $0 | 0x20 }) == Array("no".utf8) else {
            return .invalid("“\(TransportRecordFields.word(word))” isn't “No” (RFC 8689 §3)")
        }
        return .no
    }

    /// Reads a message's header.
    public static func read(in header: HeaderSection) -> Reading { read(header.all(named: "TLS-Required").map(\.unfoldedOctets)) }
}

extension TLSTag {
    /// The tag that a message gets on receipt (RFC 8689 §4.1): the parameter REQUIRETLS of MAIL outranks the field.
    public init(hasParameter: Bool, field: TLSRequiredField.Reading) {
        if hasParameter {
            self = .required
        } else {
            self = field == .no ? .optional : .none
        }
    }
}

/// Why a message with REQUIRETLS can't be sent to a host (RFC 8689 §4.2.1).
public enum RequireTLSFailure: String, Hashable, Sendable, Codable, CaseIterable {
    /// TLS can't be negotiated.
    case noTLS
    /// Nobody vouches for the host's name: neither DNSSEC for the MX record, nor a policy of MTA-STS.
    case hostNotAuthentic
    /// The host's certificate isn't authentic.
    case certificateNotAuthentic
    /// The host doesn't offer REQUIRETLS after STARTTLS.
    case notOffered

    /// The code of the notice (RFC 8689 §4.2.1): 5.7.30 where the extension is missing, else 5.7.10.
    public var enhancedStatus: EnhancedStatusCode { self == .notOffered ? .init(5, 7, 30) : .init(5, 7, 10) }

    /// What the notice says.
    public var text: String {
        switch self {
        case .noTLS: "Encryption needed: the host offers no TLS"
        case .hostNotAuthentic: "Encryption needed: neither DNSSEC nor MTA-STS vouches for the host's name"
        case .certificateNotAuthentic: "Encryption needed: the host's certificate isn't authentic"
        case .notOffered: "REQUIRETLS support required"
        }
    }
}
