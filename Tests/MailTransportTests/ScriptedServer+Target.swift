import DNS
import MailTesting
import MailTransport

extension ScriptedServer {
    /// The server as the target of a delivery.
    func target(_ security: SMTPTarget.Security = .plain, hostname: String = "mx.gmail.test", role: String? = nil) -> SMTPTarget {
        SMTPTarget(hostname: hostname, addresses: [.v4(0x7F00_0001)], port: port, security: security, peerRole: role)
    }
}
