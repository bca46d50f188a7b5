/// Delimiter lines of multipart bodies (RFC 2046 §5.1.1).
struct MultipartDelimiter {
    /// The index in `boundaries` of the multipart to which the line belongs.
    let level: Int
    /// Whether it is the closing delimiter.
    let isClosing: Bool

    /// Compares a line with the open boundaries, the innermost (last) first.
    ///
    /// Deliberate: the whole line counts (`--boundary`, optionally `--`, optionally blanks). RFC 2046 would let any
    /// line count that begins so, but then a part whose boundary begins with that of the enclosing one would end it.
    static func match(_ octets: Span<UInt8>, _ line: TextLine, _ boundaries: [[UInt8]]) -> MultipartDelimiter? {
        guard !boundaries.isEmpty, line.contentEnd - line.start > 2 else { return nil }
        guard octets[line.start] == UInt8(ascii: "-"), octets[line.start + 1] == UInt8(ascii: "-") else { return nil }
        for level in boundaries.indices.reversed() {
            let boundary = boundaries[level]
            let start = line.start + 2
            var index = start + boundary.count
            guard index <= line.contentEnd, boundary.indices.allSatisfy({ octets[start + $0] == boundary[$0] }) else {
                continue
            }
            if isBlank(octets, index..<line.contentEnd) { return MultipartDelimiter(level: level, isClosing: false) }
            guard index + 1 < line.contentEnd, octets[index] == UInt8(ascii: "-"),
                octets[index + 1] == UInt8(ascii: "-")
            else { continue }
            index += 2
            if isBlank(octets, index..<line.contentEnd) { return MultipartDelimiter(level: level, isClosing: true) }
        }
        return nil
    }

    private static func isBlank(_ octets: Span<UInt8>, _ range: Range<Int>) -> Bool {
        range.allSatisfy { octets[$0].isBlank }
    }
}
