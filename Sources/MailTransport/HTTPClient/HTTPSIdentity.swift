import DNS

/// Whether a certificate is that of a host (RFC 9525 §6): by its DNS-IDs alone, never by the common name.
enum HTTPSIdentity {
    /// What was found.
    enum Match: Equatable {
        /// This name is the host's.
        case name(String)
        /// This pattern covers the host.
        case wildcard(String)
        /// None of the names fits.
        case none
    }

    /// Compares.
    /// - Parameter names: the certificate's DNS-IDs in lower case.
    static func match(_ names: [String], host: DomainName) -> Match {
        let host = host.ascii
        if names.contains(host) { return .name(host) }
        // RFC 9525 §6.3: the wildcard is the complete left-most label, the only one, and stands for exactly one label.
        guard let dot = host.firstIndex(of: ".") else { return .none }
        let parent = host[host.index(after: dot)...]
        // Deliberate: `*.test` is no organisation's name (RFC 9525 §7.1 speaks of public suffixes); two labels are the least.
        guard parent.contains(".") else { return .none }
        let pattern = "*.\(parent)"
        return names.contains(pattern) ? .wildcard(pattern) : .none
    }
}
