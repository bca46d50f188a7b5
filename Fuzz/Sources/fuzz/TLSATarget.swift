import TransportSecurity

/// TLSA records: a text with records is refused with its line, or each record is written and read as the same; octets as they come on the wire.
enum TLSATarget {
    static func run(_ data: [UInt8]) {
        let octets = Input(data).octets
        wire(octets)
        let text = String(decoding: octets, as: UTF8.self)
        let records: [TLSARecord]
        do throws(TLSARecordError) {
            records = try TLSARecord.records(parsing: text)
        } catch {
            let lines = text.utf8.reduce(1) { $0 + ($1 == 0x0A ? 1 : 0) }
            return require((1...lines).contains(error.line), "an error in line \(error.line) of \(lines)")
        }
        for record in records {
            require((try? TLSARecord(parsing: record.description)) == record, "“\(record)” is read as another record")
            require(TLSARecord(wire: record.wire) == record, "“\(record)” is another record on the wire")
            if let reason = record.unusable { require(!"\(reason)".isEmpty, "a reason without words") }
        }
    }

    private static func wire(_ octets: [UInt8]) {
        guard let record = TLSARecord(wire: octets) else { return require(octets.count < 3 || octets.count > 65_535, "octets are no record") }
        require(record.wire == octets, "a record is written otherwise")
        if record.usage < 2 { require(record.unusable != nil, "usage \(record.usage) counts for SMTP") }
    }
}
