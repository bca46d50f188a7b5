import DNS

/// What the server knows of the account's right to a name (RFC 8555 §7.1.4).
struct ACMEAuthorization: Hashable, Sendable {
    /// RFC 8555 §7.1.6.
    enum Status: String, Hashable, Sendable {
        case pending
        case valid
        case invalid
        case deactivated
        case expired
        case revoked
    }

    let status: Status
    let name: CertificateName
    let challenges: [Challenge]

    /// One way to prove the right (RFC 8555 §8).
    struct Challenge: Hashable, Sendable {
        /// RFC 8555 §7.1.6.
        enum Status: String, Hashable, Sendable {
            case pending
            case processing
            case valid
            case invalid
        }

        let kind: String
        let url: String
        let status: Status
        let token: String?
        let error: ACMEProblem?
    }

    init(_ value: JSONValue, limits: ACMELimits) throws(ACMEError) {
        let members = try ACMEMembers(value, "an authorization", limits: limits)
        status = try members.status(Status.self)
        let identifier = members.members["identifier"]?.object ?? [:]
        guard identifier["type"]?.string == "dns", let domain = try? DomainName(identifier["value"]?.string ?? "") else {
            throw ACMEError(.protocolViolation, "an authorization's identifier is no DNS name (RFC 8555 §7.1.4)")
        }
        name = CertificateName(domain: domain, isWildcard: members.members["wildcard"]?.bool ?? false)
        var challenges: [Challenge] = []
        for value in try members.array("challenges", limit: 32) {
            let members = try ACMEMembers(value, "a challenge for \(name)", limits: limits)
            challenges.append(
                Challenge(
                    kind: try members.string("type"), url: try members.url("url"), status: try members.status(Challenge.Status.self),
                    token: members.members["token"]?.string, error: members.members["error"].map { ACMEProblem($0, status: nil) }))
        }
        self.challenges = challenges
    }
}
