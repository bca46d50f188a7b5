import Crypto
import FoundationEssentials
import Logging
import MailMessage
import MailStore
import ServiceLifecycle

/// Tells the edge which recipients are valid, as keyed digests, whenever the accounts change and whenever the edge has lost them.
struct RecipientPublisher: Service {
    let accounts: any AccountStore
    /// Addresses without a mailbox whose mail is taken all the same.
    var further: Set<EmailAddress> = []
    let edge: ControlClient
    let interval: Duration
    let logger: Logger

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            var published = Published()
            while !Task.isCancelled {
                do {
                    published = try await publish(after: published)
                } catch {
                    logger.debug("the edge can't be told of recipients now", metadata: ["error": "\(error)"])
                }
                try await Task.sleep(for: interval)
            }
        }
    }

    /// What the edge was told last.
    private struct Published: Sendable {
        var accounts: Int64 = -1
        var digests = ""
    }

    /// Publishes if the accounts changed since, or the edge has other digests than it was told.
    private func publish(after published: Published) async throws -> Published {
        let version = try await accounts.accountsVersion()
        let known = try await edge.send(.recipientsVersion)
        if version == published.accounts, known.status == 200, known.body == Array(published.digests.utf8) { return published }
        let all = try await accounts.allAddresses()
        // A new key each time: digests of two editions can't be compared.
        // The octets are copied while they are borrowed.
        let key = unsafe SymmetricKey(size: .bits256).withUnsafeBytes { unsafe Array($0) }
        let octets = DigestSet(key: key, addresses: all.addresses + further, catchAllDomains: all.catchAllDomains).serialized
        let response = try await edge.send(.setRecipients(octets))
        guard response.status == 204 else {
            throw DirectoryUnavailable(description: "the edge answered \(response.status) to the recipients' digests")
        }
        logger.info("recipients published to the edge", metadata: ["count": "\(all.addresses.count)"])
        return Published(accounts: version, digests: RecipientDigestFile.version(of: octets))
    }
}
