/// What a certificate authority offers, and where (RFC 8555 §7.1.1).
public struct ACMEDirectory: Hashable, Sendable {
    let newNonce: String
    let newAccount: String
    let newOrder: String
    let revokeCertificate: String?
    let keyChange: String?
    /// Where it says when certificates are to be renewed (RFC 9773 §3); not every authority does.
    let renewalInfo: String?
    /// The terms that whoever makes an account must agree to.
    public let termsOfService: String?
    /// The names by which CAA records call the authority (RFC 8659 §4.2).
    public let caaIdentities: [String]
    /// Whether an account needs a customer's number and secret (RFC 8555 §7.3.4).
    public let isExternalAccountRequired: Bool
    /// Whether it says when certificates are to be renewed.
    public var offersRenewalInformation: Bool { renewalInfo != nil }

    init(_ value: JSONValue, limits: ACMELimits) throws(ACMEError) {
        let members = try ACMEMembers(value, "the directory", limits: limits)
        newNonce = try members.url("newNonce")
        newAccount = try members.url("newAccount")
        newOrder = try members.url("newOrder")
        revokeCertificate = try members.optionalURL("revokeCert")
        keyChange = try members.optionalURL("keyChange")
        renewalInfo = try members.optionalURL("renewalInfo")
        let meta = members.members["meta"]?.object ?? [:]
        termsOfService = meta["termsOfService"]?.string
        caaIdentities = (meta["caaIdentities"]?.array ?? []).prefix(32).compactMap { $0.string?.lowercased() }
        isExternalAccountRequired = meta["externalAccountRequired"]?.bool ?? false
    }
}
