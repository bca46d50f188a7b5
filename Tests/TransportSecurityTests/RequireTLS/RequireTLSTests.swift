import MailMessage
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

    /// RFC 8689 §4.2.1.
    @Test func eachFailureHasItsCode() {
        #expect(RequireTLSFailure.allCases.map { $0.enhancedStatus.description } == ["5.7.10", "5.7.10", "5.7.10", "5.7.30"])
    }
}
