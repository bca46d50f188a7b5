/// What DMARC must have said of a message before anybody looks for an indicator
/// (draft-brand-indicators-for-message-identification-12 §7.1). Plain values: whoever evaluates DMARC fills them in.
public struct BIMIPrecondition: Sendable, Hashable {
    /// What a domain asks for.
    public enum Request: String, Sendable, Hashable, Codable {
        case none, quarantine, reject
    }

    /// A DMARC record, as far as it counts here.
    public struct Policy: Sendable, Hashable {
        /// `p=`.
        public var domain: Request
        /// `sp=`; `nil` where the record has none.
        public var subdomains: Request?
        /// `pct=` of records of the older kind (RFC 7489 §6.3); `nil` where the record has none.
        public var percentage: Int?
        /// `t=y`: the domain is testing, and asks for one step less than it says (RFC 9989 §4.7).
        public var isTesting: Bool

        /// Makes a policy.
        public init(domain: Request, subdomains: Request? = nil, percentage: Int? = nil, isTesting: Bool = false) {
            self.domain = domain
            self.subdomains = subdomains
            self.percentage = percentage
            self.isTesting = isTesting
        }
    }

    /// Whose record breaks a rule.
    public enum Owner: String, Sendable, Hashable, Codable {
        case authorDomain, organizationalDomain
    }

    /// Why BIMI isn't for a message.
    public enum Refusal: Error, Sendable, Hashable, CustomStringConvertible {
        /// There is no field From, or more than one.
        case fromFields(Int)
        /// From has no address, or more than one.
        case fromAddresses(Int)
        /// DMARC's result isn't `pass`, and nothing else vouches for the message.
        case notAuthenticated
        /// What passed isn't aligned with the author's domain.
        case notAligned
        /// There is no DMARC record.
        case noPolicy
        /// `p=none`.
        case policyNone(Owner)
        /// `sp=none`.
        case subdomainPolicyNone(Owner)
        /// `p=quarantine` for a part of the mail only.
        case percentage(Owner, Int)
        /// `t=y` with a policy that is none in test.
        case testing(Owner)

        public var description: String {
            let draft = "draft-brand-indicators-for-message-identification-12 §7.1"
            return switch self {
            case .fromFields(let count): "there are \(count) From fields instead of one (\(draft), 1)"
            case .fromAddresses(let count): "From has \(count) addresses instead of one (\(draft), 1)"
            case .notAuthenticated: "message failed DMARC (\(draft), 6)"
            case .notAligned: "nothing that passed is aligned with the author's domain (\(draft), 6)"
            case .noPolicy: "the author's domain has no DMARC record (\(draft), 7)"
            case .policyNone(let owner): "\(Self.name(owner)) has the DMARC policy p=none (\(draft), 7)"
            case .subdomainPolicyNone(let owner): "\(Self.name(owner)) has the DMARC policy sp=none (\(draft), 8)"
            case .percentage(let owner, let percentage): "\(Self.name(owner)) has the DMARC policy p=quarantine with pct=\(percentage) (\(draft), 9)"
            case .testing(let owner): "\(Self.name(owner)) has a DMARC policy of quarantine in test (t=y; RFC 9989 §4.7)"
            }
        }

        private static func name(_ owner: Owner) -> String {
            switch owner {
            case .authorDomain: "the author's domain"
            case .organizationalDomain: "the organizational domain"
            }
        }
    }

    /// How many fields From the message has.
    public var fromFieldCount: Int
    /// How many addresses they have.
    public var fromAddressCount: Int
    /// Whether DMARC's result is `pass`, or what the receiver takes in its place (§7.1, 5).
    public var isAuthenticated: Bool
    /// Whether what passed is aligned; part of `pass`, said apart for those that take something in its place.
    public var isAligned: Bool
    /// The record that counts for the author's domain.
    public var authorPolicy: Policy?
    /// The record of the organizational domain; `nil` where it is the same one.
    public var organizationalPolicy: Policy?

    /// Makes a precondition.
    public init(
        fromFieldCount: Int = 1, fromAddressCount: Int = 1, isAuthenticated: Bool, isAligned: Bool = true, authorPolicy: Policy?,
        organizationalPolicy: Policy? = nil
    ) {
        self.fromFieldCount = fromFieldCount
        self.fromAddressCount = fromAddressCount
        self.isAuthenticated = isAuthenticated
        self.isAligned = isAligned
        self.authorPolicy = authorPolicy
        self.organizationalPolicy = organizationalPolicy
    }

    /// Why BIMI isn't for this message; `nil` where it is.
    public var refusal: Refusal? {
        guard fromFieldCount == 1 else { return .fromFields(fromFieldCount) }
        guard fromAddressCount == 1 else { return .fromAddresses(fromAddressCount) }
        guard isAuthenticated else { return .notAuthenticated }
        guard isAligned else { return .notAligned }
        guard let authorPolicy else { return .noPolicy }
        return Self.refusal(authorPolicy, .authorDomain) ?? organizationalPolicy.flatMap { Self.refusal($0, .organizationalDomain) }
    }

    private static func refusal(_ policy: Policy, _ owner: Owner) -> Refusal? {
        if policy.domain == .none { return .policyNone(owner) }
        if policy.subdomains == Request.none { return .subdomainPolicyNone(owner) }
        // RFC 9989 §4.7: quarantine in test is none; reject in test is quarantine still.
        if policy.isTesting, policy.domain == .quarantine || policy.subdomains == .quarantine { return .testing(owner) }
        if policy.domain == .quarantine, let percentage = policy.percentage, percentage != 100 { return .percentage(owner, percentage) }
        return nil
    }
}
