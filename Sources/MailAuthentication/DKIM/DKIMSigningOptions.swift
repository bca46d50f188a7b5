import MailMessage

/// How messages are signed.
public struct DKIMSigningOptions: Sendable, Hashable {
    /// How the header fields may change on their way (`c=`).
    public var headerCanonicalization: DKIMCanonicalization = .relaxed
    /// How the body may change on its way (`c=`).
    public var bodyCanonicalization: DKIMCanonicalization = .relaxed
    /// The names for `h=`, in order and as they are to be written; `nil` for those of ``defaultFields`` that are there, and one more of each of
    /// ``oversignedFields``.
    public var signedFields: [String]?
    /// Those of ``oversignedFields`` that whoever sends the message on adds where they are missing: they aren't signed as missing then.
    public var fieldsAddedLater: Set<String> = []
    /// Whether `t=` is written.
    public var includesTimestamp: Bool = true
    /// For how many seconds the signature is good (`x=`); `nil` for ever.
    public var lifetimeSeconds: UInt64?
    /// Whether the header may hold UTF-8 (RFC 6532).
    public var allowsInternationalizedHeader: Bool = false
    /// Whether mail is signed whose From is of a domain that the signer doesn't speak for.
    public var allowsForeignAuthors: Bool = false

    /// The defaults.
    public init() {}

    /// Fields that are signed where they are there (RFC 6376 §5.4.1, RFC 8058 §4, Autocrypt).
    public static let defaultFields = [
        "From", "Reply-To", "Subject", "Date", "To", "Cc", "Message-ID", "In-Reply-To", "References", "Sender", "MIME-Version", "Content-Type",
        "Content-Transfer-Encoding", "Content-Disposition", "Content-ID", "Content-Description", "Content-Language", "Resent-Date", "Resent-From",
        "Resent-To", "Resent-Cc", "Resent-Message-ID", "List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe",
        "List-Post", "List-Owner", "List-Archive", "Autocrypt", "Feedback-ID", "Require-Recipient-Valid-Since", "OpenPGP", "Importance", "Priority",
    ]

    /// Fields of which one more is signed than is there: another one that is added later breaks the signature (RFC 6376 §8.15).
    public static let oversignedFields = [
        "From", "Reply-To", "Subject", "Date", "To", "Cc", "Message-ID", "In-Reply-To", "References", "MIME-Version", "Content-Type",
        "Content-Transfer-Encoding",
    ]

    /// Fields that are added, changed or removed on the way, and so are never signed (RFC 6376 §5.4.1, §3.7, RFC 8617 §4.1.2).
    public static func isTraceField(_ name: String) -> Bool {
        let name = name.lowercased()
        return ["received", "return-path", "authentication-results", "dkim-signature", "delivered-to", "bcc", "resent-bcc"].contains(name)
            || name.hasPrefix("arc-")
    }

    /// The value of `h=` for a header.
    func fields(for fields: DKIMFieldIndex) throws(DKIMSigningRefusal) -> [String] {
        let names: [String]
        if let signedFields {
            names = signedFields
        } else {
            let oversigned = Set(Self.oversignedFields)
            names = Self.defaultFields.flatMap { name in
                let count = fields[name.lowercased()].count
                let isOpen = !oversigned.contains(name) || count == 0 && fieldsAddedLater.contains(name)
                return Array(repeating: name, count: count + (isOpen ? 0 : 1))
            }
        }
        if let trace = names.first(where: Self.isTraceField) { throw .traceField(trace) }
        guard names.contains(where: { $0.lowercased() == "from" }) else { throw .fromNotSigned }
        guard names.count <= DKIMSignatureHeader.signedFieldLimit else { throw .tooManyFields(limit: DKIMSignatureHeader.signedFieldLimit) }
        return names
    }
}
