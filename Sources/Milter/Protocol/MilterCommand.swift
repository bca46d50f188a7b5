public import NIOCore

/// What an MTA says to a filter.
public enum MilterCommand: Hashable, Sendable {
    /// `O`: the MTA's version, what it can do, and which steps it can leave out.
    case negotiate(MilterNegotiation)
    /// `D`: macros for the command with the letter, which follows.
    case macros(for: UInt8, [String: String])
    /// `C`: a client connected.
    case connect(MilterConnection)
    /// `H`: what HELO or EHLO said.
    case helo(String)
    /// `M`: the sender.
    case mail(MilterPath)
    /// `R`: a recipient.
    case recipient(MilterPath)
    /// `T`: DATA was said.
    case data
    /// `L`: a header field; the value has LF where the message has a line end.
    case header(name: ByteBuffer, value: ByteBuffer)
    /// `N`: the header is complete.
    case endOfHeader
    /// `B`: octets of the body.
    case body(ByteBuffer)
    /// `E`: the last octets of the body, mostly none: the message is complete.
    case endOfMessage(ByteBuffer)
    /// `A`: the message won't come.
    case abort
    /// `Q`: the connection ends.
    case quit
    /// `K`: the client is gone; another one follows on this connection.
    case quitNewConnection
    /// `U`: a command of the client that the MTA doesn't know.
    case unknown(String)

    /// The letter of the command.
    public var letter: UInt8 {
        switch self {
        case .negotiate: UInt8(ascii: "O")
        case .macros: UInt8(ascii: "D")
        case .connect: UInt8(ascii: "C")
        case .helo: UInt8(ascii: "H")
        case .mail: UInt8(ascii: "M")
        case .recipient: UInt8(ascii: "R")
        case .data: UInt8(ascii: "T")
        case .header: UInt8(ascii: "L")
        case .endOfHeader: UInt8(ascii: "N")
        case .body: UInt8(ascii: "B")
        case .endOfMessage: UInt8(ascii: "E")
        case .abort: UInt8(ascii: "A")
        case .quit: UInt8(ascii: "Q")
        case .quitNewConnection: UInt8(ascii: "K")
        case .unknown: UInt8(ascii: "U")
        }
    }
}

/// What both sides of a negotiation say: a version, actions, steps, and (a filter only) the macros that it wants.
public struct MilterNegotiation: Hashable, Sendable {
    /// The version of the protocol, 2 to 6.
    public var version: UInt32
    public var actions: MilterActionFlags
    public var steps: MilterStepFlags
    /// Which macros are wanted at a stage, by their names as the MTA writes them (`{auth_authen}`, `i`). Empty: those that the MTA's own
    /// configuration names.
    public var macroRequests: [MilterStage: [String]]

    /// Makes one side's word.
    public init(
        version: UInt32 = 6, actions: MilterActionFlags = [], steps: MilterStepFlags = [], macroRequests: [MilterStage: [String]] = [:]
    ) {
        self.version = version
        self.actions = actions
        self.steps = steps
        self.macroRequests = macroRequests
    }
}
