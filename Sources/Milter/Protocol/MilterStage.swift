/// The stages of a message at which an MTA tells macros, with their numbers in a request for macros (`SMFIM_…`).
public enum MilterStage: UInt32, Hashable, Sendable, CaseIterable {
    case connect = 0
    case helo = 1
    case mail = 2
    case recipient = 3
    case data = 4
    case endOfMessage = 5
    case endOfHeader = 6

    /// The stage whose macros come before a command; `nil` for commands that belong to no stage.
    init?(command: UInt8) {
        switch command {
        case UInt8(ascii: "C"): self = .connect
        case UInt8(ascii: "H"): self = .helo
        case UInt8(ascii: "M"): self = .mail
        case UInt8(ascii: "R"): self = .recipient
        case UInt8(ascii: "T"): self = .data
        case UInt8(ascii: "L"), UInt8(ascii: "N"): self = .endOfHeader
        case UInt8(ascii: "B"), UInt8(ascii: "E"): self = .endOfMessage
        default: return nil
        }
    }

    /// The letter of the command of the stage.
    var command: UInt8 {
        switch self {
        case .connect: UInt8(ascii: "C")
        case .helo: UInt8(ascii: "H")
        case .mail: UInt8(ascii: "M")
        case .recipient: UInt8(ascii: "R")
        case .data: UInt8(ascii: "T")
        case .endOfHeader: UInt8(ascii: "N")
        case .endOfMessage: UInt8(ascii: "E")
        }
    }
}
