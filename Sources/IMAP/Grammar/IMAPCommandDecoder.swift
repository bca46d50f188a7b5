public import NIOCore

/// Makes commands of octets, however they are cut. Looks at each octet once; what is not asked for yet stays in its buffer.
///
/// ```
/// line ──{n}──▸ (continuation) literal ──▸ line … ──CRLF──▸ command
/// line ──APPEND …{n}──▸ append ──accept──▸ chunk … chunk ──▸ appendEnded
///                              └─refuse──▸ line, or the octets are passed over
/// ```
public struct IMAPCommandDecoder: Sendable {
    /// What came.
    public enum Event: Hashable, Sendable {
        case command(tag: String, IMAPCommand)
        /// Not a command; the tag is `*` where there is none.
        case bad(tag: String, IMAPParseError)
        /// The client waits for `+` before it sends a literal.
        case continuationWanted
        /// APPEND up to its message: answer with ``acceptAppend()`` or ``refuseAppend()``.
        case append(AppendRequest)
        /// Octets of the message.
        case appendOctets(ByteBuffer)
        /// The message is complete.
        case appendEnded
        /// The stream makes no sense any more: say this and close.
        case fatal(IMAPParseError)
    }

    private enum State: Hashable, Sendable {
        case line
        case literal(remaining: Int)
        case appendDecision(AppendRequest)
        case append(remaining: Int, isRefused: Bool, hasParenthesis: Bool, tag: String)
        case appendTail(isRefused: Bool, hasParenthesis: Bool, tag: String)
        case failed
    }

    private let limits: IMAPLimits
    /// Whether mailbox names are UTF-8 from now on (RFC 9051 §5.1).
    public var usesUTF8 = false
    private var buffer = ByteBuffer()
    private var command: [UInt8] = []
    private var searched = 0
    private var literals = 0
    private var state = State.line
    /// A line that was too long is passed over up to its end.
    private var skips = false

    /// Makes a decoder.
    public init(limits: IMAPLimits = IMAPLimits()) { self.limits = limits }

    /// Octets that were received and not used yet.
    public var pendingOctets: Int { buffer.readableBytes }

    /// The memory that is held for what was received. Bounded by the longest command and the largest piece.
    var octetsHeld: Int { buffer.capacity + command.capacity }

