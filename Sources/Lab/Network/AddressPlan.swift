/// Where each host of the laboratory lives: the three zones of the picture as networks of the loopback interface.
///
/// All of 127.0.0.0/8 belongs to loopback on Linux, so every host gets an address of its own and the real ports (25, 53, 465, 993) without any set-up, and
/// nothing leaves the machine. The second octet separates laboratories that run at the same time.
public struct AddressPlan: Sendable, Hashable {
    /// The second octet of every address, 1 to 254.
    public let network: Int

    /// - Parameter network: the second octet, 1 to 254; anything else gives the default network.
    public init(network: Int = AddressPlan.defaultNetwork) {
        self.network = (1...254).contains(network) ? network : AddressPlan.defaultNetwork
    }

    /// The network that `postern lab run` takes unless told otherwise: 127.77.0.0/16.
    public static let defaultNetwork = 77

    // The internal zone.
    public var msa: String { "127.\(network).1.10" }
    public var internalsmtp: String { "127.\(network).1.20" }
    public var imap: String { "127.\(network).1.30" }
    /// The laptops of Kartapuce's people; clients that play them connect from here.
    public var bobsLaptop: String { "127.\(network).1.101" }
    public var jacksLaptop: String { "127.\(network).1.102" }

    // The DMZ.
    public var smtp: String { "127.\(network).2.10" }
    public var mail: String { "127.\(network).2.20" }
    /// "To be avoided", says the picture.
    public var webmail: String { "127.\(network).2.30" }
    public var nsresolve: String { "127.\(network).2.53" }

    // The internet.
    public var rootNameServer: String { "127.\(network).3.1" }
    public var testNameServer: String { "127.\(network).3.2" }
    public var leafNameServer: String { "127.\(network).3.3" }
    public var provider: String { "127.\(network).3.10" }
    /// Tom's laptop, in his provider's network.
    public var tomsLaptop: String { "127.\(network).3.103" }
    /// The attacker: outside of everybody's network.
    public var attacker: String { "127.\(network).4.66" }

    /// The provider's own customers' network.
    public var providerNetwork: String { "127.\(network).3.0/24" }
}

/// The names and ports of the laboratory, the same in every network.
public enum LabNames {
    public static let domain = "kartapuce.test"
    public static let providerDomain = "gmail.test"
    public static let providerHost = "mail.gmail.test"
    /// A zone whose signatures don't lead to its parent: what a validating resolver must refuse.
    public static let bogusDomain = "bogus.test"
    public static let linkPort = 2525
    public static let controlPort = 8443
}
