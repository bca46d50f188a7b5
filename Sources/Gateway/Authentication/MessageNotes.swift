import FoundationEssentials
import MailStore

/// What reception knows of a message and delivery wants to know, kept with the message in the spool.
struct MessageNotes: Codable, Sendable, Hashable {
    /// What shall become of it, as the edge says.
    var disposition: AuthenticationCapsule.Disposition?

    /// As the spool keeps it; empty where there is nothing to say.
    var encoded: [UInt8] {
        guard disposition != nil, let data = try? JSONEncoder().encode(self) else { return [] }
        return Array(data)
    }

    init(disposition: AuthenticationCapsule.Disposition?) { self.disposition = disposition == .accept ? nil : disposition }

    /// What was kept; nothing where a later Postern has written it in another form.
    init(of message: SpooledMessage) {
        let kept = message.annotations.isEmpty ? nil : try? JSONDecoder().decode(MessageNotes.self, from: Data(message.annotations))
        self = kept ?? MessageNotes(disposition: nil)
    }
}
