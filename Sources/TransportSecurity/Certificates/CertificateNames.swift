internal import DNS
internal import SwiftASN1
internal import X509

/// The DNS names that a certificate is for, and how they are compared (RFC 9525 §6, RFC 7672 §3.2.3).
struct CertificateNames {
    /// The DNS names of the subject alternative names, as they are written; `*.` at the front is a wildcard.
    let dnsNames: [String]
    /// The last common name of the subject, where there is no DNS name (RFC 7672 §3.2.3).
    let commonName: String?

    init(_ certificate: Certificate) {
        var names: [String] = []
        for case .dnsName(let name) in (try? certificate.extensions.subjectAlternativeNames) ?? SubjectAlternativeNames() { names.append(name) }
        dnsNames = names
        var common: String?
        if names.isEmpty {
            for name in certificate.subject {
                for attribute in name where attribute.type == Self.commonNameID { common = attribute.value.text }
            }
        }
        commonName = common
    }

    private static let commonNameID: ASN1ObjectIdentifier = [2, 5, 4, 3]

    /// The first reference that one of the names stands for.
    func match(_ references: [DomainName], takesCommonName: Bool) -> DomainName? {
        let presented = dnsNames.isEmpty && takesCommonName ? commonName.map { [$0] } ?? [] : dnsNames
        return references.first { reference in presented.contains { Self.matches($0, reference) } }
    }

    /// Whether a presented name stands for a reference: the same A-labels whatever their case, or a wildcard as the whole first label of
    /// at least three, for exactly one label.
    static func matches(_ presented: String, _ reference: DomainName) -> Bool {
        guard presented.utf8.count <= 255, presented.utf8.allSatisfy({ $0 < 0x80 && $0 != 0 }) else { return false }
        let name = presented.lowercased()
        guard name.hasPrefix("*.") else { return name == reference.ascii }
        let rest = name.dropFirst(2)
        // A wildcard for all names of a top level is nobody's.
        guard rest.contains("."), !rest.contains("*"), let dot = reference.ascii.firstIndex(of: "."), dot > reference.ascii.startIndex else { return false }
        return reference.ascii[reference.ascii.index(after: dot)...] == rest
    }
}

extension DistinguishedName {
    /// Whether two names are the same (RFC 5280 §7.1): as they are, or with the case of letters and runs of blanks aside.
    func isSame(as other: DistinguishedName) -> Bool { self == other || normalized == other.normalized }

    /// Whether the name lies below another or is it: its first parts are the same (RFC 5280 §4.2.1.10).
    func isWithin(_ base: DistinguishedName) -> Bool { normalized.starts(with: base.normalized) }

    /// The name for comparison: its parts, each of sorted attributes.
    var normalized: [[String]] {
        map { part in
            part.map { attribute in
                "\(attribute.type)=" + attribute.value.text.lowercased().split(separator: " ").joined(separator: " ")
            }.sorted()
        }
    }
}

extension RelativeDistinguishedName.Attribute.Value {
    /// The text of an attribute; its octets in digits where it isn't one.
    fileprivate var text: String {
        let text: String? = String(self)
        return text ?? description
    }
}
