public import MailMessage
public import NIOCore

/// What becomes of a message, and how it is changed before.
public struct MilterVerdict: Hashable, Sendable {
    /// What becomes of a message, a recipient or a client.
    public enum Decision: Hashable, Sendable {
        /// Nothing stands against it; further filters are asked.
        case `continue`
        /// It is taken. At CONNECT and HELO: this filter sees nothing more of the client.
        case accept
        /// Refused with the MTA's own words.
        case reject
        /// Refused for now with the MTA's own words.
        case tempFail
        /// Refused with this reply.
        case reply(MilterReply)
        /// Taken and thrown away without a word. Where there is no message yet, it counts as ``tempFail``.
        case discard
        /// Taken and put aside, with a reason for the operator. Only at a message's end; before it counts as ``tempFail``, and so it does
        /// where the MTA can't do it: a message that should be put aside is never let through.
        case quarantine(reason: String)

        /// The message goes on its way, so that changes to it matter.
        var keepsMessage: Bool {
            switch self {
            case .continue, .accept, .quarantine: true
            case .reject, .tempFail, .reply, .discard: false
            }
        }
    }

    public var decision: Decision
    /// In the order in which they shall be made.
    public var changes: [MilterChange]

    /// Makes a verdict.
    public init(_ decision: Decision, changes: [MilterChange] = []) {
        self.decision = decision
        self.changes = changes
    }
}

/// A change to a message.
///
/// Values of header fields are the exact octets between the colon and the last line end, with the blank that mostly follows the colon; folds
/// may be CRLF or LF. The MTA is told them in the form that was negotiated.
public enum MilterChange: Hashable, Sendable {
    /// Puts a field at the end of the header.
    case addHeader(name: String, value: ByteBuffer)
    /// Puts a field at a place that is counted in the message as it will be delivered: 0 is in front of the MTA's own Received field, 1 behind
    /// it, in front of all that came in.
    case insertHeader(index: UInt32, name: String, value: ByteBuffer)
    /// Changes the `occurrence`th field of the name as it came in, from 1 on.
    case changeHeader(name: String, occurrence: UInt32, value: ByteBuffer)
    /// Deletes the `occurrence`th field of the name as it came in, from 1 on.
    case deleteHeader(name: String, occurrence: UInt32)
    /// Adds a recipient.
    case addRecipient(EmailAddress, parameters: [String] = [])
    /// Deletes a recipient, in the spelling in which it was told.
    case deleteRecipient(MilterPath)
    /// Changes the envelope's sender; `nil` is the null path.
    case changeSender(EmailAddress?, parameters: [String] = [])
    /// Takes the body's place.
    case replaceBody(ByteBuffer)

    /// Inserts a field that is written as it stands in a message, `Name: value` with or without its last CRLF.
    /// - Returns: `nil` where there is no colon.
    public static func insertField(_ field: ByteBuffer, at index: UInt32) -> MilterChange? {
        parts(of: field).map { .insertHeader(index: index, name: $0.name, value: $0.value) }
    }

    /// Adds a field that is written as it stands in a message, `Name: value` with or without its last CRLF.
    /// - Returns: `nil` where there is no colon.
    public static func addField(_ field: ByteBuffer) -> MilterChange? {
        parts(of: field).map { .addHeader(name: $0.name, value: $0.value) }
    }

    private static func parts(of field: ByteBuffer) -> (name: String, value: ByteBuffer)? {
        let view = field.readableBytesView
        guard let colon = view.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        var end = view.endIndex
        if end > colon + 1, view[end - 1] == 0x0A { end -= 1 }
        if end > colon + 1, view[end - 1] == 0x0D { end -= 1 }
        let name = String(decoding: view[..<colon], as: UTF8.self)
        return field.getSlice(at: colon + 1, length: end - colon - 1).map { (name, $0) }
    }
}
