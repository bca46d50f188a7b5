import NIOCore

/// The octets of header fields, between the protocol's form (LF, perhaps without the first blank) and the message's (CRLF).
enum MilterHeaderOctets {
    /// Whether a name can stand in a header: at least one octet, no blanks, control characters or colon. Octets over 127 do occur in what
    /// MTAs accept, and are left as they are.
    static func isName(_ name: ByteBuffer) -> Bool {
        name.readableBytes > 0 && name.readableBytesView.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: ":") && $0 != 0x7F }
    }

    /// The place of a line end within a value that no blank follows; `nil` where all are folds.
    static func brokenLine(in value: ByteBuffer) -> Int? {
        let view = value.readableBytesView
        var start = view.startIndex
        while let end = view[start...].firstIndex(of: 0x0A) {
            let next = view.index(after: end)
            guard next < view.endIndex, view[next] == 0x20 || view[next] == 0x09 else { return end - view.startIndex }
            start = next
        }
        return nil
    }

    /// Writes the field as it stands in the message.
    /// - Parameter isExact: the value has its first blank; otherwise one is written, which the MTA took away.
    static func write(name: ByteBuffer, value: ByteBuffer, isExact: Bool, into buffer: inout ByteBuffer) {
        buffer.reserveCapacity(minimumWritableBytes: name.readableBytes + value.readableBytes + 8)
        buffer.writeImmutableBuffer(name)
        buffer.writeInteger(UInt8(ascii: ":"))
        // MTAs take away a space only: a tab or a line end that comes first did so in the message, most likely.
        if !isExact, value.readableBytesView.first != 0x09, value.readableBytesView.first != 0x0A { buffer.writeInteger(UInt8(ascii: " ")) }
        let view = value.readableBytesView
        var start = view.startIndex
        while let end = view[start...].firstIndex(of: 0x0A) {
            // A few senders of the protocol fold by CRLF; a CR that is there isn't doubled.
            let hasReturn = end > view.startIndex && view[end - 1] == 0x0D
            buffer.writeBytes(view[start..<end])
            buffer.writeBytes(hasReturn ? [0x0A] : [0x0D, 0x0A])
            start = view.index(after: end)
        }
        buffer.writeBytes(view[start...])
        buffer.writeBytes([0x0D, 0x0A])
    }

    /// The value in the protocol's form; `nil` where it would end the field early or can't be told at all.
    static func protocolValue(_ value: ByteBuffer, isExact: Bool) -> ByteBuffer? {
        var rest = value
        if !isExact, rest.readableBytesView.first == 0x20 { rest.moveReaderIndex(forwardBy: 1) }
        let view = rest.readableBytesView
        guard !view.contains(0) else { return nil }
        guard view.contains(0x0A) || view.contains(0x0D) else { return rest }
        var octets = ByteBuffer()
        octets.reserveCapacity(view.count)
        for index in view.indices {
            if view[index] == 0x0D {
                guard index + 1 < view.endIndex, view[index + 1] == 0x0A else { return nil }
                continue
            }
            octets.writeInteger(view[index])
        }
        return brokenLine(in: octets) == nil ? octets : nil
    }
}
