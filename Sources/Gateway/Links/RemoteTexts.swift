import DNS
import FoundationEssentials

/// What the DNS said of the texts of a name, as it travels between hosts.
struct TravellingTexts: Codable, Sendable {
    var texts: [[UInt8]] = []
    var outcome: DNSAnswer.Outcome = .noData
    var security: DNSSECStatus = .insecure
    /// Where there is no answer.
    var failure: DNSError.Code?

    init(_ name: DomainName, using resolver: any Resolver) async {
        do throws(DNSError) {
            let answer = try await resolver.lookup(name, .txt)
            outcome = answer.outcome
            security = answer.security
            for case .txt(let text) in answer.records { texts.append(text) }
        } catch {
            failure = error.code
        }
    }
}

/// Asks another host of ours for texts in the DNS: the store has no way to the internet of its own.
struct RemoteTexts: Resolver {
    let host: ControlClient

    func lookup(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer {
        func failure(_ code: DNSError.Code, _ reason: String) -> DNSError { DNSError(code, name: name.ascii, type: type, reason: reason) }
        guard type == .txt else { throw failure(.invalidQuestion, "\(host.peer.host) is asked for texts only") }
        let texts: TravellingTexts
        do {
            let response = try await host.send(.texts(name))
            guard response.status == 200 else { throw DirectoryUnavailable(description: "\(host.peer.host) answered \(response.status)") }
            texts = try JSONDecoder().decode(TravellingTexts.self, from: Data(response.body))
        } catch {
            throw failure(.serverFailure, "\(error)")
        }
        if let code = texts.failure { throw failure(code, "as \(host.peer.host) says") }
        return DNSAnswer(name: name, type: type, outcome: texts.outcome, records: texts.texts.map { .txt($0) }, security: texts.security)
    }
}
