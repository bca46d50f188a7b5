import DNS
import Testing
import TransportSecurity

struct TLSARecordTests {
    @Test(arguments: [
        "3 1 1 00ff", "  3\t1 1 00 fF ; a comment", "DANE-EE SPKI SHA2-256 00FF", "dane-ee spki sha2-256 0 0f f",
        "_25._tcp.mx.kartapuce.test. 3600 IN TLSA 3 1 1 00ff", "_25._tcp.mx.kartapuce.test. TLSA ( 3 1 1 00\n  ff )",
        "_25._tcp.mx.kartapuce.test 3 1 1 00ff", "IN TLSA 3 1 1 00ff\r", "TLSA \\# 5 03010100ff", "\\# 5 0301 0100ff", "TYPE52 3 1 1 00ff", "\n\n3 1 1 00ff\n",
        // Other control characters separate too; they made the parser run in circles.
        "3 1 1 00\u{0}ff\u{B}",
    ]) func formsOfOneRecord(text: String) throws {
        let record = try TLSARecord(parsing: text)
        #expect(record == TLSARecord(usage: 3, selector: 1, matchingType: 1, data: [0, 255]))
        #expect(record.description == "3 1 1 00ff")
        #expect(TLSARecord(wire: record.wire) == record)
    }

    @Test func privateNumbersAndSeveralLines() throws {
        let records = try TLSARecord.records(parsing: "; none yet\nPrivCert PrivSel PrivMatch aa\n2 0 1 bb ; one\n\n0 1 2 cc")
        #expect(records.map(\.description) == ["255 255 255 aa", "2 0 1 bb", "0 1 2 cc"])
        #expect(try TLSARecord.records(parsing: "").isEmpty)
    }

    @Test(arguments: [
        ("3 1 1", TLSARecordError.Code.noData), ("3 1", .missingField), ("3 1 1 0", .oddDigits), ("3 1 1 xx", .invalidDigit), ("256 1 1 00", .invalidNumber),
        ("3 -1 1 00", .invalidNumber), ("3 1 1 (00", .unbalancedParentheses), ("3 1 1 00)", .unbalancedParentheses), ("hello", .notTLSA),
        ("\\# 4 030101", .invalidLength), ("\\# 3 030101", .noData), ("3 1 1 " + String(repeating: "00", count: 65_533), .tooLong),
    ]) func faults(text: String, code: TLSARecordError.Code) {
        #expect(throws: TLSARecordError.self) { try TLSARecord.records(parsing: text) }
        do throws(TLSARecordError) {
            _ = try TLSARecord.records(parsing: text)
        } catch {
            #expect(error.code == code, "\(error)")
        }
    }

    @Test func wireHasLimits() {
        #expect(TLSARecord(wire: [3, 1]) == nil)
        #expect(TLSARecord(wire: [3, 1, 1])?.data.isEmpty == true)
        #expect(TLSARecord(wire: Array(repeating: 0, count: 65_536)) == nil)
    }

    @Test func whatCannotBeUsedSaysWhy() throws {
        let digest = [UInt8](repeating: 1, count: 32)
        func unusable(_ usage: UInt8, _ selector: UInt8, _ matching: UInt8, _ data: [UInt8]) -> TLSARecord.Unusable? {
            TLSARecord(usage: usage, selector: selector, matchingType: matching, data: data).unusable
        }
        #expect(unusable(3, 1, 1, digest) == nil)
        #expect(unusable(2, 0, 2, digest + digest) == nil)
        #expect(unusable(0, 0, 1, digest) == .pkixUsage)
        #expect(unusable(1, 1, 1, digest) == .pkixUsage)
        #expect(unusable(4, 1, 1, digest) == .unknownUsage)
        #expect(unusable(255, 1, 1, digest) == .unknownUsage)
        #expect(unusable(3, 2, 1, digest) == .unknownSelector)
        #expect(unusable(3, 1, 3, digest) == .unknownMatchingType)
        #expect(unusable(3, 1, 1, digest + [1]) == .digestLength(found: 33, expected: 32))
        #expect(unusable(3, 1, 2, digest) == .digestLength(found: 32, expected: 64))
        #expect(unusable(3, 1, 1, []) == .digestLength(found: 0, expected: 32))
        let authority = try TestAuthority()
        for usage: UInt8 in [2, 3] {
            #expect(unusable(usage, 0, 0, try authority.root.octets) == nil)
            #expect(unusable(usage, 0, 0, try authority.root.octets + [0]) == .notACertificate)
            #expect(unusable(usage, 0, 0, Array(try authority.root.octets.dropLast())) == .notACertificate)
            #expect(unusable(usage, 0, 0, []) == .notACertificate)
            #expect(unusable(usage, 1, 0, try authority.root.octets) == .notAKey)
            #expect(unusable(usage, 1, 0, PeerCertificate(octets: try authority.root.octets).subjectPublicKeyInfo) == nil)
            #expect(unusable(usage, 1, 0, [0x30, 0]) == .notAKey)
        }
    }
}
