/// How a command ended: the tagged response without its tag (RFC 9051 §7.1).
public struct IMAPCompletion: Hashable, Sendable {
    /// The three conditions of a tagged response.
    public enum Status: String, Hashable, Sendable {
        case ok = "OK"
        case no = "NO"
        case bad = "BAD"
    }

    /// What the command did to the connection's state (RFC 9051 §3).
    public enum Effect: Hashable, Sendable {
        case none
        /// A mailbox is selected now.
        case selected
        /// No mailbox is selected any more.
        case unselected
        /// The connection cannot go on: its mailbox is gone.
        case ended
    }

    public var status: Status
    /// The response code without its brackets, such as `TRYCREATE`.
    public var code: String?
    /// For people.
    public var text: String
    public var effect: Effect

    /// Makes a completion.
    public init(_ status: Status, code: String? = nil, _ text: String, effect: Effect = .none) {
        self.status = status
        self.code = code
        self.text = text
        self.effect = effect
    }

    /// `OK`.
    public static func ok(_ text: String, code: String? = nil, effect: Effect = .none) -> IMAPCompletion {
        IMAPCompletion(.ok, code: code, text, effect: effect)
    }

    /// `NO`: the command failed.
    public static func no(_ text: String, code: String? = nil, effect: Effect = .none) -> IMAPCompletion {
        IMAPCompletion(.no, code: code, text, effect: effect)
    }

    /// `BAD`: the command makes no sense.
    public static func bad(_ text: String) -> IMAPCompletion { IMAPCompletion(.bad, text) }

    /// The response's line, without its end.
    func line(tag: String) -> String {
        "\(tag) \(status.rawValue) \(code.map { "[\($0)] " } ?? "")\(Self.oneLine(text))"
    }

    /// A text of many lines, or one that contains what a client said, must not become a response of its own; and not every client can
    /// read more than ASCII here (RFC 3501 §9, `text`).
    static func oneLine(_ text: String) -> String {
        String(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : $0.isASCII ? Character($0) : "?" })
    }
}
