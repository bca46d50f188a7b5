import DNS
import Synchronization

/// A name that is known to be one.
func name(_ text: String) throws -> DomainName { text == "." ? .root : try DomainName(text) }

extension ZoneResolver {
    mutating func addAddress(_ text: String, _ address: String) throws {
        guard let parsed = IPAddress(address) else { throw DomainNameProblem(text: address) }
        if case .v4 = parsed { add(try name(text), .a, .address(parsed)) } else { add(try name(text), .aaaa, .address(parsed)) }
    }

    mutating func addExchanger(_ domain: String, _ preference: UInt16, _ host: String) throws {
        add(try name(domain), .mx, .mx(preference: preference, exchange: try name(host)))
    }
}

/// A test that is written wrongly.
struct DomainNameProblem: Error { var text: String }

/// Writes down what is asked.
final class RecordingResolver: Resolver {
    private let base: ZoneResolver
    private let questions = Mutex<[String]>([])

    init(_ base: ZoneResolver) { self.base = base }

    var asked: [String] { questions.withLock { $0 } }

    func lookup(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer {
        questions.withLock { $0.append("\(name) \(type)") }
        return try await base.lookup(name, type)
    }
}

/// The same numbers for a seed each time (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
