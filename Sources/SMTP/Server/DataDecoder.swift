import NIOCore

/// What is wrong with the octets of a message. The first fault counts.
enum ContentFault: Hashable, Sendable {
    case bareCarriageReturn
    case bareLineFeed
    case lineTooLong

    func reply(limits: SMTPServerLimits) -> SMTPReply {
        switch self {
        case .bareCarriageReturn: .make(550, (5, 6, 11), "The message has a CR without LF; lines end in CRLF (RFC 5321 2.3.8)")
        case .bareLineFeed: .make(550, (5, 6, 11), "The message has an LF without CR; lines end in CRLF (RFC 5321 2.3.8)")
        case .lineTooLong: .make(554, (5, 6, 0), "The message has a line of more than \(limits.textLineLength) octets")
        }
    }
}

/// Takes the octets that follow DATA apart: undoes the doubled dots (RFC 5321 §4.5.2) and finds the end, which is CRLF.CRLF and
/// nothing else (RFC 5321 §4.1.1.4).
///
/// Content comes out as slices of what came in. At most two octets stay behind when more must be known, so no octet is looked at
/// more than a few times, however the input is cut.
struct DataDecoder: Sendable {
    enum Piece {
        /// Octets of the message.
        case content(ByteBuffer)
        /// The end was read.
        case end
        /// More octets are needed.
        case needsMore
    }

    private enum Position {
        /// Behind CRLF, where a dot has a meaning.
        case lineStart
        /// Behind a bare LF that is tolerated: a doubled dot is undone, but nothing ends here.
        case tolerantLineStart
        case withinLine
    }

    private let allowsBareLineFeeds: Bool
    private let lineLimit: Int
    private var position = Position.lineStart
    private var lineLength = 0
    /// The first fault; the message must be refused when its end has come.
    private(set) var fault: ContentFault?

    init(allowsBareLineFeeds: Bool, lineLimit: Int) {
        self.allowsBareLineFeeds = allowsBareLineFeeds
        self.lineLimit = lineLimit
    }

    /// Takes the next piece from the front of `input`.
    mutating func next(_ input: inout ByteBuffer) -> Piece {
        let step = ByteScan.over(input) { octets in scan(octets) }
        switch step {
        case .content(let length):
            guard length > 0, let slice = input.readSlice(length: length) else { return .needsMore }
            return .content(slice)
        case .skipThenContinue(let length):
            input.moveReaderIndex(forwardBy: length)
            return next(&input)
        case .lineBreak:
            input.moveReaderIndex(forwardBy: 1)
            return .content(ByteBuffer(string: "\r\n"))
        case .end:
            input.moveReaderIndex(forwardBy: 3)
            return .end
        }
    }

    private enum Step {
        /// This many octets are content; none: more are needed.
        case content(Int)
        /// This many octets are a doubled dot; it is followed by something that is not at a line's start, so this recurses once.
        case skipThenContinue(Int)
        /// A tolerated LF stands here and becomes CRLF.
        case lineBreak
        case end
    }

    private mutating func scan(_ octets: ByteScan) -> Step {
        let dot = UInt8(ascii: ".")
        let cr = UInt8(ascii: "\r")
        let lf = UInt8(ascii: "\n")
        var offset = 0
        while offset < octets.count {
            switch position {
            case .lineStart:
                guard octets[offset] == dot else {
                    position = .withinLine
                    continue
                }
                // Give out what stands before the dot first; then the dot is at offset 0.
                guard offset == 0 else { return .content(offset) }
                switch (octets[1], octets[2]) {
                case (nil, _), (cr, nil): return .content(0)
                case (cr, lf): return .end
                default:
                    position = .withinLine
                    return .skipThenContinue(1)
                }
            case .tolerantLineStart:
                if octets[offset] == dot {
                    guard let second = octets[offset + 1] else { return .content(offset) }
                    position = .withinLine
                    if second == dot { return .skipThenContinue(1) }
                }
                position = .withinLine
            case .withinLine:
                let lineFeed = octets.first(lf, from: offset, to: octets.count)
                let end = lineFeed ?? octets.count
                // Once a fault is known only the end matters.
                if fault == nil, let carriageReturn = octets.first(cr, from: offset, to: end), carriageReturn + 1 < end {
                    // The first fault counts, so what stands before the CR is measured first.
                    count(carriageReturn - offset)
                    if fault == nil { fault = .bareCarriageReturn }
                }
                guard let lineFeed else {
                    // A CR at the very end may be the first half of CRLF.
                    let length = octets[octets.count - 1] == cr ? octets.count - 1 : octets.count
                    count(length - offset)
                    return .content(length)
                }
                if lineFeed > 0, octets[lineFeed - 1] == cr {
                    count(lineFeed - 1 - offset)
                    lineLength = 0
                    position = .lineStart
                    offset = lineFeed + 1
                } else if allowsBareLineFeeds, fault == nil {
                    count(lineFeed - offset)
                    guard lineFeed == 0 else { return .content(lineFeed) }
                    lineLength = 0
                    position = .tolerantLineStart
                    return .lineBreak
                } else {
                    count(lineFeed - offset)
                    if fault == nil { fault = .bareLineFeed }
                    offset = lineFeed + 1
                }
            }
        }
        return .content(octets.count)
    }

    private mutating func count(_ length: Int) {
        lineLength += max(0, length)
        if lineLength > lineLimit, fault == nil { fault = .lineTooLong }
    }
}

/// Watches the lines of text that comes in chunks (RFC 3030 §2): what DATA refuses, BDAT refuses too. There is no exception for
/// bare LF here: clients that are old enough to need one don't know BDAT.
struct ChunkedTextCheck: Sendable {
    private let lineLimit: Int
    private var endsInCarriageReturn = false
    private var lineLength = 0
    /// The first fault.
    private(set) var fault: ContentFault?

    init(lineLimit: Int) { self.lineLimit = lineLimit }

    /// Looks at the next octets of the message.
    mutating func check(_ buffer: ByteBuffer) {
        guard fault == nil, buffer.readableBytes > 0 else { return }
        let cr = UInt8(ascii: "\r")
        let lf = UInt8(ascii: "\n")
        ByteScan.over(buffer) { octets in
            var offset = 0
            if endsInCarriageReturn {
                endsInCarriageReturn = false
                guard octets[0] == lf else {
                    fault = .bareCarriageReturn
                    return
                }
                offset = 1
                lineLength = 0
            }
            while offset < octets.count {
                let lineFeed = octets.first(lf, from: offset, to: octets.count)
                let end = lineFeed ?? octets.count
                let carriageReturn = octets.first(cr, from: offset, to: end)
                lineLength += (carriageReturn ?? end) - offset
                if lineLength > lineLimit {
                    fault = .lineTooLong
                    return
                }
                if let carriageReturn, carriageReturn + 1 < end {
                    fault = .bareCarriageReturn
                    return
                }
                guard let lineFeed else {
                    endsInCarriageReturn = carriageReturn != nil
                    return
                }
                if carriageReturn == nil {
                    fault = .bareLineFeed
                    return
                }
                lineLength = 0
                offset = lineFeed + 1
            }
        }
    }

    /// The message is complete.
    mutating func finish() {
        if endsInCarriageReturn, fault == nil { fault = .bareCarriageReturn }
    }
}
