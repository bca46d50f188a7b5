import Crypto
import FoundationEssentials
import Logging
import MailStore
import ServiceLifecycle

/// Tells the edge which recipients are valid, as keyed digests, whenever the accounts change and whenever the edge has lost them.
struct RecipientPublisher: Service {
    let accounts: any AccountStore
    let edge: ControlClient
    let subaddressSeparator: String
    let interval: Duration
    let logger: Logger

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            var published = ""
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

    /// Publishes if the edge doesn't have what is valid now.
    /// - Returns: the version that the edge has.
    private func publish(after published: String) async throws -> String {
        let current = "\(try await accounts.accountsVersion())"
        let known = try await edge.send(.recipientsVersion)
        if current == published, known.status == 200, known.body == Array(published.utf8) { return published }
        let all = try await accounts.allAddresses()
        // A new key each time: digests of two versions can't be compared.
        let set = DigestSet(
            key: SymmetricKey(size: .bits256), version: current, addresses: all.addresses, catchAllDomains: all.catchAllDomains,
            subaddressSeparator: subaddressSeparator)
        let response = try await edge.send(.setRecipients(set.serialized()))
        guard response.status == 204 else {
            throw DirectoryUnavailable(description: "the edge answered \(response.status) to the recipients' digests")
        }
        logger.info("recipients published to the edge", metadata: ["count": "\(all.addresses.count)", "version": "\(current)"])
        return current
    }
}
