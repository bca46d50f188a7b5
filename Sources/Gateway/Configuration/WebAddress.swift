import DNS

/// A URL of HTTPS taken apart: the host is a name, since a certificate has to prove it.
struct WebAddress {
    let host: DomainName
    let port: Int
    /// The path and the query.
    let target: String

    /// `nil` for everything else.
    init?(_ url: String) {
        guard url.lowercased().hasPrefix("https://"), url.utf8.count <= 2048, url.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        let rest = url.dropFirst(8)
        let authority = rest.prefix { !"/?#".contains($0) }
        let target = rest.dropFirst(authority.count).prefix { $0 != "#" }
        let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let host = DomainName(configured: String(parts[0])) else { return nil }
        guard let port = parts.count == 2 ? Int(parts[1]) : 443, (1...65535).contains(port) else { return nil }
        self.host = host
        self.port = port
        self.target = target.hasPrefix("/") ? String(target) : "/" + target
    }
}
