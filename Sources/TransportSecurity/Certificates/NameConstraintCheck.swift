internal import SwiftASN1
internal import X509

/// What an authority may certify (RFC 5280 §4.2.1.10).
struct NameConstraintCheck {
    private let permitted: [GeneralName]
    private let excluded: [GeneralName]

    init(_ constraints: NameConstraints) {
        permitted = constraints.permittedSubtrees
        excluded = constraints.excludedSubtrees
    }

    /// A name of the certificate, a server's or an authority's, that the authority may not certify; `nil` where it may certify all.
    func violation(by certificate: Certificate, isServer: Bool) -> String? {
        var names: [GeneralName] = []
        if !certificate.subject.isEmpty { names.append(.directoryName(certificate.subject)) }
        do {
            names += try certificate.extensions.subjectAlternativeNames.map { Array($0) } ?? []
        } catch {
            return "a certificate whose names can't be read"
        }
        // Whoever compares a server's common name where there is no DNS name must constrain it too.
        let presented = CertificateNames(certificate)
        if isServer, presented.dnsNames.isEmpty, let common = presented.commonName, !common.utf8.contains(0x20) { names.append(.dnsName(common)) }
        for name in names {
            if excluded.contains(where: { Self.isWithin(name, $0, counting: .excluded) }) { return "\(name)" }
            let rules = permitted.filter { Self.isSameKind($0, name) }
            if !rules.isEmpty, !rules.contains(where: { Self.isWithin(name, $0, counting: .permitted) }) { return "\(name)" }
        }
        return nil
    }

    private enum Side {
        case permitted, excluded
    }

    private static func isSameKind(_ left: GeneralName, _ right: GeneralName) -> Bool {
        switch (left, right) {
        case (.dnsName, .dnsName), (.directoryName, .directoryName), (.ipAddress, .ipAddress), (.rfc822Name, .rfc822Name),
            (.uniformResourceIdentifier, .uniformResourceIdentifier), (.otherName, .otherName), (.registeredID, .registeredID),
            (.x400Address, .x400Address), (.ediPartyName, .ediPartyName):
            true
        default: false
        }
    }

    private static func isWithin(_ name: GeneralName, _ rule: GeneralName, counting side: Side) -> Bool {
        switch (name, rule) {
        case (.dnsName(let name), .dnsName(let base)): return isWithin(host: name, base, counting: side)
        case (.directoryName(let name), .directoryName(let base)): return name.isWithin(base)
        case (.ipAddress(let address), .ipAddress(let range)): return isWithin(Array(address.bytes), Array(range.bytes))
        case (.rfc822Name(let name), .rfc822Name(let base)):
            guard let at = name.lastIndex(of: "@") else { return side == .excluded }
            let host = String(name[name.index(after: at)...])
            if base.contains("@") { return name.lowercased() == base.lowercased() }
            return base.hasPrefix(".") ? isWithin(host: host, base, counting: side) : host.lowercased() == base.lowercased()
        default:
            // RFC 5280 §4.2.1.10: what isn't examined is refused; it counts as excluded, and as not permitted.
            return side == .excluded && isSameKind(name, rule)
        }
    }

    private static func isWithin(host: String, _ base: String, counting side: Side) -> Bool {
        let name = host.lowercased()
        let base = base.lowercased()
        guard !base.isEmpty else { return true }
        if base.hasPrefix(".") { return name.hasSuffix(base) }
        if name == base || name.hasSuffix("." + base) { return true }
        // A wildcard stands for names that may be excluded.
        guard side == .excluded, name.hasPrefix("*.") else { return false }
        return base.hasSuffix(name.dropFirst(1))
    }

    private static func isWithin(_ address: [UInt8], _ range: [UInt8]) -> Bool {
        guard range.count == address.count * 2 else { return false }
        return address.indices.allSatisfy { address[$0] & range[$0 + address.count] == range[$0] & range[$0 + address.count] }
    }
}
