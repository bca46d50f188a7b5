import DNS
import MailAuthentication
import MailMessage

/// Takes fields out of messages from outside that only this organisation may write: Authentication-Results in its name (RFC 8601 §5), capsules, and
/// indicators (draft-brand-indicators-for-message-identification-12 §5.6).
struct HeaderBorder: Sendable {
    private let border: AuthenticationResultsBorder

    /// - Parameter reservedNames: further fields that only we may write.
    init(_ configuration: Configuration, reservedNames: [String] = []) {
        let names = [configuration.hostname, configuration.authentication.authservID?.ascii].compactMap { $0 }
        border = AuthenticationResultsBorder(
            identifiers: names, ownDomains: configuration.domains, reservedNames: [AuthenticationCapsule.fieldName] + BIMIFields.ownNames + reservedNames)
    }

    /// Such fields, in the order of the message.
    func removals(in header: HeaderSection) -> [AuthenticationResultsBorder.Removal] { border.removals(in: header) }

    /// The octets of such fields, and their names with the reasons.
    func forgeries(in header: HeaderSection) -> (ranges: [Range<Int>], names: [String]) {
        let removals = removals(in: header)
        return (removals.map(\.range), removals.map { "\($0.name) (\($0.reason.rawValue))" })
    }
}
