public import FoundationEssentials
public import NIOCore

/// Writes answers to FETCH for which nothing of a message is needed but its row (RFC 9051 §7.5.2): FLAGS, UID, INTERNALDATE, RFC822.SIZE.
/// A client asks for those of a whole mailbox at once; each answer costs no more than its octets.
public struct FetchRowWriter: Sendable {
    private let items: [FetchItem]
    private var octets: [UInt8] = []
    /// FLAGS of each combination that was needed.
    private var flagTexts: [[UInt8]] = []
    private var flagSets: [Set<String>] = []
    private var flagGeneration = -1

    /// Makes a writer.
    /// - Parameter items: by `FetchItem.answered(_:includesUID:)`.
    /// - Returns: `nil` where one of the items needs more than a row.
    public init?(_ items: [FetchItem]) {
        guard items.allSatisfy({ $0.need == .row }) else { return nil }
        self.items = items
    }

    /// Says which combinations of flags the messages that follow refer to.
    /// - Parameter generation: changes when combinations that were told before have changed; there may always be more of them.
    public mutating func use(_ flagSets: [Set<String>], generation: Int) {
        if generation != flagGeneration { flagTexts = [] }
        flagGeneration = generation
        self.flagSets = flagSets
        while flagTexts.count < flagSets.count { flagTexts.append([]) }
    }

    /// Adds the answer for a message.
    /// - Parameter flags: the place of its flags among those of ``use(_:generation:)``.
    public mutating func add(number: Int, uid: UInt32, flags: Int, internalDate: Date, size: Int) {
        octets += Self.begin
        octets.append(decimal: number)
        octets += Self.fetch
        var isFirst = true
        for item in items {
            if !isFirst { octets.append(UInt8(ascii: " ")) }
            isFirst = false
            switch item {
            case .flags: addFlags(flags)
            case .uid:
                octets += Self.uid
                octets.append(decimal: Int(uid))
            case .internalDate: octets += "INTERNALDATE \"\(IMAPDate.text(internalDate))\"".utf8
            case .size:
                octets += Self.size
                octets.append(decimal: size)
            case .envelope, .body, .bodyStructure, .section, .binarySize: break
            }
        }
        octets += Self.end
    }

    private static let begin = Array("* ".utf8)
    private static let fetch = Array(" FETCH (".utf8)
    private static let uid = Array("UID ".utf8)
    private static let size = Array("RFC822.SIZE ".utf8)
    private static let end = Array(")\r\n".utf8)

    private mutating func addFlags(_ place: Int) {
        guard flagTexts.indices.contains(place) else { return }
        if flagTexts[place].isEmpty { flagTexts[place] = Array(FlagText.text(flagSets[place]).utf8) }
        octets += flagTexts[place]
    }

    /// Moves what was added to where it is sent from.
    public mutating func flush(into out: inout ByteBuffer) {
        out.writeBytes(octets)
        octets.removeAll(keepingCapacity: true)
    }
}

extension [UInt8] {
    /// Appends a number that is not negative in decimal digits.
    mutating func append(decimal number: Int) {
        guard number > 9 else { return append(UInt8(ascii: "0") + UInt8(clamping: number)) }
        let start = count
        var rest = number
        while rest > 0 {
            append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        }
        var (low, high) = (start, count - 1)
        while low < high {
            swapAt(low, high)
            low += 1
            high -= 1
        }
    }
}
