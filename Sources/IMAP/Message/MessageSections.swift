import MailMessage
import NIOCore

extension BodySection {
    /// The octets of the section as they are stored (RFC 9051 §6.4.5.1); `nil` where the message has no such section.
    func octets(of reader: inout MessageReader) -> ByteBuffer? {
        if path.isEmpty, content == .all { return reader.octets }
        if path.isEmpty {
            // The body need not be taken apart for these.
            switch content {
            case .headerFields(let names): return reader.header().octets(ofFieldsNamed: names)
            case .headerFieldsNot(let names): return reader.header().octets(ofFieldsNotNamed: names)
            case .header: return reader.octets.cut(reader.header().range)
            case .all, .binary, .mime, .text: break
            }
        }
        let message = reader.message()
        guard let part = message.part(at: path) else { return nil }
        switch content {
        case .all: return message.octets.cut(part.bodyRange)
        case .binary: return path.isEmpty ? reader.octets : part.decodedOctets
        case .mime: return path.isEmpty ? nil : message.octets.cut(part.headerRange)
        case .header, .headerFields, .headerFieldsNot, .text: break
        }
        // With part numbers they are of a message/rfc822 part, whose own header is MIME.
        guard let described = path.isEmpty ? part : part.nestedMessage else { return nil }
        switch content {
        case .header: return message.octets.cut(described.headerRange)
        case .headerFields(let names): return described.header.octets(ofFieldsNamed: names)
        case .headerFieldsNot(let names): return described.header.octets(ofFieldsNotNamed: names)
        case .text: return message.octets.cut(described.bodyRange)
        case .all, .mime, .binary: return nil
        }
    }
}

extension MIMEPart {
    /// The body without its transfer encoding; `nil` for an encoding that isn't known (RFC 3516 §4.3).
    fileprivate var decodedOctets: ByteBuffer? {
        if case .other = transferEncoding { return nil }
        return structure == .leaf ? decodedBody().octets : body
    }
}

extension PartialRange {
    /// The octets within the range that exist; a range behind the end has none (RFC 9051 §6.4.5).
    func cut(_ octets: ByteBuffer) -> ByteBuffer {
        let first = min(Int(self.first), octets.readableBytes)
        return octets.cut(first..<min(first + Int(count), octets.readableBytes))
    }
}

extension ByteBuffer {
    /// A slice of `range`, counted from the first readable octet and cut to what exists. No copy.
    fileprivate func cut(_ range: Range<Int>) -> ByteBuffer {
        let range = range.clamped(to: 0..<readableBytes)
        return getSlice(at: readerIndex + range.lowerBound, length: range.count) ?? ByteBuffer()
    }
}
