import DNS

@testable import FuzzedAnswers

/// Records of an answer as the resolver's library hands them over, and names and addresses as text.
enum DNSTarget {
    private static let types: [DNSRecordType] = [.a, .aaaa, .mx, .txt, .tlsa, .cname, .ns, .ptr, .srv, .soa, .openPGPKey]

    static func run(_ data: [UInt8]) {
        let input = Input(data)
        for type in types { record(input.octets, type) }
        answer(input)
        name(String(decoding: input.octets, as: UTF8.self))
        address(String(decoding: input.octets, as: UTF8.self))
    }

    private static func record(_ octets: [UInt8], _ type: DNSRecordType) {
        guard let data = RecordData.parse(octets, type: type) else { return }
        switch data {
        case .mx(_, let name), .name(let name), .srv(_, _, _, let name): check(name)
        case .txt(let text): require(text.count < octets.count, "text longer than its record")
        case .tlsa(_, _, _, let data): require(data.count == octets.count - 3, "TLSA data of another length")
        case .address(let address): require(address.octets == octets, "another address")
        case .other(let data): require(data == octets, "other octets")
        }
    }

    /// The octets as the records of a whole answer, each with its length before it.
    private static func answer(_ input: Input) {
        guard let question = try? DomainName("gmail.test") else { return }
        var records: [[UInt8]] = []
        var rest = input.octets[...]
        while let length = rest.popFirst() {
            records.append(Array(rest.prefix(Int(length))))
            rest = rest.dropFirst(Int(length))
        }
        let type = types[Int(input.options) % types.count]
        let reply = UnboundReply(
            responseCode: input.options & 0x40 != 0 ? 0 : 3, hasData: !records.isEmpty, isNonexistent: records.isEmpty, isSecure: true, isBogus: false,
            bogusReason: nil, canonicalName: String(decoding: input.octets.prefix(80), as: UTF8.self), timeToLive: 60, records: records)
        guard let answer = try? reply.answer(to: question, type) else { return }
        require(answer.records.isEmpty == (answer.outcome != .records), "\(answer.outcome) with \(answer.records.count) records")
        require(answer.records.count <= records.count, "more records than came")
    }

    private static func name(_ text: String) {
        guard let name = try? DomainName(text) else { return }
        check(name)
        // What people see leads back to the name, or is the name.
        require((try? DomainName(name.unicode)) == name, "\(name) is shown as \(name.unicode), which is another name")
    }

    private static func check(_ name: DomainName) {
        guard name != .root else { return }
        require(name.ascii.utf8.count <= 253 && name.labels.allSatisfy { (1...63).contains($0.utf8.count) }, "the name \(name)")
        require((try? DomainName(name.ascii)) == name, "\(name) is read as another name")
    }

    private static func address(_ text: String) {
        if let address = IPAddress(text) {
            require(IPAddress(address.description) == address, "\(address) is read as another address")
            require(address.unmapped.network().contains(address.unmapped), "\(address) isn't in its network")
        }
        if let network = IPNetwork(text) {
            require(IPNetwork(network.description) == network, "\(network) is read as another network")
            require(network.contains(network.address), "\(network) doesn't contain its own address")
        }
    }
}
