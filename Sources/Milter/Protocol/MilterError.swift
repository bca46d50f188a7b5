/// Why a connection of the milter protocol can't go on: what is wrong, where, and what the session was doing.
///
/// The error never carries the peer's text: it may be a person's data.
public struct MilterError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public enum Code: String, Hashable, Sendable {
        /// A packet without a command.
        case emptyPacket
        /// A packet's length is over the limit.
        case packetTooLong
        /// A letter that is no command.
        case unknownCommand
        /// A letter that is no response.
        case unknownResponse
        /// A text has no NUL at its end.
        case unterminatedText
        /// A part of the packet is missing.
        case truncatedPacket
        /// Something follows the packet's last part.
        case trailingOctets
        /// CONNECT has a family that doesn't exist.
        case unknownFamily
        /// CONNECT's address isn't one of its family.
        case invalidAddress
        /// A macro without a value.
        case macroWithoutValue
        /// A text, or all of a command's texts, are longer than the limit.
        case textTooLong
        /// More parts than the limit.
        case tooMany
        /// A header field has no name, or a name with blanks, a colon or control characters.
        case invalidHeaderName
        /// A header field's value has a line end that no blank follows: it would be another field.
        case headerLineBreak
        /// The version is older than 2.
        case versionTooOld
        /// A second negotiation, or a command before it.
        case negotiationExpected
        case unexpectedNegotiation
        /// The command can't follow what came before.
        case outOfOrder
        /// A reply code that is neither 4yz nor 5yz, or a reply without its code.
        case invalidReply
    }

    /// What is wrong.
    public let code: Code
    /// The command or response, as its letter; `nil` where it isn't known yet.
    public let command: UInt8?
    /// Where in the packet, in octets behind its length.
    public let offset: Int
    /// Where in the conversation: the session's state in a word.
    public var state: String?

    @inline(never)
    init(_ code: Code, command: UInt8?, at offset: Int = 0, state: String? = nil) {
        self.code = code
        self.command = command
        self.offset = offset
        self.state = state
    }

    public var description: String {
        let name = command.map { (0x21...0x7E).contains($0) ? "'\(Character(Unicode.Scalar($0)))'" : "octet \($0)" } ?? "no command"
        return "milter: \(code.rawValue), \(name), at octet \(offset)" + (state.map { ", while \($0)" } ?? "")
    }
}
