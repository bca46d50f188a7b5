import MailMessage
import SASL

/// The directory of a submission host: it asks the store, so that accounts live in one place.
struct RemoteDirectory: Directory {
    let store: ControlClient

    func verifier(forUser user: EmailAddress) async throws -> SCRAMVerifier? {
        let response = try await store.send(.verifier(user))
        switch response.status {
        case 200:
            guard let verifier = SCRAMVerifier(String(decoding: response.body, as: UTF8.self)) else {
                throw DirectoryUnavailable(description: "the store's answer is not a verifier")
            }
            return verifier
        case 404: return nil
        default: throw DirectoryUnavailable(description: "the store answered \(response.status)")
        }
    }

    func knows(_ address: EmailAddress) async throws -> Bool { try await ask(.knows(address)) }

    func mayUser(_ user: EmailAddress, sendAs address: EmailAddress) async throws -> Bool {
        if user.lowercased == address.lowercased { return true }
        return try await ask(.mayUser(user, sendAs: address))
    }

    private func ask(_ request: ControlRequest) async throws -> Bool {
        let response = try await store.send(request)
        guard response.status == 200 else { throw DirectoryUnavailable(description: "the store answered \(response.status)") }
        return response.body == Array("yes".utf8)
    }
}
