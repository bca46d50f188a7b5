public import NIOCore

/// What a filter says to an MTA.
public enum MilterResponse: Hashable, Sendable {
    /// `O`: the answer in the negotiation.
    case negotiate(MilterNegotiation)
    /// `c`: go on.
    case `continue`
    /// `a`: take the message; nothing more of it need be shown.
    case accept
    /// `r`: refuse for good.
    case reject
    /// `d`: take the message and throw it away.
    case discard
    /// `t`: refuse for now.
    case tempFail
    /// `y`: refuse with a reply of the filter's own: `550 5.7.1 text`. A percent sign is doubled on the wire.
    case replyCode(String)
    /// `s`: no more of the body need be shown.
    case skip
    /// `p`: still at work.
    case progress
    /// `h`: put a header field at the end of the header.
    case addHeader(name: ByteBuffer, value: ByteBuffer)
    /// `i`: put a header field at a place; 0 is in front of all, the MTA's own Received field included.
    case insertHeader(index: UInt32, name: ByteBuffer, value: ByteBuffer)
    /// `m`: change the nth field of the name, from 1 on; an empty value deletes it.
    case changeHeader(index: UInt32, name: ByteBuffer, value: ByteBuffer)
    /// `q`: put the message aside.
    case quarantine(String)
    /// `+`: add a recipient.
    case addRecipient(String)
    /// `2`: add a recipient with ESMTP parameters.
    case addRecipientWithParameters(String, String)
    /// `-`: delete a recipient.
    case deleteRecipient(String)
    /// `e`: change the sender; parameters may follow.
    case changeSender(String, parameters: String?)
    /// `b`: octets that take the body's place, at most ``maximumBodyChunk``.
    case replaceBody(ByteBuffer)
    /// `4`: close the client's connection with 421.
    case shutdown
    /// `f`: treat the client's connection as failed.
    case connectionFailed

    /// The most octets of a chunk of a body (`MILTER_CHUNK_SIZE`).
    public static let maximumBodyChunk = 65_535

    /// The letter of the response.
    public var letter: UInt8 {
        switch self {
        case .negotiate: UInt8(ascii: "O")
        case .continue: UInt8(ascii: "c")
        case .accept: UInt8(ascii: "a")
        case .reject: UInt8(ascii: "r")
        case .discard: UInt8(ascii: "d")
        case .tempFail: UInt8(ascii: "t")
        case .replyCode: UInt8(ascii: "y")
        case .skip: UInt8(ascii: "s")
        case .progress: UInt8(ascii: "p")
        case .addHeader: UInt8(ascii: "h")
        case .insertHeader: UInt8(ascii: "i")
        case .changeHeader: UInt8(ascii: "m")
        case .quarantine: UInt8(ascii: "q")
        case .addRecipient: UInt8(ascii: "+")
        case .addRecipientWithParameters: UInt8(ascii: "2")
        case .deleteRecipient: UInt8(ascii: "-")
        case .changeSender: UInt8(ascii: "e")
        case .replaceBody: UInt8(ascii: "b")
        case .shutdown: UInt8(ascii: "4")
        case .connectionFailed: UInt8(ascii: "f")
        }
    }

    /// Nothing more is said about the command. What isn't final is said before something that is.
    public var isFinal: Bool {
        switch self {
        case .negotiate, .continue, .accept, .reject, .discard, .tempFail, .replyCode, .skip, .shutdown, .connectionFailed: true
        case .progress, .addHeader, .insertHeader, .changeHeader, .quarantine, .addRecipient, .addRecipientWithParameters,
            .deleteRecipient, .changeSender, .replaceBody:
            false
        }
    }
}
