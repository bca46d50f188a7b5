/// Where each host of the laboratory lives: the three zones of the picture as networks, and the place where its processes run.
///
/// There are two worlds. On loopback every host gets an address of 127.0.0.0/8, which all belongs to this machine, and the real ports (25, 53, 465, 993) without
/// any set-up. In namespaces every host is a network stack of its own, with two firewalls between the zones, and its processes are started inside of it.
public struct AddressPlan: Sendable, Hashable {
    /// The second octet of every address on loopback, 1 to 254: it separates laboratories that run at the same time.
    public let network: Int
    /// The folder with a file for each network namespace; `nil` for the world on loopback.
    public let namespaces: String?

    /// The world on loopback.
    ///
    /// - Parameter network: the second octet, 1 to 254; anything else gives the default network.
    public init(network: Int = AddressPlan.defaultNetwork) {
        self.network = (1...254).contains(network) ? network : AddressPlan.defaultNetwork
        namespaces = nil
    }

    /// The world of namespaces, as ``NamespaceWorld`` makes them.
    init(namespaces: String) {
        network = AddressPlan.defaultNetwork
        self.namespaces = namespaces
    }

    /// The network that `postern lab run` takes unless told otherwise: 127.77.0.0/16.
    public static let defaultNetwork = 77

    // The internal zone.
    public var msa: String { address(internal: 10) }
    public var internalsmtp: String { address(internal: 20) }
    public var imap: String { address(internal: 30) }
    /// The laptops of Kartapuce's people; clients that play them connect from here.
    public var bobsLaptop: String { namespaces == nil ? address(internal: 101) : Topology.laptops.v4(101) }
    public var jacksLaptop: String { namespaces == nil ? address(internal: 102) : Topology.laptops.v4(102) }

    // The DMZ, as the internet sees it, and as the other hosts of the house do.
    public var smtp: String { address(dmz: 10) }
    public var mail: String { address(dmz: 20) }
    /// "To be avoided", says the picture.
    public var webmail: String { address(dmz: 30) }
    public var smtpInside: String { address(dmzInside: 10) }
    public var mailInside: String { address(dmzInside: 20) }
    public var nsresolve: String { address(dmzInside: 53) }
    public var nsresolveOutside: String { address(dmz: 53) }

    // The internet.
    public var rootNameServer: String { address(internet: 1) }
    public var testNameServer: String { address(internet: 2) }
    public var leafNameServer: String { address(internet: 3) }
    public var provider: String { address(internet: 10) }
    /// The web server with the provider's policy of MTA-STS.
    public var policyHost: String { provider }
    /// The web server with the certificates that the public authority has taken back.
    public var revocationHost: String { address(internet: 5) }
    /// Tom's laptop, in his provider's network.
    public var tomsLaptop: String { address(internet: 103) }
    /// The attacker: outside of everybody's network.
    public var attacker: String { namespaces == nil ? "127.\(network).4.66" : Topology.internet.v4(166) }
    /// Where the organisations' name server is while the attacker sits at its address.
    var hiddenNameServer: String { address(internet: 4) }
    /// Where the attacker sits between the relay and an exchanger; on loopback only.
    func intercepted(_ number: Int) -> String { "127.\(network).5.\(number)" }
    /// The policy host of a domain that has one for itself; on loopback only.
    func ownPolicyHost(_ number: Int) -> String { "127.\(network).6.\(number)" }
    /// The resolver that the provider asks. On loopback it is Kartapuce's, which in a world with firewalls answers nobody outside.
    public var providersResolver: String { namespaces == nil ? nsresolve : "127.0.0.1" }

    /// The provider's own customers' network.
    public var providerNetwork: String { namespaces == nil ? "127.\(network).3.0/24" : "198.51.100.0/25" }
    /// Everybody's networks, which are private or for documentation only.
    var networks: [String] { namespaces == nil ? ["127.\(network).0.0/16"] : ["198.51.100.0/24", "203.0.113.0/24"] }
    /// The network of those who may ask `nsresolve`.
    var resolverClients: String { namespaces == nil ? "127.0.0.0/8" : "10.77.2.0/24" }

    private func address(internal number: Int) -> String { namespaces == nil ? "127.\(network).1.\(number)" : Topology.servers.v4(number) }
    private func address(dmz number: Int) -> String { namespaces == nil ? "127.\(network).2.\(number)" : Topology.dmzOutside.v4(number) }
    private func address(dmzInside number: Int) -> String { namespaces == nil ? "127.\(network).2.\(number)" : Topology.dmzInside.v4(number) }
    private func address(internet number: Int) -> String { namespaces == nil ? "127.\(network).3.\(number)" : Topology.internet.v4(number) }

    /// What is put before a command line so that the program runs on the host with this address; nothing on loopback.
    public func launcher(at address: String) -> [String] {
        guard let namespaces else { return [] }
        guard let host = Topology.hosts.first(where: { $0.addresses.contains(address) }) else { return [] }
        // No fork: the process that is started is the one that is ended later.
        return ["nsenter", "--net=\(namespaces)/\(host.name)", "--"]
    }
}

/// The names and ports of the laboratory, the same in every network.
public enum LabNames {
    public static let domain = "kartapuce.test"
    public static let providerDomain = "gmail.test"
    public static let providerHost = "mail.gmail.test"
    /// A zone whose signatures don't lead to its parent: what a validating resolver must refuse.
    public static let bogusDomain = "bogus.test"
    /// A domain of the provider's that isn't signed; it is there where attacks are played.
    static let unsignedDomain = "unsigned.test"
    /// The attacker's own, where attacks are played.
    static let attackersDomain = "attacker.test"
    /// Where the public authority publishes, and what it is called in CAA records.
    public static let authorityDomain = "authority.test"
    public static let linkPort = 2525
    public static let controlPort = 8443
}
