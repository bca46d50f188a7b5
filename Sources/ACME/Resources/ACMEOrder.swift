/// An order as the server tells of it (RFC 8555 §7.1.3).
struct ACMEOrder: Hashable, Sendable {
    /// How far it is (RFC 8555 §7.1.6).
    enum Status: String, Hashable, Sendable {
        case pending
        case ready
        case processing
        case valid
        case invalid
    }

    let status: Status
    let names: [CertificateName]
    let authorizations: [String]
    let finalize: String
    let certificate: String?
    let error: ACMEProblem?

    init(_ value: JSONValue, limits: ACMELimits) throws(ACMEError) {
        let members = try ACMEMembers(value, "the order", limits: limits)
        status = try members.status(Status.self)
        var names: [CertificateName] = []
        for identifier in try members.array("identifiers", limit: limits.nameLimit) {
            guard identifier.object?["type"]?.string == "dns", let text = identifier.object?["value"]?.string, let name = try? CertificateName(text) else {
                throw ACMEError(.protocolViolation, "an identifier of the order is no DNS name (RFC 8555 §7.1.3)")
            }
            names.append(name)
        }
        self.names = names
        var authorizations: [String] = []
        for url in try members.array("authorizations", limit: limits.nameLimit) {
            authorizations.append(try ACMEMembers.url(url.string ?? "", "an authorization of the order", limits: limits))
        }
        self.authorizations = authorizations
        finalize = try members.url("finalize")
        certificate = try members.optionalURL("certificate")
        error = members.members["error"].map { ACMEProblem($0, status: nil) }
    }
}
