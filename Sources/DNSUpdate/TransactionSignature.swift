/// A TSIG record (RFC 8945 §4.2).
struct TransactionSignature {
    static let type: UInt16 = 250

    var keyLabels: [[UInt8]]
    var algorithmLabels: [[UInt8]]
    var time: UInt64
    var fudge: UInt16
    var code: [UInt8]
    var originalIdentifier: UInt16
    var error: UpdateResponseCode
    var other: [UInt8]

    private static func append(_ labels: [[UInt8]], to writer: inout MessageWriter) {
        for label in labels {
            writer.append(UInt8(label.count))
            writer.append(label)
        }
        writer.append(UInt8(0))
    }

    /// What the signature covers beside the message (RFC 8945 §4.3.3): names in lower case and not compressed.
    var signedOctets: [UInt8] {
        var writer = MessageWriter()
        Self.append(keyLabels, to: &writer)
        writer.append(RecordClass.any)
        writer.append(UInt32(0))
        Self.append(algorithmLabels, to: &writer)
        writer.append(timeOctets)
        writer.append(error.rawValue)
        writer.append(UInt16(other.count))
        writer.append(other)
        return writer.octets
    }

    /// The time and the fudge.
    var timeOctets: [UInt8] {
        var writer = MessageWriter()
        writer.append48(time)
        writer.append(fudge)
        return writer.octets
    }

    /// The record's data with a code.
    func data(code: [UInt8]) -> [UInt8] {
        var writer = MessageWriter()
        Self.append(algorithmLabels, to: &writer)
        writer.append(timeOctets)
        writer.append(UInt16(code.count))
        writer.append(code)
        writer.append(originalIdentifier)
        writer.append(error.rawValue)
        writer.append(UInt16(other.count))
        writer.append(other)
        return writer.octets
    }

    /// Reads the data; its algorithm's name may be compressed by servers that know no better.
    init(keyLabels: [[UInt8]], reader: inout MessageReader, end: Int) throws(DNSUpdateError) {
        let what = "the TSIG record"
        self.keyLabels = keyLabels
        algorithmLabels = try reader.name(what)
        time = try reader.number48(what)
        fudge = try reader.number16(what)
        code = try reader.take(Int(reader.number16(what)), what)
        originalIdentifier = try reader.number16(what)
        error = UpdateResponseCode(rawValue: try reader.number16(what))
        other = try reader.take(Int(reader.number16(what)), what)
        guard reader.offset == end else { throw DNSUpdateError(.malformed, "the TSIG record's data has another length than it says (RFC 8945 §4.2)") }
    }

    init(
        keyLabels: [[UInt8]], algorithmLabels: [[UInt8]], time: UInt64, fudge: UInt16, code: [UInt8], originalIdentifier: UInt16,
        error: UpdateResponseCode, other: [UInt8]
    ) {
        self.keyLabels = keyLabels
        self.algorithmLabels = algorithmLabels
        self.time = time
        self.fudge = fudge
        self.code = code
        self.originalIdentifier = originalIdentifier
        self.error = error
        self.other = other
    }
}
