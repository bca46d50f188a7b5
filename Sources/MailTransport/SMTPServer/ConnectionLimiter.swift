public import DNS
import Synchronization

/// How many connections are open, in total and from one network: an IPv4 /24 or an IPv6 /64, which is what one customer has.
public final class ConnectionLimiter: Sendable {
    private struct Counts {
        var total = 0
        var networks: [IPNetwork: Int] = [:]
    }

    private struct Limits {
        var total: Int
        var perNetwork: Int
        var trusted: [IPNetwork]
    }

    private let limits: Mutex<Limits>
    private let counts = Mutex(Counts())

    /// Makes a limiter; networks in `trusted` have the total limit only.
    public init(total: Int, perNetwork: Int, trusted: [IPNetwork] = []) {
        limits = Mutex(Limits(total: total, perNetwork: perNetwork, trusted: trusted))
    }

    /// Sets other limits; connections that are open stay.
    public func change(total: Int, perNetwork: Int, trusted: [IPNetwork]) {
        limits.withLock { $0 = Limits(total: total, perNetwork: perNetwork, trusted: trusted) }
    }

    /// Counts a connection, or refuses it. Whoever was admitted must be released once.
    public func admit(_ address: IPAddress) -> Bool {
        let network = Self.network(of: address)
        let limits = limits.withLock { $0 }
        let isTrusted = limits.trusted.contains { $0.covers(address) }
        return counts.withLock { counts in
            let here = counts.networks[network, default: 0]
            guard counts.total < limits.total, isTrusted || here < limits.perNetwork else { return false }
            counts.total += 1
            counts.networks[network] = here + 1
            return true
        }
    }

    /// A connection that was admitted has ended.
    public func release(_ address: IPAddress) {
        let network = Self.network(of: address)
        counts.withLock { counts in
            counts.total -= 1
            let here = counts.networks[network, default: 0] - 1
            counts.networks[network] = here > 0 ? here : nil
        }
    }

    /// Connections that are open.
    public var openConnections: Int { counts.withLock { $0.total } }

    private static func network(of address: IPAddress) -> IPNetwork {
        switch address {
        case .v4(let value): IPNetwork(address: .v4(value & 0xffff_ff00), prefixLength: 24)
        case .v6(let high, _): IPNetwork(address: .v6(high, 0), prefixLength: 64)
        }
    }
}

extension IPNetwork {
    /// Whether an address lies within the network (RFC 4632 §3.1).
    func covers(_ candidate: IPAddress) -> Bool {
        func mask(_ bits: Int) -> UInt64 { bits <= 0 ? 0 : bits >= 64 ? .max : .max << UInt64(64 - bits) }
        switch (address, candidate) {
        case (.v4(let own), .v4(let other)): return (UInt64(own ^ other) << 32) & mask(min(prefixLength, 32)) == 0
        case (.v6(let high, let low), .v6(let otherHigh, let otherLow)):
            return (high ^ otherHigh) & mask(prefixLength) == 0 && (low ^ otherLow) & mask(prefixLength - 64) == 0
        case (.v4, .v6), (.v6, .v4): return false
        }
    }
}
