import DNS
import DNSUpdate
import Testing

@Suite("DNS UPDATE messages (RFC 2136)")
struct UpdateMessageTests {
    @Test("a request is written as another implementation writes it")
    func vector() throws {
        #expect(try Vector.message().octets(identifier: 0x1234).hex == [UInt8](hex: Vector.unsigned).hex)
    }

    private func record(_ change: UpdateChange) throws -> String {
        let octets = try UpdateMessage(zone: DomainName("kp.test"), changes: [change]).octets(identifier: 0)
        // Behind the header and the zone section: 7 octets of name and NUL… of "kp.test" and 4 of type and class.
        return Array(octets.dropFirst(12 + 9 + 4)).hex
    }

    @Test("every kind of change has its class, type and lifetime (RFC 2136 §2.5)")
    func changes() throws {
        let name = try DomainName("kp.test")
        let owner = "026b70047465737400"
        let address = try #require(IPAddress("198.51.100.7"))
        #expect(try record(.add(name, timeToLive: 3600, .address(address))) == owner + "0001" + "0001" + "00000e10" + "0004" + "c6336407")
        #expect(try record(.deleteRecords(name, .mx)) == owner + "000f" + "00ff" + "00000000" + "0000")
        #expect(try record(.deleteName(name)) == owner + "00ff" + "00ff" + "00000000" + "0000")
        #expect(try record(.delete(name, .address(address))) == owner + "0001" + "00fe" + "00000000" + "0004" + "c6336407")
    }

    @Test("every kind of prerequisite has its class and type (RFC 2136 §2.4)")
    func prerequisites() throws {
        let name = try DomainName("kp.test")
        let owner = "026b70047465737400"
        let all: [(UpdatePrerequisite, String)] = [
            (.recordsExist(name, .txt), "001000ff000000000000"), (.noRecords(name, .txt), "001000fe000000000000"),
            (.nameExists(name), "00ff00ff000000000000"), (.noName(name), "00ff00fe000000000000"),
            (.recordsAre(name, [.txt(Array("a".utf8)), .txt([])]), "001000010000000000020161" + owner + "0010000100000000000100"),
        ]
        for (prerequisite, expected) in all {
            let octets = try UpdateMessage(zone: name, prerequisites: [prerequisite], changes: []).octets(identifier: 0)
            #expect(Array(octets.dropFirst(25)).hex == owner + expected)
            #expect(octets[7] == (expected.count > 30 ? 2 : 1))
        }
    }

    @Test("each type's data")
    func data() throws {
        let name = try DomainName("a.test")
        let v6 = try #require(IPAddress("2001:db8::1"))
        let wire = "0161047465737400"
        let all: [(UpdateRecordData, String, String)] = [
            (.address(v6), "001c", "20010db8000000000000000000000001"), (.mx(preference: 10, exchange: name), "000f", "000a" + wire),
            (.mx(preference: 0, exchange: .root), "000f", "000000"), (.txt([]), "0010", "00"),
            (.txt([UInt8](repeating: 0x61, count: 256)), "0010", "ff" + String(repeating: "61", count: 255) + "0161"),
            (.cname(name), "0005", wire), (.ptr(name), "000c", wire), (.ns(name), "0002", wire),
            (.srv(priority: 1, weight: 2, port: 993, target: name), "0021", "0001000203e1" + wire),
            (.tlsa(usage: 3, selector: 1, matching: 1, data: [0xAB]), "0034", "030101ab"),
            (.caa(isCritical: true, tag: "issue", value: Array(";".utf8)), "0101", "80056973737565" + "3b"),
            (.raw(DNSRecordType(rawValue: 65400), [1, 2]), "ff78", "0102"),
        ]
        for (data, type, expected) in all {
            let octets = try record(.add(DomainName("kp.test"), timeToLive: 1, data))
            let length = String(expected.utf8.count / 2, radix: 16)
            #expect(octets == "026b70047465737400" + type + "0001" + "00000001" + String(repeating: "0", count: 4 - length.count) + length + expected)
        }
    }

    @Test("what no zone can have isn't written")
    func refusals() throws {
        let zone = try DomainName("kp.test")
        func code(_ change: UpdateChange) -> DNSUpdateError.Code? {
            do {
                _ = try UpdateMessage(zone: zone, changes: [change]).octets(identifier: 0)
                return nil
            } catch { return error.code }
        }
        let other = try DomainName("otherkp.test")
        #expect(code(.deleteName(other)) == .invalidRecord)
        #expect(code(.add(zone, timeToLive: 0x8000_0000, .txt([]))) == .invalidRecord)
        #expect(code(.add(zone, timeToLive: 1, .caa(isCritical: false, tag: "is-sue", value: []))) == .invalidRecord)
        #expect(code(.add(zone, timeToLive: 1, .caa(isCritical: false, tag: "", value: []))) == .invalidRecord)
        #expect(code(.add(zone, timeToLive: 1, .raw(DNSRecordType(rawValue: 250), []))) == .invalidRecord)
        #expect(code(.add(zone, timeToLive: 1, .raw(.a, [UInt8](repeating: 0, count: 65_536)))) == .limitExceeded)
        #expect(code(.add(zone, timeToLive: 1, .raw(.a, [UInt8](repeating: 0, count: 65_500)))) == .limitExceeded)
        let many = [UpdateChange](repeating: .deleteName(zone), count: 1025)
        #expect(throws: DNSUpdateError.self) { try UpdateMessage(zone: zone, changes: many).octets(identifier: 0) }
        #expect(throws: DNSUpdateError.self) {
            try UpdateMessage(zone: zone, prerequisites: [.recordsAre(zone, [])], changes: []).octets(identifier: 0)
        }
    }

    @Test("up to 512 octets go in a datagram, more over TCP (RFC 2136 §2.1)")
    func transport() throws {
        let zone = try DomainName("kp.test")
        // 12 + 13 octets of header and zone, 9 + 10 before the data.
        func update(_ count: Int) throws -> SignedUpdate {
            try SignedUpdate(
                UpdateMessage(zone: zone, changes: [.add(zone, timeToLive: 1, .raw(DNSRecordType(rawValue: 65400), [UInt8](repeating: 7, count: count)))]),
                identifier: 1, key: nil, at: Vector.time)
        }
        #expect(try update(468).octets.count == 512)
        #expect(try update(468).transport == .datagram)
        #expect(try update(469).transport == .stream)
        #expect(try Array(update(469).streamOctets.prefix(3)) == [2, 1, 0])
        // An octet at a time, and what follows stays.
        var received: ArraySlice<UInt8> = []
        for octet in [UInt8(0), 2, 9] {
            received.append(octet)
            #expect(SignedUpdate.takeStreamMessage(&received) == nil)
        }
        received += [8, 0]
        #expect(SignedUpdate.takeStreamMessage(&received) == [9, 8])
        #expect(received == [0])
    }
}
