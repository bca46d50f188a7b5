/// How far an order is.
struct OrderProgress: Sendable {
    var url = ""
    var finalize = ""
    var certificate = ""
    /// The authorizations that are looked at, one after the other.
    var authorizations: [String] = []
    var index = 0
    /// What has to be set up, and the URL of each challenge with that of its authorization.
    var tasks: [ACMEChallengeTask] = []
    var challenges: [(challenge: String, authorization: String, name: CertificateName)] = []
    /// The names that the server asked a proof for or knows one of.
    var seen: Set<CertificateName> = []
    var pollCount = 0
    /// Whether the server wouldn't have it that this order replaces a certificate.
    var isReplacementRefused = false
    /// Whether the challenges are being answered, and no longer collected.
    var isAnswering = false

    func authorizationURL() throws(ACMEError) -> String {
        if isAnswering {
            guard index < challenges.count else { throw ACMEError(.driverFailed, "no authorization left") }
            return challenges[index].authorization
        }
        guard index < authorizations.count else { throw ACMEError(.driverFailed, "no authorization left") }
        return authorizations[index]
    }

    func challengeURL() throws(ACMEError) -> String {
        guard index < challenges.count else { throw ACMEError(.driverFailed, "no challenge left") }
        return challenges[index].challenge
    }
}
