import Testing
import TransportSecurity

struct RequireTLSTests {
    @Test(arguments: [" No", "No", "\tno \r\n", " NO", "\r\n No"]) func theFieldSaysNo(value: String) {
        #expect(TLSRequiredField.read([Array(value.utf8)]) == .no)
    }

    @Test(arguments: ["Yes", "", "No; x", "No No", "N o", "Nö"]) func everythingElseIsInvalid(value: String) {
        guard case .invalid = TLSRequiredField.read([Array(value.utf8)]) else {
            Issue.record("“\(value)” was taken")
            return
        }
    }

    @Test func severalFieldsAreInvalid() {
        #expect(TLSRequiredField.read([]) == .absent)
        guard case .invalid = TLSRequiredField.read([Array("No".utf8), Array("No".utf8)]) else {
            Issue.record("two fields were taken")
            return
        }
    }

    /// RFC 8689 §4.1.
    @Test func theParameterOutranksTheField() {
        #expect(TLSTag(hasParameter: true, field: .no) == .required)
        #expect(TLSTag(hasParameter: false, field: .no) == .optional)
        #expect(TLSTag(hasParameter: false, field: .invalid("")) == .none)
        #expect(TLSTag(hasParameter: false, field: .absent) == .none)
    }

    /// RFC 8689 §4.2.1, every combination.
    @Test func theTable() {
        for bits in 0..<16 {
            let host = RequireTLSDecision.Host(
                isNameAuthentic: bits & 1 != 0, isEncrypted: bits & 2 != 0, isCertificateAuthentic: bits & 4 != 0, offersRequireTLS: bits & 8 != 0)
            let expected: RequireTLSDecision =
                bits & 1 == 0
                ? .refuse(.hostNotAuthentic)
                : bits & 2 == 0
                    ? .refuse(.noTLS) : bits & 4 == 0 ? .refuse(.certificateNotAuthentic) : bits & 8 == 0 ? .refuse(.notOffered) : .send(withParameter: true)
            #expect(RequireTLSDecision(tag: .required, isNotice: false, host: host) == expected)
            // RFC 8689 §5: a notice isn't lost.
            #expect(RequireTLSDecision(tag: .required, isNotice: true, host: host) == .send(withParameter: bits == 15))
            #expect(RequireTLSDecision(tag: .none, isNotice: false, host: host) == .send(withParameter: false))
            #expect(RequireTLSDecision(tag: .optional, isNotice: false, host: host) == .send(withParameter: false))
        }
        #expect(RequireTLSFailure.allCases.map(\.enhancedStatus) == ["5.7.10", "5.7.10", "5.7.10", "5.7.30"])
    }
}
