import TransportSecurity

/// Where reports on TLS go, and the field TLS-Required: nothing that is read could make a header of its own.
enum TLSRPTTarget {
    static func run(_ data: [UInt8]) {
        let octets = Input(data).octets
        if case .no = TLSRequiredField.read([octets]) {
            require(octets.count { $0 > 0x20 } == 2, "“No” with something else")
        }
        guard let record = try? TLSRPTRecord(parsing: octets) else { return }
        require(record.destinations.count + record.unsupported.count <= TLSRPTRecord.limit, "\(record.destinations.count) destinations")
        require(!(record.destinations.isEmpty && record.unsupported.isEmpty), "a record without URIs")
        for destination in record.destinations {
            switch destination {
            case .mail(let address):
                require(address.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }, "an address with controls or blanks")
                require(address.contains("@"), "an address without a domain")
            case .https(let uri):
                let again = try? TLSRPTRecord(parsing: Array("v=TLSRPTv1; rua=\(uri)".utf8))
                require(again?.destinations == [destination], "“\(uri)” is read otherwise")
            }
        }
    }
}
