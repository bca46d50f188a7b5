public import X509

/// What is to be done at a certificate authority.
public enum ACMEJob: Sendable {
    /// Makes the account, or finds the one that the key has already, and brings its contacts up to date (RFC 8555 §7.3).
    case account
    /// Orders a certificate.
    case order(ACMEOrderRequest)
    /// Gives the account another key (RFC 8555 §7.3.5).
    case changeKey(AccountKey)
    /// Revokes a certificate, signed by the account (RFC 8555 §7.6).
    case revoke(CertificateChain, reason: RevocationReason)
    /// Asks when a certificate is to be renewed, by its ``RenewalInformation/identifier(of:)`` (RFC 9773 §4).
    case renewalInformation(String)
    /// Closes the account for ever (RFC 8555 §7.3.6).
    case deactivateAccount
    /// Reads the directory only.
    case directory
}

/// Why a certificate is revoked (RFC 5280 §5.3.1): the reasons that a subscriber has.
public enum RevocationReason: Int, Hashable, Sendable, Codable {
    case unspecified = 0
    case keyCompromise = 1
    case affiliationChanged = 3
    case superseded = 4
    case cessationOfOperation = 5
}

/// A certificate that is ordered.
public struct ACMEOrderRequest: Sendable {
    /// The names, each once.
    public var names: [CertificateName]
    /// The certificate's key.
    public var key: Certificate.PrivateKey
    /// How the right to the names is proven.
    public var challenge: ACMEChallengeKind
    /// The ``RenewalInformation/identifier(of:)`` of the certificate that is replaced (RFC 9773 §5).
    public var replaces: String?

    /// Puts an order together.
    public init(names: [CertificateName], key: Certificate.PrivateKey, challenge: ACMEChallengeKind, replaces: String? = nil) {
        self.names = names
        self.key = key
        self.challenge = challenge
        self.replaces = replaces
    }
}

/// Who the account is.
public struct ACMEAccount: Sendable {
    /// Its key.
    public var key: AccountKey
    /// Its URL, once the server gave one.
    public var url: String?
    /// URLs by which the authority can write, such as `mailto:postmaster@kartapuce.test`.
    public var contacts: [String]
    /// Whether its owner agreed to the terms of service.
    public var isAgreedToTerms: Bool
    /// What the authority gave its customer, where it wants it.
    public var external: ExternalAccount?

    /// Puts an account together.
    public init(key: AccountKey, url: String? = nil, contacts: [String] = [], isAgreedToTerms: Bool = false, external: ExternalAccount? = nil) {
        self.key = key
        self.url = url
        self.contacts = contacts
        self.isAgreedToTerms = isAgreedToTerms
        self.external = external
    }
}

/// What the driver does next.
public enum ACMEStep: Sendable {
    /// Send the request, and hand its answer to ``ACMEClient/receive(_:at:)`` or its failure to ``ACMEClient/transportFailed(_:)``.
    case send(ACMERequest)
    /// Wait, then call ``ACMEClient/resume()``.
    case wait(seconds: Int)
    /// Set all of these up, then call ``ACMEClient/provisioned()``. They stay until the job is finished or has failed.
    case provision([ACMEChallengeTask])
    /// The job is done.
    case finished(ACMEOutcome)
    /// The job isn't done, and won't be.
    case failed(ACMEError)
}

/// What came of a job.
public enum ACMEOutcome: Sendable {
    /// The account's URL, which is kept.
    case account(url: String)
    /// The certificate.
    case certificate(CertificateChain)
    /// The account has the new key.
    case keyChanged
    /// The certificate is revoked, or was already.
    case revoked
    /// When to renew.
    case renewalInformation(RenewalInformation)
    /// The account is closed.
    case deactivated
    /// What the authority offers.
    case directory(ACMEDirectory)
}
