import DNS
import DNSUpdate
import FoundationEssentials
import Testing

@Suite("TSIG (RFC 8945)")
struct TransactionSignatureTests {
    @Test("requests are signed as another implementation signs them", arguments: TransactionKeyAlgorithm.allCases)
    func request(_ algorithm: TransactionKeyAlgorithm) throws {
        let code = [UInt8](hex: try #require(Vector.codes[algorithm]))
        let octets = try Vector.request(algorithm).octets
        var unsigned = Array(octets.prefix([UInt8](hex: Vector.unsigned).count))
        #expect(unsigned[11] == 1)
        unsigned[11] = 0
        #expect(unsigned == [UInt8](hex: Vector.unsigned))
        #expect(octets.dropFirst(unsigned.count).starts(with: [UInt8](hex: "07706f737465726e096b6172746170756365047465737400 00fa00ff00000000")))
        // At the end: the code, the number, no error, nothing else.
        #expect(Array(octets.suffix(code.count + 6)) == code + [0x12, 0x34, 0, 0, 0, 0])
    }

    @Test("answers of another implementation are taken", arguments: TransactionKeyAlgorithm.allCases)
    func answer(_ algorithm: TransactionKeyAlgorithm) throws {
        let response = try Vector.request(algorithm).response([UInt8](hex: #require(Vector.success[algorithm])), at: Vector.time)
        #expect(response.isSuccess && response.isAuthenticated && response.code == .noError && response.signatureError == .noError)
    }

    @Test("a compressed key name, an answer without a question")
    func otherForms() throws {
        #expect(try Vector.request().response([UInt8](hex: Vector.compressed), at: Vector.time).isSuccess)
        let refused = try Vector.request().response([UInt8](hex: Vector.refused), at: Vector.time)
        #expect(refused.code == .refused && refused.isAuthenticated && !refused.isSuccess)
    }

    @Test("BADTIME says what the server's clock shows, and is authenticated")
    func badTime() throws {
        let response = try Vector.request().response([UInt8](hex: Vector.badTime), at: Vector.time)
        #expect(response.code == .notAuthoritative && response.signatureError == .badTime && response.isAuthenticated)
        #expect(response.serverTime == 1_700_004_000)
        #expect(response.reason.contains("1700004000"))
        // The signature covers the time: another one isn't believed.
        var forged = [UInt8](hex: Vector.badTime)
        forged[forged.count - 1] ^= 1
        #expect(throws: DNSUpdateError.self) { try Vector.request().response(forged, at: Vector.time) }
    }

    @Test("BADKEY and BADSIG come unsigned", arguments: [(16, UpdateResponseCode.badSignature), (17, UpdateResponseCode.badKey)])
    func unsignedErrors(_ number: Int, _ code: UpdateResponseCode) throws {
        let octets = [UInt8](
            hex: "1234a8090000000000000001 07706f737465726e096b6172746170756365047465737400 00fa00ff00000000001d 0b686d61632d73686132353600"
                + "000000000000012c 0000 1234 00" + String(number, radix: 16) + "0000")
        let response = try Vector.request().response(octets, at: Vector.time)
        #expect(response.code == .notAuthoritative && response.signatureError == code && !response.isAuthenticated && !response.isSuccess)
        // The same record doesn't vouch for a success.
        var success = octets
        success[3] = 0
        #expect(try !Vector.request().response(success, at: Vector.time).isSuccess)
        // Without an error in it, it is an answer whose signature was taken away.
        var stripped = octets
        stripped[stripped.count - 3] = 0
        #expect(throws: DNSUpdateError.self) { try Vector.request().response(stripped, at: Vector.time) }
    }

    @Test("no octet of an answer can be changed")
    func everyOctet() throws {
        let octets = [UInt8](hex: try #require(Vector.success[.hmacSHA256]))
        let request = try Vector.request()
        for index in octets.indices {
            // The time of the signature and the fudge are covered, so are all others; upper and lower case of names are the same.
            for bit in [UInt8(1), 0x20, 0x80] {
                var changed = octets
                changed[index] ^= bit
                let response = try? request.response(changed, at: Vector.time)
                let isSameName = bit == 0x20 && (octets[index] | 0x20 != octets[index] || (0x61...0x7A).contains(octets[index]))
                #expect(response?.isSuccess != true || isSameName, "octet \(index)")
            }
        }
        for length in 0..<octets.count {
            #expect(throws: DNSUpdateError.self) { try request.response(Array(octets.prefix(length)), at: Vector.time) }
        }
    }

    private func code(_ octets: [UInt8], at time: Date = Vector.time, _ request: SignedUpdate? = nil) throws -> DNSUpdateError.Code? {
        do {
            _ = try (request ?? Vector.request()).response(octets, at: time)
            return nil
        } catch { return (error as? DNSUpdateError)?.code }
    }

    @Test("an answer holds within the fudge before and after (RFC 8945 §5.2.3)")
    func time() throws {
        let octets = [UInt8](hex: try #require(Vector.success[.hmacSHA256]))
        // It was signed 2 seconds after the request, with a fudge of 300.
        #expect(try code(octets, at: Vector.time + 302) == nil)
        #expect(try code(octets, at: Vector.time + 303) == .invalidTime)
        #expect(try code(octets, at: Vector.time - 298) == nil)
        #expect(try code(octets, at: Vector.time - 299) == .invalidTime)
    }

    @Test("answers that aren't this request's")
    func others() throws {
        let octets = [UInt8](hex: try #require(Vector.success[.hmacSHA256]))
        // The same exchange a second later: the request's code is another, and the answer's covers it.
        let later = try SignedUpdate(Vector.message(), identifier: 0x1234, key: Vector.key(), at: Vector.time + 1)
        #expect(try code(octets, later) == .invalidSignature)
        #expect(try code(octets, Vector.request(.hmacSHA512)) == .otherKey)
        let renamed = try TransactionKey(name: DomainName("other.kartapuce.test"), algorithm: .hmacSHA256, secret: Vector.secret)
        #expect(try code(octets, SignedUpdate(Vector.message(), identifier: 0x1234, key: renamed, at: Vector.time)) == .otherKey)
        #expect(try code(octets, SignedUpdate(Vector.message(), identifier: 0x1235, key: Vector.key(), at: Vector.time)) == .otherMessage)
        #expect(try code(Vector.request().octets) == .otherMessage)
        #expect(try code([UInt8](hex: "1234a8000000000000000000")) == .unsigned)
        let zone = try DomainName("gmail.test")
        let elsewhere = try SignedUpdate(UpdateMessage(zone: zone, changes: []), identifier: 0x1234, key: Vector.key(), at: Vector.time)
        #expect(try code(octets, elsewhere) == .otherMessage)
        // Without a key, an answer without a signature is what there is.
        let unsigned = try SignedUpdate(Vector.message(), identifier: 0x1234, key: nil, at: Vector.time)
        let answer = try unsigned.response([UInt8](hex: "1234a8000000000000000000"), at: Vector.time)
        #expect(answer.isSuccess && !answer.isAuthenticated)
    }

    @Test(
        "malformed answers",
        arguments: [
            // A pointer to itself, one forwards, one to a pointer to itself; a label of an unknown kind; TSIG before another record.
            "1234a8000000000100000000 c00c 0001 0001 00000000 0000", "1234a8000000000100000000 c010 0001 0001 00000000 0000",
            "1234a8000000000100000000 40 0001 0001 00000000 0000", "1234a8000000000100000000 00 0001 0001 00000000 0005 00",
            "1234a8000000000000000002 00 00fa 00ff 00000000 0011 00 000000000000 0000 0000 1234 0000 0000 00 0001 0001 00000000 0000",
            "1234a8000000000100000000 00 00fa 00ff 00000000 0011 00 000000000000 0000 0000 1234 0000 0000",
            "1234a8000000000000000001 00 00fa 00ff 00000000 0010 00 000000000000 0000 0000 1234 0000 0000", "1234a8000000000000000000 00",
        ])
    func malformed(_ hex: String) throws {
        #expect(try code([UInt8](hex: hex)) == .malformed)
    }
}
