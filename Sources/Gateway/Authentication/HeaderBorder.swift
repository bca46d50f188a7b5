import DNS
import MailAuthentication
import MailMessage

/// Takes fields out of messages from outside that only this organisation may write: Authentication-Results in its name (RFC 8601 §5), and capsules.
struct HeaderBorder: Sendable {
    private let border: AuthenticationResultsBorder

    init(_ configuration: Configuration) {
        let names = [configuration.hostname, configuration.authentication.authservID?.ascii].compactMap { $0 }
        border = AuthenticationResultsBorder(
            identifiers: names, ownDomains: configuration.domains, reservedNames: [AuthenticationCapsule.fieldName])
    }

    /// The octets of such fields, and their names with the reasons.
    func forgeries(in header: HeaderSection) -> (ranges: [Range<Int>], names: [String]) {
        let removals = border.removals(in: header)
        return (removals.map(\.range), removals.map { "\($0.name) (\($0.reason.rawValue))" })
    }
}
