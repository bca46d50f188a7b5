import NIOCore

@testable import IMAP

/// What to answer to APPEND.
enum AppendAnswer { case accept, refuse }

/// All events of octets that come in pieces. Octets of messages are joined, so that the pieces don't show.
func events(
    _ octets: [UInt8], pieces: [Int] = [], append answer: AppendAnswer = .accept, limits: IMAPLimits = IMAPLimits(), usesUTF8: Bool = false
) -> [IMAPCommandDecoder.Event] {
    var decoder = IMAPCommandDecoder(limits: limits)
    decoder.usesUTF8 = usesUTF8
    var found: [IMAPCommandDecoder.Event] = []
    var rest = octets[...]
    var pieces = pieces[...]
    while !rest.isEmpty {
        let count = max(1, pieces.popFirst() ?? rest.count)
        decoder.append(ByteBuffer(bytes: rest.prefix(count)))
        rest = rest.dropFirst(count)
        while let event = decoder.next() {
            if case .append = event {
                switch answer {
                case .accept: decoder.acceptAppend()
                case .refuse: decoder.refuseAppend()
                }
            }
            if case .appendOctets(var more) = event, case .appendOctets(var before)? = found.last {
                before.writeBuffer(&more)
                found[found.count - 1] = .appendOctets(before)
            } else {
                found.append(event)
            }
        }
    }
    return found
}

func events(
    _ text: String, append answer: AppendAnswer = .accept, limits: IMAPLimits = IMAPLimits(), usesUTF8: Bool = false
)
    -> [IMAPCommandDecoder.Event]
{
    events(Array(text.utf8), append: answer, limits: limits, usesUTF8: usesUTF8)
}

/// The one command of a line with the tag `a`.
func command(_ line: String, usesUTF8: Bool = false) -> IMAPCommand? {
    let found = events("a \(line)\r\n", usesUTF8: usesUTF8).filter { $0 != .continuationWanted }
    guard found.count == 1, case .command("a", let command)? = found.first else { return nil }
    return command
}

func numbers(_ ranges: ClosedRange<UInt32>...) -> SequenceSet {
    SequenceSet(ranges.map { SequenceSet.Element(.number($0.lowerBound), .number($0.upperBound)) })
}
