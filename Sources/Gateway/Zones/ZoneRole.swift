/// A box of the picture, as the firewalls see it: a role of Postern, a part of the house that isn't Postern, or everybody else.
public enum ZoneRole: String, Sendable, Codable, CaseIterable, Hashable {
    /// Everybody outside of the organisation.
    case internet
    case mx, relay, resolver, webmail
    case submission, `internal`, store
    /// The people's computers.
    case laptop
    /// The administrators' computers.
    case administration

    /// The zones of the picture; management stands beside them.
    public enum Zone: String, Sendable, Codable, Hashable {
        case internet, dmz, `internal`, management
    }

    /// Where the box stands.
    public var zone: Zone {
        switch self {
        case .internet: .internet
        case .mx, .relay, .resolver, .webmail: .dmz
        case .submission, .internal, .store, .laptop: .internal
        case .administration: .management
        }
    }

    /// Whether it is a host of the organisation that has rules of its own and can be logged in to.
    public var isServer: Bool {
        switch self {
        case .internet, .laptop, .administration: false
        case .mx, .relay, .resolver, .webmail, .submission, .internal, .store: true
        }
    }
}

/// What is spoken on a flow.
public enum ZoneService: String, Sendable, Codable, CaseIterable, Hashable {
    case smtp, link, control, submissions, submission, imaps, imap, https, dns, ssh
    /// Stands, where the rules are tried, for every port that no flow names.
    case other

    /// The port where the plan of the zones doesn't say otherwise.
    public var usualPort: Int {
        switch self {
        case .smtp: Configuration.Listener.Kind.smtp.defaultPort
        case .link: Configuration.Listener.Kind.link.defaultPort
        case .control: Configuration.Listener.Kind.control.defaultPort
        case .submissions: Configuration.Listener.Kind.submissions.defaultPort
        case .submission: Configuration.Listener.Kind.submission.defaultPort
        case .imaps: Configuration.Listener.Kind.imaps.defaultPort
        case .imap: Configuration.Listener.Kind.imap.defaultPort
        case .https: Configuration.Listener.Kind.https.defaultPort
        case .dns: 53
        case .ssh: 22
        case .other: 7777
        }
    }

    /// How it is carried.
    public var transports: [Transport] { self == .dns ? [.tcp, .udp] : [.tcp] }

    /// The protocols below the services.
    public enum Transport: String, Sendable, Codable, Hashable { case tcp, udp }
}
