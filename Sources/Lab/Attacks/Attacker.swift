import NIOSSL

/// The attacker with all that he has: places on the way, servers of his own, and certificates. What he hasn't are the keys of others.
actor Attacker {
    /// What he has instead of the keys that he would need.
    private struct Certificates {
        /// Made by himself, for every name.
        let selfMade: PublicAuthority.Issued
        /// From the authority that everybody trusts, with the right names, and out of date.
        let expired: PublicAuthority.Issued
        /// From that authority, for his own names.
        let own: PublicAuthority.Issued
    }

    private let kartapuce: Kartapuce
    private let certificates: Certificates
    private let dns: DNSInterceptor
    /// The web server where forged answers of the DNS lead.
    private let forgedPolicyHost: PolicyHost
    private let providersCertificate: PublicAuthority.Issued
    private var interceptors: [AttackCase: SMTPInterceptor] = [:]
    private var ownPolicyHosts: [AttackCase: PolicyHost] = [:]

    init(_ kartapuce: Kartapuce, cases: [AttackCase]) async throws {
        guard let dns = kartapuce.servers.interceptor else { throw LabError(.processFailed, "the laboratory was started without attacks") }
        self.kartapuce = kartapuce
        self.dns = dns
        let folder = "\(kartapuce.folder)/attacker"
        try LabFiles.makeFolder(folder)
        let names = cases.flatMap { [$0.exchanger, $0.policyName] }
        let workshop = try await PublicAuthority(folder: "\(folder)/authority")
        certificates = Certificates(
            selfMade: try await workshop.issue(host: "self-made", names: names, addresses: []),
            expired: try await kartapuce.authority.issueExpired(host: "expired", names: names),
            own: try await kartapuce.authority.issue(host: "mail.\(LabNames.attackersDomain)", names: cases.map(\.attackersExchanger), addresses: []))
        // One certificate serves all policy hosts of the provider's domains.
        providersCertificate = try await kartapuce.authority.issue(
            host: "policies.\(LabNames.unsignedDomain)", names: cases.filter(\.hasPolicy).map(\.policyName) + [LabNames.unsignedDomain], addresses: [])
        forgedPolicyHost = try PolicyHost(name: "forged-policy-host", address: kartapuce.plan.attacker, plan: kartapuce.plan, folder: "\(folder)/policy-host")
        try await forgedPolicyHost.start()
        for item in cases { try await prepare(item) }
    }

    private func prepare(_ item: AttackCase) async throws {
        let plan = kartapuce.plan
        let interceptor = try SMTPInterceptor(upstream: plan.provider, source: plan.attacker)
        interceptors[item] = interceptor
        try await interceptor.start(at: item.attackersAddress(plan))
        guard item.hasPolicy else { return }
        if item.hasOwnPolicyHost {
            let host = try PolicyHost(
                name: item.label, address: item.policyHost(plan), plan: plan, folder: "\(kartapuce.folder)/attacker/\(item.label)")
            ownPolicyHosts[item] = host
            try await host.start()
        }
        try await publish(item, mode: "enforce")
    }

    /// Has the domain's own policy host give out its policy.
    private func publish(_ item: AttackCase, mode: String) async throws {
        try await (ownPolicyHosts[item] ?? kartapuce.policyHost).publish(
            .init(policy: PolicyHost.policy(mode: mode, exchangers: [item.exchanger]), certificate: providersCertificate), at: item.policyName)
    }

    /// What he could read of a case.
    func transcript(of item: AttackCase) -> Transcript { interceptors[item]?.transcript ?? Transcript() }

    // MARK: The attacks

    func begin(_ item: AttackCase) async throws {
        let plan = kartapuce.plan
        let recordTypes = (address: UInt16(1), exchanger: UInt16(15), text: UInt16(16), tlsa: UInt16(52))
        var certificate = certificates.selfMade
        switch item.attack {
        case .starttlsStripped: return interceptors[item]?.play(.strip) ?? ()
        case .starttlsRefused: return interceptors[item]?.play(.refuse) ?? ()
        case .handshakeBroken: return interceptors[item]?.play(.breakOff) ?? ()
        case .responseInjected: return interceptors[item]?.play(.inject) ?? ()
        case .selfSigned: break
        case .expired: certificate = certificates.expired
        case .otherName: certificate = certificates.own
        case .exchangerChanged:
            certificate = certificates.own
            dns.forge(item.domain, recordTypes.exchanger, .records([DNSInterceptor.exchanger(item.attackersExchanger)]))
        case .zoneTampered:
            // The octets of the address, and nothing else: whatever was signed stays as it was.
            let change = DNSInterceptor.Forgery.replacing(
                DNSInterceptor.address(plan.provider), with: DNSInterceptor.address(item.attackersAddress(plan)))
            dns.forge(item.exchanger, recordTypes.address, change)
            dns.forge(item.domain, recordTypes.exchanger, change)
        case .tlsaRemoved: dns.forge("_25._tcp.\(item.exchanger)", recordTypes.tlsa, .nothing)
        case .tlsaBlocked: dns.forge("_25._tcp.\(item.exchanger)", recordTypes.tlsa, .failure)
        case .recordRemoved: dns.forge(item.recordName, recordTypes.text, .nothing)
        case .policyHostDown:
            await ownPolicyHosts[item]?.stop()
            if item.hasPolicy { dns.forge(item.recordName, recordTypes.text, edition("20261102T000000Z")) }
        case .policyHostForged:
            guard item.hasPolicy else { break }
            try await forgePolicyHost(item, with: certificates.selfMade)
            dns.forge(item.recordName, recordTypes.text, edition("20261102T000000Z"))
        case .policyShrunk: if item.hasPolicy { try await publish(item, mode: "none") }
        case .policyReplayed:
            guard item.hasPolicy else { break }
            try await forgePolicyHost(item, with: certificates.expired)
            dns.forge(item.recordName, recordTypes.text, edition("20251101T000000Z"))
        }
        interceptors[item]?.play(.impersonate(try Self.context(certificate)))
    }

    /// Leads whoever asks for the domain's policy host to the attacker's, where no policy is worth anything.
    private func forgePolicyHost(_ item: AttackCase, with certificate: PublicAuthority.Issued) async throws {
        try await forgedPolicyHost.publish(
            .init(policy: PolicyHost.policy(mode: "none", exchangers: [], maximumAge: 86_400), certificate: certificate), at: item.policyName)
        dns.forge(item.policyName, 1, .records([DNSInterceptor.address(kartapuce.plan.attacker)]))
    }

    private func edition(_ id: String) -> DNSInterceptor.Forgery { .records([DNSInterceptor.text("v=STSv1; id=\(id)")]) }

    /// The attacker goes away, and everything is again as its owners want it.
    func end(_ item: AttackCase) async throws {
        for (name, type) in [
            (item.domain, UInt16(15)), (item.exchanger, 1), ("_25._tcp.\(item.exchanger)", 52), (item.recordName, 16), (item.policyName, 1),
        ] { dns.forge(name, type, nil) }
        interceptors[item]?.play(.pass)
        guard item.hasPolicy else { return }
        try await publish(item, mode: "enforce")
        try await ownPolicyHosts[item]?.start()
    }

    func stop() async {
        for interceptor in interceptors.values { await interceptor.stop() }
        for host in ownPolicyHosts.values { await host.stop() }
        await forgedPolicyHost.stop()
    }

    private static func context(_ issued: PublicAuthority.Issued) throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMFile(issued.certificate).map { NIOSSLCertificateSource.certificate($0) }
        return try NIOSSLContext(
            configuration: .makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(try NIOSSLPrivateKey(file: issued.key, format: .pem))))
    }
}
