public import DNS

/// The name of an address in the DNS's reverse trees (RFC 1035 §3.5, RFC 3596 §2.5).
public enum ReverseName {
    /// `4.3.2.1.in-addr.arpa`, or 32 nibbles below `ip6.arpa`.
    public static func name(of address: IPAddress) -> DomainName {
        let reversed =
            switch address {
            case .v4(let value): "\(IPAddress.v4(value.byteSwapped)).in-addr.arpa"
            case .v6: dotted(address).split(separator: ".").reversed().joined(separator: ".") + ".ip6.arpa"
            }
        // Digits and dots of a fixed length: it always is a name.
        return (try? DomainName(reversed)) ?? .root
    }

    /// The address as dotted decimals, or as dotted nibbles: `%{i}` of RFC 7208 §7.3.
    static func dotted(_ address: IPAddress) -> String {
        if address.isIPv4 { return "\(address)" }
        return address.octets.flatMap { [$0 >> 4, $0 & 15] }.map { String($0, radix: 16, uppercase: true) }.joined(separator: ".")
    }
}

extension IPAddress {
    var isIPv4: Bool {
        switch self {
        case .v4: true
        case .v6: false
        }
    }
}

/// Whether a client's address has a name that leads back to it (`iprev`, RFC 8601 §3).
public struct ReverseNameEvaluation: Sendable {
    /// The words of RFC 8601 §2.7.3.
    public enum Result: String, Sendable, Hashable, Codable {
        case pass, fail, temperror, permerror
    }
    public var result: Result
    public var address: IPAddress
    /// Names that lead back to the address.
    public var names: [DomainName]
    /// Names that the address says it has, those beyond the limit left out.
    public var claimed: [DomainName]
    /// How many names beyond the limit it says it has; they aren't asked for.
    public var omittedNames: Int
    public var problem: String?
    public var lookups: [DNSLookup]
}

/// Asks for the names of a client and whether they lead back.
public struct ReverseNameChecker: Sendable {
    /// Names of an address that are asked for; more would let it make us work.
    public static let nameLimit = 10
    private let resolver: any Resolver

    public init(resolver: any Resolver) { self.resolver = resolver }

    /// Asks for the names of `address` and for theirs.
    public func check(_ address: IPAddress) async -> ReverseNameEvaluation {
        let address = address.unmapped
        let lookup = await DNSLookup(ReverseName.name(of: address), .ptr, using: resolver)
        var evaluation = ReverseNameEvaluation(result: .fail, address: address, names: [], claimed: [], omittedNames: 0, problem: nil, lookups: [lookup])
        switch lookup.result {
        case .failure(let error):
            evaluation.result = .temperror
            evaluation.problem = "\(error)"
            return evaluation
        case .success(let answer):
            for case .name(let name) in answer.records {
                if evaluation.claimed.count < Self.nameLimit { evaluation.claimed.append(name) } else { evaluation.omittedNames += 1 }
            }
            guard !evaluation.claimed.isEmpty else {
                evaluation.result = answer.outcome == .records ? .fail : .permerror
                evaluation.problem = "the address has no name"
                return evaluation
            }
        }
        var failure: DNSError?
        for name in evaluation.claimed {
            guard !Task.isCancelled else {
                evaluation.result = .temperror
                evaluation.problem = "the evaluation was cancelled"
                return evaluation
            }
            let forward = await DNSLookup(name, address.isIPv4 ? .a : .aaaa, using: resolver)
            evaluation.lookups.append(forward)
            switch forward.result {
            case .success(let answer):
                if answer.records.contains(.address(address)) { evaluation.names.append(name) }
            case .failure(let error): failure = error
            }
        }
        if !evaluation.names.isEmpty {
            evaluation.result = .pass
        } else if let failure {
            evaluation.result = .temperror
            evaluation.problem = "\(failure)"
        } else {
            evaluation.problem = "none of its names leads back to the address"
        }
        return evaluation
    }
}
