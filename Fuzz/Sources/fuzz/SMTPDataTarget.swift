import NIOCore

@testable import SMTP

/// The octets after DATA against a reference of a few lines, and the check of chunks against another.
enum SMTPDataTarget {
    static let lineLimit = 40

    static func run(_ data: [UInt8]) {
        let input = Input(data)
        let expected = reference(input.octets, isTolerant: input.has(0))
        for cut in [Cut.whole, .single, .random] where cut != .single || input.octets.count < 4096 {
            let found = decode(cut.pieces(input.octets), isTolerant: input.has(0))
            require(found.fault == expected.fault, "fault \(String(describing: found.fault)), expected \(String(describing: expected.fault)), \(cut)")
            require(found.end == expected.end, "the end is at \(String(describing: found.end)), expected \(String(describing: expected.end)), \(cut)")
            if expected.fault == nil, expected.end != nil {
                require(found.content == expected.content, "the content differs, \(cut)")
                require(found.content.hasWholeLineEnds, "a bare CR or LF in the content, \(cut)")
            }
        }
        checkChunks(input.octets)
        SMTPContentTarget.run(input.octets)
    }

    private struct Outcome {
        var content: [UInt8] = []
        var fault: ContentFault?
        /// How many octets were read up to the end of the message.
        var end: Int?
    }

    private static func decode(_ pieces: [ArraySlice<UInt8>], isTolerant: Bool) -> Outcome {
        var decoder = DataDecoder(allowsBareLineFeeds: isTolerant, lineLimit: lineLimit)
        var outcome = Outcome()
        var buffer = ByteBuffer()
        var received = 0
        feeding: for piece in pieces {
            buffer.discardReadBytes()
            buffer.writeBytes(piece)
            received += piece.count
            while true {
                switch decoder.next(&buffer) {
                case .content(let octets):
                    require(octets.readableBytes > 0, "an empty piece of content")
                    outcome.content += octets.readableBytesView
                case .end:
                    outcome.end = received - buffer.readableBytes
                    break feeding
                case .needsMore:
                    require(buffer.readableBytes <= 3, "\(buffer.readableBytes) octets stay behind")
                    continue feeding
                }
            }
        }
        outcome.fault = decoder.fault
        return outcome
    }

    /// RFC 5321 §4.1.1.4 and §4.5.2, octet by octet. Faults are compared where the end was read or none was: what is known of an
    /// unfinished line depends on where the octets stop.
    private static func reference(_ octets: [UInt8], isTolerant: Bool) -> Outcome {
        var outcome = Outcome()
        var index = 0
        var lineLength = 0
        enum Start { case none, strict, tolerant }
        var start = Start.strict
        func count(_ octet: UInt8) {
            lineLength += 1
            if lineLength > lineLimit, outcome.fault == nil { outcome.fault = .lineTooLong }
            outcome.content.append(octet)
        }
        while index < octets.count {
            let octet = octets[index]
            let next = index + 1 < octets.count ? octets[index + 1] : nil
            let afterNext = index + 2 < octets.count ? octets[index + 2] : nil
            if octet == 0x2E, start == .strict {
                if next == 0x0D, afterNext == 0x0A {
                    outcome.end = index + 3
                    return outcome
                }
                // What follows isn't known: the decoder waits.
                if next == nil || next == 0x0D && afterNext == nil { return outcome }
                start = .none
                index += 1
                continue
            }
            if octet == 0x2E, start == .tolerant {
                guard let next else { return outcome }
                start = .none
                if next == 0x2E {
                    index += 1
                    continue
                }
            }
            start = .none
            switch octet {
            case 0x0D:
                guard let next else { return outcome }
                guard next == 0x0A else {
                    if outcome.fault == nil { outcome.fault = .bareCarriageReturn }
                    count(octet)
                    index += 1
                    continue
                }
                outcome.content += [0x0D, 0x0A]
                lineLength = 0
                start = .strict
                index += 2
            case 0x0A:
                if isTolerant, outcome.fault == nil {
                    outcome.content += [0x0D, 0x0A]
                    lineLength = 0
                    start = .tolerant
                } else if outcome.fault == nil {
                    outcome.fault = .bareLineFeed
                }
                index += 1
            default:
                count(octet)
                index += 1
            }
        }
        return outcome
    }

    private static func checkChunks(_ octets: [UInt8]) {
        // The line's length is what counts first where both are wrong in one line, so that only "some fault" is compared.
        var isFaulty = !octets.hasWholeLineEnds
        var length = 0
        for octet in octets {
            length = octet == 0x0A ? 0 : octet == 0x0D ? length : length + 1
            if length > lineLimit { isFaulty = true }
        }
        for cut in [Cut.whole, .single, .random] where cut != .single || octets.count < 4096 {
            var check = ChunkedTextCheck(lineLimit: lineLimit)
            for piece in cut.pieces(octets) { check.check(ByteBuffer(bytes: piece)) }
            check.finish()
            require((check.fault != nil) == isFaulty, "chunks: fault \(String(describing: check.fault)), expected one: \(isFaulty), \(cut)")
        }
    }
}
