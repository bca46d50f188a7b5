extension JourneyEvent.Operation {
    /// The operation's name: the case, as JSON and the journey log's index write it.
    public var kind: String { name.rawValue }

    /// The names of the cases; their texts are stored in journeys and never change.
    private enum Name: String, CodingKey, CaseIterable {
        case connected, secured, protected, authenticated, exchanged, resolved, described, checked, judged, decided, committed, routed, attempted, delivered
        case notified, queued, abandoned
    }

    private var name: Name {
        switch self {
        case .connected: .connected
        case .secured: .secured
        case .protected: .protected
        case .authenticated: .authenticated
        case .exchanged: .exchanged
        case .resolved: .resolved
        case .described: .described
        case .checked: .checked
        case .judged: .judged
        case .decided: .decided
        case .committed: .committed
        case .routed: .routed
        case .attempted: .attempted
        case .delivered: .delivered
        case .notified: .notified
        case .queued: .queued
        case .abandoned: .abandoned
        }
    }

    /// Reads `{"exchanged": {…}}`.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Name.self)
        guard container.allKeys.count == 1, let name = container.allKeys.first else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "an operation has one key that is known here, its kind"))
        }
        switch name {
        case .connected: self = .connected(try container.decode(JourneyEvent.Connected.self, forKey: name))
        case .secured: self = .secured(try container.decode(JourneyEvent.Secured.self, forKey: name))
        case .protected: self = .protected(try container.decode(JourneyEvent.Protected.self, forKey: name))
        case .authenticated: self = .authenticated(try container.decode(JourneyEvent.Authenticated.self, forKey: name))
        case .exchanged: self = .exchanged(try container.decode(JourneyEvent.Exchanged.self, forKey: name))
        case .resolved: self = .resolved(try container.decode(JourneyEvent.Resolved.self, forKey: name))
        case .described: self = .described(try container.decode(JourneyEvent.Described.self, forKey: name))
        case .checked: self = .checked(try container.decode(JourneyEvent.Checked.self, forKey: name))
        case .judged: self = .judged(try container.decode(JourneyEvent.Judged.self, forKey: name))
        case .decided: self = .decided(try container.decode(JourneyEvent.Decided.self, forKey: name))
        case .committed: self = .committed(try container.decode(JourneyEvent.Committed.self, forKey: name))
        case .routed: self = .routed(try container.decode(JourneyEvent.Routed.self, forKey: name))
        case .attempted: self = .attempted(try container.decode(JourneyEvent.Attempted.self, forKey: name))
        case .delivered: self = .delivered(try container.decode(JourneyEvent.Delivered.self, forKey: name))
        case .notified: self = .notified(try container.decode(JourneyEvent.Notified.self, forKey: name))
        case .queued: self = .queued(try container.decode(JourneyEvent.Queued.self, forKey: name))
        case .abandoned: self = .abandoned(try container.decode(JourneyEvent.Abandoned.self, forKey: name))
        }
    }

    /// Writes `{"exchanged": {…}}`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Name.self)
        switch self {
        case .connected(let value): try container.encode(value, forKey: name)
        case .secured(let value): try container.encode(value, forKey: name)
        case .protected(let value): try container.encode(value, forKey: name)
        case .authenticated(let value): try container.encode(value, forKey: name)
        case .exchanged(let value): try container.encode(value, forKey: name)
        case .resolved(let value): try container.encode(value, forKey: name)
        case .described(let value): try container.encode(value, forKey: name)
        case .checked(let value): try container.encode(value, forKey: name)
        case .judged(let value): try container.encode(value, forKey: name)
        case .decided(let value): try container.encode(value, forKey: name)
        case .committed(let value): try container.encode(value, forKey: name)
        case .routed(let value): try container.encode(value, forKey: name)
        case .attempted(let value): try container.encode(value, forKey: name)
        case .delivered(let value): try container.encode(value, forKey: name)
        case .notified(let value): try container.encode(value, forKey: name)
        case .queued(let value): try container.encode(value, forKey: name)
        case .abandoned(let value): try container.encode(value, forKey: name)
        }
    }
}
