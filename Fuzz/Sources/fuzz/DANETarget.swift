import DNS
import FoundationEssentials
import TransportSecurity

/// The verification of chains. The input is a text with TLSA records, a line `====`, and certificates in PEM, or one in DER.
enum DANETarget {
    private static let references = ["kartapuce.test", "mx.kartapuce.test"].compactMap { try? DomainName($0) }

    static func run(_ data: [UInt8]) {
        let input = Input(data)
        let (text, rest) = input.halves
        guard let records = try? TLSARecord.records(parsing: String(decoding: text, as: UTF8.self)) else { return }
        let chain = (try? PEMCertificates.parse(rest)).flatMap { $0.isEmpty ? nil : $0 } ?? [rest]
        for octets in chain.prefix(DANEVerifier.chainLimit) {
            let certificate = PeerCertificate(octets: octets)
            if certificate.problem == nil { require(!certificate.subjectPublicKeyInfo.isEmpty, "a certificate that can be read has no key") }
        }
        let evaluation = DANEVerifier(records: records, references: references).verify(chain: chain, at: fuzzedTime)
        require(evaluation.records.count == records.count, "\(evaluation.records.count) of \(records.count) records")
        switch evaluation.result {
        case .pass:
            require(evaluation.problems.isEmpty && evaluation.depth != nil, "a pass with problems")
            let decided = evaluation.records.filter(\.decided)
            require(decided.count == 1 && decided.allSatisfy { $0.unusable == nil && !$0.isSuperseded }, "a pass that no record decided")
            let isEndEntity = decided.first?.record.usage == 3
            require(isEndEntity || evaluation.matchedName != nil, "a trust anchor without a name")
        case .fail: require(!evaluation.problems.isEmpty && evaluation.resultType != nil, "a failure without a reason")
        case .unusable: require(evaluation.records.allSatisfy { $0.unusable != nil }, "a record could have been used")
        case .none: require(records.isEmpty, "records were passed over")
        }
        let roots = PKIXRoots(certificates: Array(chain.dropFirst()))
        let trusted = PKIXVerifier(roots: roots).verify(chain.map { PeerCertificate(octets: $0) }, names: references, at: fuzzedTime)
        require(trusted.isValid == trusted.problems.isEmpty, "a valid chain with problems")
        require(!trusted.isValid || trusted.matchedName != nil && roots.count > 0, "a valid chain without a name or a root")
    }
}
