/// The macros that an MTA told, by stage: `j`, `i`, `{client_addr}`, `{auth_authen}` and their like.
///
/// Names are kept without their braces; `{i}` and `i` are one macro, as MTAs don't agree on how single letters are written.
public struct MilterMacros: Hashable, Sendable {
    private var stages: [MilterStage: [String: String]] = [:]
    /// The stages in the order in which they are searched: the latest word counts.
    private static let order: [MilterStage] = [.endOfMessage, .endOfHeader, .data, .recipient, .mail, .helo, .connect]

    /// No macros.
    public init() {}

    /// The latest value of a macro at any stage; `nil` where it was never told. `name` may have braces.
    public subscript(name: String) -> String? {
        let name = Self.bare(name)
        for stage in Self.order {
            if let value = stages[stage]?[name] { return value }
        }
        return nil
    }

    /// The macros of one stage, by their names without braces.
    public subscript(stage stage: MilterStage) -> [String: String] { stages[stage] ?? [:] }

    /// No macro was told.
    public var isEmpty: Bool { stages.isEmpty }

    /// Sets the macros of a stage; what was told earlier at this stage is forgotten.
    public mutating func set(_ values: [String: String], at stage: MilterStage) {
        stages[stage] = values.isEmpty ? nil : Dictionary(values.map { (Self.bare($0.key), $0.value) }) { _, last in last }
    }

    /// Forgets what belongs to a message; what belongs to the connection stays.
    /// - Parameter next: MAIL of the next message came already, and its macros before it.
    mutating func forgetMessage(nextBegan next: Bool) {
        for stage in Self.order where stage != .connect && stage != .helo && !(next && stage == .mail) { stages[stage] = nil }
    }

    private static func bare(_ name: String) -> String {
        name.utf8.count > 2 && name.hasPrefix("{") && name.hasSuffix("}") ? String(name.dropFirst().dropLast()) : name
    }
}

extension MilterMacros {
    /// The queue's identity of the message (`i`). Postfix has one from the first accepted recipient on.
    public var queueID: String? { self["i"] }
    /// The MTA's own host name (`j`).
    public var hostName: String? { self["j"] }
    /// The client's address (`{client_addr}`).
    public var clientAddress: String? { self["client_addr"] }
    /// The client's verified name (`{client_name}`), `unknown` where there is none.
    public var clientName: String? { self["client_name"] }
    /// The user that AUTH established (`{auth_authen}`).
    public var authenticatedUser: String? { self["auth_authen"] }
    /// The mechanism of AUTH (`{auth_type}`).
    public var authenticationMechanism: String? { self["auth_type"] }
    /// The name of the MTA's listener (`{daemon_name}`).
    public var daemonName: String? { self["daemon_name"] }
    /// The sender's address (`{mail_addr}`).
    public var senderAddress: String? { self["mail_addr"] }
    /// The recipient's address (`{rcpt_addr}`).
    public var recipientAddress: String? { self["rcpt_addr"] }
    /// The version of TLS (`{tls_version}`).
    public var tlsVersion: String? { self["tls_version"] }
    /// The cipher suite of TLS (`{cipher}`).
    public var tlsCipher: String? { self["cipher"] }
}
