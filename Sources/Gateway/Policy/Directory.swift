import MailMessage
import MailStore
import SASL

/// What a role knows of the organisation's users and addresses: much inside, next to nothing at the edge.
protocol Directory: Sendable {
    /// The verifier of a user's password; `nil` for an unknown user.
    /// - Throws: when nobody can tell now.
    func verifier(forUser user: EmailAddress) async throws -> SCRAMVerifier?
    /// Whether mail for an own address can be delivered.
    func knows(_ address: EmailAddress) async throws -> Bool
    /// The same where nobody need be asked; `nil`: ask.
    func knowsNow(_ address: EmailAddress) -> Bool?
    /// Whether a user may send as an address: it leads to the user and to nobody else.
    func mayUser(_ user: EmailAddress, sendAs address: EmailAddress) async throws -> Bool
}

extension Directory {
    func knowsNow(_ address: EmailAddress) -> Bool? { nil }
}

/// Nobody can tell now: the host that knows isn't there.
struct DirectoryUnavailable: Error, CustomStringConvertible {
    let description: String
}

/// The directory of the host that has the accounts.
struct AccountDirectory: Directory {
    let accounts: any AccountStore
    /// Addresses without a mailbox whose mail is taken all the same.
    var further: Set<EmailAddress> = []

    func verifier(forUser user: EmailAddress) async throws -> SCRAMVerifier? { try await accounts.verifier(forUser: user) }

    func knows(_ address: EmailAddress) async throws -> Bool {
        if further.contains(address.lowercased) { return true }
        return try await !accounts.resolve(address).isEmpty
    }

    func mayUser(_ user: EmailAddress, sendAs address: EmailAddress) async throws -> Bool {
        if address.lowercased == user.lowercased { return true }
        let targets = try await accounts.resolve(address)
        return !targets.isEmpty && targets.allSatisfy { $0.target == .user(user.lowercased) }
    }
}

/// The directory of the edge: keyed digests of valid recipients and nothing else. It answers no question about passwords.
final class EdgeDirectory: Directory {
    private let digests: RecipientDigestFile

    init(digests: RecipientDigestFile) { self.digests = digests }

    func verifier(forUser user: EmailAddress) async throws -> SCRAMVerifier? {
        throw DirectoryUnavailable(description: "the edge holds no passwords")
    }

    func knowsNow(_ address: EmailAddress) -> Bool? { digests.contains(address) }

    func knows(_ address: EmailAddress) async throws -> Bool {
        guard let answer = digests.contains(address) else {
            throw DirectoryUnavailable(description: "the inside has not told yet which recipients are valid")
        }
        return answer
    }

    func mayUser(_ user: EmailAddress, sendAs address: EmailAddress) async throws -> Bool { false }
}
