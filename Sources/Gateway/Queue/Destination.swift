import DNS
import MailMessage

/// Where a recipient's copy goes next. Its ``key`` is what the queue groups, limits and backs off by.
enum Destination: Hashable, Sendable {
    /// A mailbox of this host's store.
    case mailbox
    /// Another of our hosts, over mutual TLS.
    case link(Configuration.Role)
    /// The host that a route of the configuration names; the value is the domain under which it stands there.
    case route(String)
    /// The mail exchangers of a domain (RFC 5321 §5.1).
    case exchangers(DomainName)
    /// An address literal (RFC 5321 §4.1.3): this very address.
    case literal(IPAddress)

    /// The text that stands in the spool: `mailbox`, `link:store`, `route:kartapuce.test`, `mx:gmail.test`, `ip:192.0.2.1`.
    var key: String {
        switch self {
        case .mailbox: "mailbox"
        case .link(let role): "link:\(role.rawValue)"
        case .route(let name): "route:\(name)"
        case .exchangers(let domain): "mx:\(domain.ascii)"
        case .literal(let address): "ip:\(address)"
        }
    }

    /// Reads a key; `nil` where it isn't one (a spool of a later version).
    init?(key: String) {
        if key == "mailbox" {
            self = .mailbox
            return
        }
        guard let colon = key.firstIndex(of: ":") else { return nil }
        let value = String(key[key.index(after: colon)...])
        switch key[..<colon] {
        case "link":
            guard let role = Configuration.Role(rawValue: value) else { return nil }
            self = .link(role)
        case "route":
            guard value == Configuration.everyOtherDomain || (try? DomainName(value)) != nil else { return nil }
            self = .route(value)
        case "mx":
            guard let domain = try? DomainName(value) else { return nil }
            self = .exchangers(domain)
        case "ip":
            guard let address = IPAddress(value) else { return nil }
            self = .literal(address)
        default:
            return nil
        }
    }
}