    /// Takes octets.
    public mutating func append(_ octets: ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = octets
            return
        }
        // A buffer keeps what was read already: a client whose pieces never end where a line ends would make it grow for ever.
        buffer.discardReadBytes()
        buffer.writeImmutableBuffer(octets)
    }

    /// The next event; `nil` when more octets are needed.
    public mutating func next() -> Event? {
        defer { releaseBuffer() }
        while true {
            switch state {
            case .line:
                guard let line = takeLine() else { return nil }
                if skips {
                    skips = false
                    return tooLong(endOfLine: line[...])
                }
                let start = command.count
                command += line
                if let event = endOfLine(from: start) { return event }
            case .literal(let remaining):
                guard let octets = buffer.readBytes(length: min(remaining, buffer.readableBytes)), !octets.isEmpty || remaining == 0 else {
                    return nil
                }
                command += octets
                state = octets.count == remaining ? .line : .literal(remaining: remaining - octets.count)
            case .appendDecision, .failed: return nil
            case .append(let remaining, let isRefused, let hasParenthesis, let tag):
                guard remaining > 0 else {
                    state = .appendTail(isRefused: isRefused, hasParenthesis: hasParenthesis, tag: tag)
                    continue
                }
                guard let octets = buffer.readSlice(length: min(remaining, buffer.readableBytes)), octets.readableBytes > 0 else {
                    return nil
                }
                state = .append(
                    remaining: remaining - octets.readableBytes, isRefused: isRefused, hasParenthesis: hasParenthesis, tag: tag)
                if !isRefused { return .appendOctets(octets) }
            case .appendTail(let isRefused, let hasParenthesis, let tag):
                guard let line = takeLine() else { return nil }
                state = .line
                let isRight = line == (hasParenthesis ? [UInt8(ascii: ")")] : []) && !skips
                skips = false
                command = []
                // RFC 3502 (several messages in one APPEND) is not offered.
                if Self.announcesOctets(line[...]) { return fail(IMAPParseError(.unexpected, at: 0, "the end of APPEND expected")) }
                if isRefused { continue }
                return isRight ? .appendEnded : .bad(tag: tag, IMAPParseError(.unexpected, at: 0, "the end of APPEND expected"))
            }
        }
    }

    /// The next line as it is, without its end: a response of SASL, or DONE. `nil` when more octets are needed. A line that is too long is
    /// given as `*`, with which a client ends AUTHENTICATE (RFC 9051 §6.2.2) and nobody ends IDLE.
    public mutating func nextLine() -> [UInt8]? {
        defer { releaseBuffer() }
        guard let line = takeLine() else { return nil }
        defer { skips = false }
        guard !skips, line.count <= limits.commandLength else {
            command = []
            return [UInt8(ascii: "*")]
        }
        return line
    }

    /// What was read to its end may be a small part of a large piece of memory, which others would like to have.
    private mutating func releaseBuffer() {
        if buffer.readableBytes == 0, buffer.capacity > 0 { buffer = ByteBuffer() }
    }

    /// The octets of the message will be given out. For a synchronising literal, say `+` first.
    public mutating func acceptAppend() { decideAppend(isRefused: false) }

    /// The message is not wanted; what the client sends of it nevertheless is passed over.
    public mutating func refuseAppend() { decideAppend(isRefused: true) }

    private mutating func decideAppend(isRefused: Bool) {
        guard case .appendDecision(let request) = state else { return }
        command = []
        literals = 0
        state =
            isRefused && request.isSynchronising
            ? .line
            : .append(
                remaining: request.length, isRefused: isRefused, hasParenthesis: request.hasClosingParenthesis, tag: request.tag)
    }

    /// A line without its end. Deliberate: LF alone ends a line too; nothing is passed on to another host as it came.
    private mutating func takeLine() -> [UInt8]? {
        let view = buffer.readableBytesView
        guard let end = view[(view.startIndex + searched)...].firstIndex(of: 0x0a) else {
            searched = view.count
            // One more for the CR, which is no part of the line.
            if searched > limits.commandLength + 1 {
                // The beginning for the tag, and the end for the literal that it may announce.
                if command.isEmpty { command = Array(view.prefix(Self.keptOctets)) }
                skips = true
                searched = min(view.count, Self.keptOctets)
                buffer.moveReaderIndex(forwardBy: view.count - searched)
                buffer.discardReadBytes()
            }
            return nil
        }
        let length = end - view.startIndex
        searched = 0
        guard var line = buffer.readBytes(length: length + 1) else { return nil }
        line.removeLast()
        if line.last == 0x0d { line.removeLast() }
        return line
    }

    /// Takes the command up to the end of the line that began at `start`. What is before it may be octets of a literal, which announce
    /// nothing, whatever they look like.
    private mutating func endOfLine(from start: Int) -> Event? {
        guard command.count <= limits.commandLength else { return tooLong(endOfLine: command[start...]) }
        guard command.last == UInt8(ascii: "}"), let open = command[start...].lastIndex(of: UInt8(ascii: "{")) else { return parse() }
        var header = IMAPCursor(Array(command[open...]), limits: limits, usesUTF8: usesUTF8)
        guard let (count, waits) = try? header.literalHeader(), header.isAtEnd else {
            guard !Self.announcesOctets(command[start...]) else {
                return fail(IMAPParseError(.tooLarge, at: open, "a shorter literal expected"))
            }
            return parse()
        }
        do throws(IMAPParseError) {
            var cursor = IMAPCursor(command, limits: limits, usesUTF8: usesUTF8)
            if let request = try cursor.appendRequest() { return decide(on: request) }
        } catch {
            // The client sends what it announced without waiting: nobody knows then where its next command begins.
            return waits ? finish(.bad(tag: tagOfCommand, error)) : fail(error)
        }
        let tooLarge = count > limits.literalLength || literals >= limits.literalCount || (!waits && count > limits.nonSynchronisingLength)
        guard !tooLarge else {
            let error = IMAPParseError(.tooLarge, at: open, "a shorter literal, or fewer of them, expected")
            return waits ? finish(.bad(tag: tagOfCommand, error)) : fail(error)
        }
        literals += 1
        command += [0x0d, 0x0a]
        state = .literal(remaining: count)
        return waits ? .continuationWanted : nil
    }

    /// How much is kept of each end of a line that is too long: a tag, or the header of a literal.
    private static let keptOctets = 300

    private mutating func tooLong(endOfLine end: ArraySlice<UInt8>) -> Event {
        let error = IMAPParseError(.tooLarge, at: limits.commandLength, "a shorter command expected")
        return Self.announcesOctets(end) ? fail(error) : finish(.bad(tag: tagOfCommand, error))
    }

    /// Whether octets that are no command follow the line without asking: it ends with `{n+}`.
    private static func announcesOctets(_ line: ArraySlice<UInt8>) -> Bool {
        guard line.suffix(2).elementsEqual("+}".utf8) else { return false }
        let digits = line.dropLast(2).reversed().prefix { (0x30...0x39).contains($0) }
        return !digits.isEmpty && line.dropLast(2 + digits.count).last == UInt8(ascii: "{")
    }

    private mutating func decide(on request: AppendRequest) -> Event {
        guard request.isSynchronising || request.length <= limits.nonSynchronisingLength else {
            return fail(
                IMAPParseError(
                    .tooLarge, at: command.count, "a literal that waits, or one of at most \(limits.nonSynchronisingLength) octets (RFC 7888 §5), expected"))
        }
        state = .appendDecision(request)
        return .append(request)
    }

    private var tagOfCommand: String {
        var cursor = IMAPCursor(command, limits: limits, usesUTF8: usesUTF8)
        return (try? cursor.tag()) ?? "*"
    }

    private mutating func parse() -> Event {
        var cursor = IMAPCursor(command, limits: limits, usesUTF8: usesUTF8)
        do throws(IMAPParseError) {
            let tag = try cursor.tag()
            try cursor.space()
            return finish(.command(tag: tag, try cursor.command()))
        } catch {
            return finish(.bad(tag: tagOfCommand, error))
        }
    }

    private mutating func finish(_ event: Event) -> Event {
        command = []
        literals = 0
        state = .line
        return event
    }

    private mutating func fail(_ error: IMAPParseError) -> Event {
        state = .failed
        command = []
        return .fatal(error)
    }
}
