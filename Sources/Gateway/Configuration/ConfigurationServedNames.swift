import ACME
import DNS
import FoundationEssentials
import TransportSecurity

extension Configuration {
    /// The names that strangers ask the listener `policy` for, each of which a certificate must have.
    private var servedHosts: [DomainName] {
        domains.flatMap { domain in
            [
                mtaSTS == nil ? nil : try? domain.prefixed(with: "mta-sts"), clients == nil ? nil : Self.autoconfigHost(of: domain),
                clients == nil ? nil : Self.autodiscoverHost(of: domain),
            ].compactMap { $0 }
        }
    }

    private var hasPolicyListener: Bool { listeners.contains { $0.kind == .policy } }

    /// Whether an authority is asked for the names.
    func checkOrderedNames(_ reader: inout ConfigurationReader) {
        guard hasPolicyListener, let acme else { return }
        tellMissing(acme.names, keys: ["acme.names", "acme"], "add them to acme.names", &reader)
    }

    /// Whether the certificates that are there have the names.
    func checkServedNames(_ reader: inout ConfigurationReader) {
        // What an authority is asked for comes by itself.
        guard hasPolicyListener, acme == nil, let certificate else { return }
        var names: [CertificateName] = []
        for files in [certificate] + certificates {
            // That a file can't be read is said elsewhere.
            guard let text = FileManager.default.contents(atPath: files.certificate), let first = (try? PEMCertificates.parse(Array(text)))?.first else {
                return
            }
            names += PeerCertificate(octets: first).summary.names.compactMap { try? CertificateName($0) }
        }
        tellMissing(names, keys: ["certificate.certificate", "certificate"], "have a certificate with them", &reader)
    }

    private func tellMissing(_ names: [CertificateName], keys: [String], _ advice: String, _ reader: inout ConfigurationReader) {
        let missing = servedHosts.filter { host in !names.contains { $0.covers(host) } }
        guard !missing.isEmpty else { return }
        reader.report(
            .warning, keys: keys,
            "there is no \(missing.map(\.ascii).joined(separator: ", ")), and whoever asks there for policies or settings believes no other certificate: \(advice)"
        )
    }
}

extension CertificateName {
    /// Whether a certificate with this name is one for a host (RFC 9525 §6.3).
    fileprivate func covers(_ host: DomainName) -> Bool { isWildcard ? host.parent == domain : host == domain }
}
