import DNS
import MailMessage
import SMTP

/// Decides where a recipient's copy goes next: the arrows of the zones, as a function of this host's roles and peers.
struct Router: Sendable {
    private let roles: Set<Configuration.Role>
    private let peers: Set<Configuration.Role>
    private let domains: Set<DomainName>
    private let routes: [String: Configuration.Route]

    init(configuration: Configuration) {
        roles = configuration.roles
        peers = Set(configuration.peers.keys)
        domains = Set(configuration.domains)
        routes = configuration.routes
    }

    /// A destination with the reason for it, as the journey tells it.
    struct Decision: Sendable {
        var destination: Destination
        var reason: String
    }

    /// Whether the address belongs to the organisation.
    func isOwn(_ address: EmailAddress) -> Bool {
        guard let domain = try? DomainName(address.domain) else { return false }
        return domains.contains(domain)
    }

    /// Whether mail for the address is taken without asking whether it is known: a route says that the host behind it knows.
    func takesEveryRecipient(of address: EmailAddress) -> Bool {
        guard let domain = try? DomainName(address.domain) else { return false }
        return routes[domain.ascii]?.recipients == .any
    }

    /// Where an address is sent from here, or the reply that refuses it.
    func route(_ address: EmailAddress) -> Result<Decision, Refusal> {
        if address.domain.hasPrefix("[") { return routeLiteral(address) }
        guard let domain = try? DomainName(address.domain) else {
            return .failure(Refusal(SMTPReply(550, .init(5, 1, 2), "The domain of <\(address)> is not a valid name")))
        }
        return domains.contains(domain) ? routeInside(domain) : routeOutside(.exchangers(domain), name: domain.ascii)
    }

    private func routeInside(_ domain: DomainName) -> Result<Decision, Refusal> {
        if let route = routes[domain.ascii] {
            return .success(Decision(destination: .route(domain.ascii), reason: "\(domain.ascii) is ours; its route leads to \(route.host)"))
        }
        if roles.contains(.store) {
            return .success(Decision(destination: .mailbox, reason: "\(domain.ascii) is ours and its mailboxes are here"))
        }
        if peers.contains(.store), !roles.isDisjoint(with: [.mx, .submission, .internal]) {
            return .success(Decision(destination: .link(.store), reason: "\(domain.ascii) is ours; its mailboxes are on the store"))
        }
        // A relay opens no connection into the internal zone: what comes back to our own users takes the way of all inbound mail.
        if roles.contains(.relay), peers.contains(.mx) {
            return .success(Decision(destination: .link(.mx), reason: "\(domain.ascii) is ours; it is reached through the inbound MTA"))
        }
        return .failure(Refusal(SMTPReply(451, .init(4, 3, 5), "No way to the mailboxes of \(domain.ascii) is configured here")))
    }

    private func routeOutside(_ destination: Destination, name: String) -> Result<Decision, Refusal> {
        if roles.contains(.relay) {
            let every = Configuration.everyOtherDomain
            if let key = routes[name] == nil ? (routes[every] == nil ? nil : every) : name, let route = routes[key] {
                return .success(Decision(destination: .route(key), reason: "\(name) is outside; its route leads to \(route.host)"))
            }
            return .success(Decision(destination: destination, reason: "\(name) is outside; this host sends to the internet"))
        }
        if peers.contains(.relay), !roles.isDisjoint(with: [.submission, .internal, .store]) {
            return .success(Decision(destination: .link(.relay), reason: "\(name) is outside; the relay in the DMZ sends to the internet"))
        }
        return .failure(Refusal(SMTPReply(550, .init(5, 7, 1), "Relaying to \(name) is not allowed")))
    }

    private func routeLiteral(_ address: EmailAddress) -> Result<Decision, Refusal> {
        let inner = address.domain.dropFirst().dropLast()
        let text = inner.lowercased().hasPrefix("ipv6:") ? inner.dropFirst(5) : inner
        guard let literal = IPAddress(String(text)) else {
            return .failure(Refusal(SMTPReply(550, .init(5, 1, 2), "The address literal of <\(address)> is not an address")))
        }
        return routeOutside(.literal(literal), name: address.domain)
    }

    /// Why an address has no way from here: the reply says it.
    struct Refusal: Error, Sendable {
        let reply: SMTPReply
        init(_ reply: SMTPReply) { self.reply = reply }
    }
}
