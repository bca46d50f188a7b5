public import NIOCore

/// Commands of a client as it writes them (RFC 9051 §6).
public enum IMAPClientCommand: Hashable, Sendable {
    case capability
    case logout
    /// LIST of everything that there is.
    case list
    case status(mailbox: String, [String])
    case select(mailbox: String)
    /// SELECT without the right to change anything (RFC 9051 §6.3.3).
    case examine(mailbox: String)
    /// `items` are words of the grammar, never what somebody typed.
    case fetch(ClosedRange<Int>, items: String)
    case uidFetch([UInt32], items: String)
    case uidStore([UInt32], adding: Bool, flags: [String])
    case uidMove([UInt32], to: String)
    case uidExpunge([UInt32])
    /// UID SEARCH for messages that have a text anywhere.
    case uidSearchText(String)
    case append(mailbox: String, flags: [String], message: ByteBuffer)

    /// A piece of a command. Behind each but the last the server is waited for.
    public enum Piece: Hashable, Sendable {
        /// Text; with the line's end where it is the last or announces a literal.
        case text(String)
        /// Octets of a synchronising literal (RFC 9051 §4.3).
        case literal(ByteBuffer)
    }

    /// The command as it is sent.
    /// - Parameter tag: letters and digits.
    public func pieces(tag: String) -> [Piece] {
        switch self {
        case .capability: return line(tag, "CAPABILITY")
        case .logout: return line(tag, "LOGOUT")
        case .list: return line(tag, "LIST \"\" \"*\"")
        case .status(let mailbox, let items): return line(tag, "STATUS \(Self.name(mailbox)) (\(items.joined(separator: " ")))")
        case .select(let mailbox): return line(tag, "SELECT \(Self.name(mailbox))")
        case .examine(let mailbox): return line(tag, "EXAMINE \(Self.name(mailbox))")
        case .fetch(let range, let items): return line(tag, "FETCH \(range.lowerBound):\(range.upperBound) (\(items))")
        case .uidFetch(let uids, let items): return line(tag, "UID FETCH \(Self.set(uids)) (\(items))")
        case .uidStore(let uids, let adding, let flags):
            return line(tag, "UID STORE \(Self.set(uids)) \(adding ? "+" : "-")FLAGS.SILENT (\(flags.joined(separator: " ")))")
        case .uidMove(let uids, let mailbox): return line(tag, "UID MOVE \(Self.set(uids)) \(Self.name(mailbox))")
        case .uidExpunge(let uids): return line(tag, "UID EXPUNGE \(Self.set(uids))")
        case .uidSearchText(let text):
            let octets = ByteBuffer(string: text)
            return [.text("\(tag) UID SEARCH CHARSET UTF-8 TEXT {\(octets.readableBytes)}\r\n"), .literal(octets), .text("\r\n")]
        case .append(let mailbox, let flags, let message):
            let announced = "APPEND \(Self.name(mailbox)) (\(flags.joined(separator: " "))) {\(message.readableBytes)}"
            return [.text("\(tag) \(announced)\r\n"), .literal(message), .text("\r\n")]
        }
    }

    private func line(_ tag: String, _ text: String) -> [Piece] { [.text("\(tag) \(text)\r\n")] }

    /// A mailbox name as a quoted string of modified UTF-7, which has printable US-ASCII only (RFC 3501 §5.1.3).
    static func name(_ mailbox: String) -> String {
        let escaped = ModifiedUTF7.encode(mailbox).flatMap { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }
        return "\"\(String(escaped))\""
    }

    static func set(_ numbers: [UInt32]) -> String { numbers.map(String.init).joined(separator: ",") }
}
