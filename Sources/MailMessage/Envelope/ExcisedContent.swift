public import NIOCore

/// Content without some of its octets: header fields that were taken out at the border. Nothing else of it is written anew.
public struct ExcisedContent: MessageContent {
    /// What it is taken out of.
    public let base: any MessageContent
    /// What stays, in order and without overlaps.
    private let kept: [Range<Int>]
    public let byteCount: Int

    /// Takes octets out of `base`.
    /// - Parameter removed: the octets, in any order; what lies outside of the content is passed over.
    public init(_ base: any MessageContent, without removed: [Range<Int>]) {
        self.base = base
        var kept: [Range<Int>] = []
        var start = 0
        for range in removed.map({ $0.clamped(to: 0..<base.byteCount) }).sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if range.lowerBound > start { kept.append(start..<range.lowerBound) }
            start = max(start, range.upperBound)
        }
        if start < base.byteCount { kept.append(start..<base.byteCount) }
        self.kept = kept
        byteCount = kept.reduce(0) { $0 + $1.count }
    }

    public func read(_ range: Range<Int>) async throws -> ByteBuffer {
        var result = ByteBuffer()
        var place = 0
        for piece in kept {
            let part = range.clamped(to: place..<place + piece.count)
            if !part.isEmpty {
                let start = piece.lowerBound + part.lowerBound - place
                var octets = try await base.read(start..<start + part.count)
                if result.readableBytes == 0 { result = octets } else { result.writeBuffer(&octets) }
            }
            place += piece.count
        }
        return result
    }
}
