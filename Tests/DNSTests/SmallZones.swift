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
