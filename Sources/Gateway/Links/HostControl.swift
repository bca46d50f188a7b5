import DNS
import FoundationEssentials
import MailMessage
import MailStore
import SASL

/// What this host answers to control requests, as far as its roles have something to answer.
struct HostControl: ControlService {
    let journeys: any JourneyLog
    /// The edge's digests; `nil` on other hosts.
    let digests: RecipientDigestFile?
    /// The accounts; `nil` where there are none.
    let accounts: AccountDirectory?
    /// The DNS; `nil` on hosts that have no way to it.
    var resolver: (any Resolver)?
    /// Sends reports by HTTPS; `nil` on hosts that have no way to the internet's servers.
    var poster: (any ReportPoster)?

    func answer(_ request: ControlRequest, roles: Set<String>) async -> ControlResponse {
        do {
            return try await perform(request)
        } catch {
            return ControlResponse(status: 500, body: Array("\(error)".utf8))
        }
    }

    private func perform(_ request: ControlRequest) async throws -> ControlResponse {
        switch request {
        case .setRecipients(let bytes):
            guard let digests else { return .unknown }
            return try digests.replace(with: bytes) ? .done : .malformed
        case .recipientsVersion:
            guard let digests else { return .unknown }
            return ControlResponse(status: 200, body: Array(digests.version.utf8))
        case .journeys(let sequence):
            let records = try await journeys.ownRecords(after: sequence, limit: 1000)
            return ControlResponse(status: 200, body: Array(try JSONEncoder().encode(records.map(TravellingRecord.init))))
        case .verifier(let user):
            guard let accounts else { return .unknown }
            guard let verifier = try await accounts.verifier(forUser: user.lowercased) else { return .unknown }
            return ControlResponse(status: 200, body: Array(verifier.encoded.utf8))
        case .knows(let address):
            guard let accounts else { return .unknown }
            return .answer(try await accounts.knows(address))
        case .mayUser(let user, let address):
            guard let accounts else { return .unknown }
            return .answer(try await accounts.mayUser(user, sendAs: address))
        case .texts(let name):
            // The store has no way to the DNS, and gets none by this: it asks who agrees to get reports (RFC 9990 §4).
            guard let resolver, name.labels.contains("_dmarc") else { return .unknown }
            return ControlResponse(status: 200, body: Array(try JSONEncoder().encode(await TravellingTexts(name, using: resolver))))
        case .postReport(let report, let uri):
            guard let poster else { return .unknown }
            return ControlResponse(status: 200, body: Array(try JSONEncoder().encode(await poster.post(report, to: uri))))
        }
    }
}
