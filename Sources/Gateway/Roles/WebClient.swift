import DNS
import MailTransport
import NIOCore

extension HTTPSClient {
    /// A client for what other organisations publish, within the limits of section `web`.
    init(_ web: Configuration.WebSettings, tls: TLSClientContext, resolver: any DNS.Resolver, group: any EventLoopGroup) {
        var limits = Limits()
        limits.total = .seconds(web.timeoutSeconds)
        self.init(
            resolver: resolver, tls: tls, group: group, limits: limits,
            isAllowed: { address in !address.isSpecial || web.specialNetworks.contains { $0.contains(address.unmapped) } })
    }
}
