import IMAP
import Logging
import MailMessage
import MailStore
import MailTransport
import SASL

/// What stands behind the IMAP listeners: the accounts and mailboxes of this host.
struct MailboxBackend: IMAPBackend {
    let directory: any Directory
    let store: any MailStore
    let budget: MemoryBudget
    /// Octets of a message that is appended, at most.
    let messageSize: Int
    /// Messages larger than this are written to a file while they arrive, in octets.
    let memoryPerMessage: Int
    let logger: Logger

    func verifier(forUser username: String) async throws -> SCRAMVerifier? {
        guard let address = try? EmailAddress(parsing: username) else { return nil }
        return try await directory.verifier(forUser: address.lowercased)
    }

    func authenticationEnded(username: String, mechanism: String, succeeded: Bool, connection: IMAPConnectionInfo) async {
        // Whoever isn't logged in chooses this text.
        let name = String(username.unicodeScalars.prefix(254).map { $0.properties.generalCategory == .control ? "?" : Character($0) })
        logger.log(
            level: succeeded ? .info : .notice, succeeded ? "user logged in" : "login failed",
            metadata: [
                "user": "\(name)", "mechanism": "\(mechanism)", "net.peer": "\(connection.remoteAddress)",
                "imap.listener": "\(connection.listener)", "imap.connection": "\(connection.id)", "tls": "\(connection.tls?.version ?? "none")",
            ])
    }

    func openAccount(ofUser username: String, connection: IMAPConnectionInfo) async throws -> any IMAPAccount {
        MailboxAccount(user: try EmailAddress(parsing: username).lowercased, backend: self)
    }
}
