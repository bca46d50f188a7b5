/// An organisation of the small internet with a mail server that isn't Postern: a domain whose server offers STARTTLS, and one below it whose server doesn't.
public struct Neighbour: Sendable, Hashable {
    /// What its server is, such as `exim`; the domain is made of it.
    public let name: String
    /// The server's address, with STARTTLS.
    public let address: String
    /// The same server's address without STARTTLS.
    public let plainAddress: String

    /// - Parameter number: which neighbour it is, 1 to 9: the addresses follow from it.
    public init(name: String, number: Int, plan: AddressPlan) {
        self.name = name
        address = "127.\(plan.network).3.\(100 + 10 * number)"
        plainAddress = "127.\(plan.network).3.\(101 + 10 * number)"
    }

    public var domain: String { "\(name).test" }
    public var host: String { "mail.\(domain)" }
    public var plainDomain: String { "plain.\(domain)" }
    /// A domain that the server takes mail for and that no DNS knows: what arrives there came by a configured route.
    public var routedDomain: String { "via-\(name).test" }
    /// Every domain that its server takes mail for.
    public var domains: [String] { [domain, plainDomain, routedDomain] }

    /// The people who have a mailbox there. Mail for `grey` is put off while ``PeerFolder/greylists`` says so.
    public static let users = ["alice", "dave", "grey", "tom"]

    /// Its zone, without SOA and NS.
    var records: [String] {
        [
            "@ IN MX 10 mail", "mail IN A \(address)", "plain IN MX 10 mail.plain", "mail.plain IN A \(plainAddress)",
            "@ IN TXT \"v=spf1 ip4:\(address) ip4:\(plainAddress) -all\"", "plain IN TXT \"v=spf1 ip4:\(address) ip4:\(plainAddress) -all\"",
        ]
    }
}
