public import NIOCore

/// A complete response as it came: text, and the literals that stand in it.
public struct IMAPResponseText: Hashable, Sendable {
    /// A piece of a response.
    public enum Piece: Hashable, Sendable {
        /// Text without line ends and without the announcement of the literal behind it.
        case text([UInt8])
        /// The octets of a literal (RFC 9051 §4.3).
        case literal(ByteBuffer)
    }
    /// The pieces in their order; the first is text.
    public var pieces: [Piece]

    /// Makes a response of its pieces.
    public init(pieces: [Piece]) { self.pieces = pieces }
}

/// Cuts what a server sends into responses. Octets may come in any pieces.
public struct IMAPResponseReader: Sendable {
    private let limits: IMAPClientLimits
    private var buffer = ByteBuffer()
    /// Octets of the buffer that were searched for a line's end already.
    private var searched = 0
    private var pieces: [IMAPResponseText.Piece] = []
    private var textLength = 0
    /// The octets of a literal that is due.
    private var expectedLiteral: Int?

    /// Begins with nothing.
    public init(limits: IMAPClientLimits = IMAPClientLimits()) { self.limits = limits }

    /// Takes octets.
    public mutating func receive(_ octets: ByteBuffer) {
        buffer.discardReadBytes()
        buffer.writeImmutableBuffer(octets)
    }

    /// The next complete response; `nil` when more octets are needed.
    /// - Throws: when a limit is passed; the connection can't be used any more.
    public mutating func next() throws(IMAPResponseError) -> IMAPResponseText? {
        while true {
            if let length = expectedLiteral {
                guard let literal = buffer.readSlice(length: length) else { return nil }
                pieces.append(.literal(literal))
                expectedLiteral = nil
            }
            guard let line = try nextLine() else { return nil }
            guard let announced = try Self.announcedLiteral(line, limits: limits) else {
                pieces.append(.text(line))
                defer {
                    pieces = []
                    textLength = 0
                }
                return IMAPResponseText(pieces: pieces)
            }
            guard pieces.count < 2 * limits.literalCount else {
                throw IMAPResponseError(.tooLarge, "at most \(limits.literalCount) literals expected in a response")
            }
            pieces.append(.text(Array(line[..<announced.start])))
            expectedLiteral = announced.length
        }
    }

    private mutating func nextLine() throws(IMAPResponseError) -> [UInt8]? {
        let view = buffer.readableBytesView
        guard let end = view[view.index(view.startIndex, offsetBy: searched)...].firstIndex(of: 0x0a) else {
            searched = view.count
            guard textLength + searched <= limits.lineLength else { throw tooLong }
            return nil
        }
        var line = buffer.readBytes(length: end - view.startIndex) ?? []
        buffer.moveReaderIndex(forwardBy: 1)
        searched = 0
        if line.last == 0x0d { line.removeLast() }
        textLength += line.count
        guard textLength <= limits.lineLength else { throw tooLong }
        return line
    }

    private var tooLong: IMAPResponseError {
        IMAPResponseError(.tooLarge, "a response of at most \(limits.lineLength) octets expected")
    }

    /// `{n}` or `~{n}` at the end of a line: where it begins, and n.
    private static func announcedLiteral(_ line: [UInt8], limits: IMAPClientLimits) throws(IMAPResponseError) -> (start: Int, length: Int)? {
        guard line.last == UInt8(ascii: "}"), let open = line.lastIndex(of: UInt8(ascii: "{")) else { return nil }
        let digits = line[(open + 1)..<(line.count - 1)]
        guard !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        guard digits.count <= 12, let length = Int(String(decoding: digits, as: UTF8.self)), length <= limits.literalLength else {
            throw IMAPResponseError(.tooLarge, "a literal of at most \(limits.literalLength) octets expected")
        }
        let isBinary = open > 0 && line[open - 1] == UInt8(ascii: "~")
        return (isBinary ? open - 1 : open, length)
    }
}
