import DNS
import FoundationEssentials

// What several keys must mean together. It runs only on a configuration whose single values are right.

extension Configuration {
    func checkMeaning(_ reader: inout ConfigurationReader) {
        checkRoles(&reader)
        checkRoutes(&reader)
        checkWebmail(&reader)
        checkListeners(&reader)
        checkLinks(&reader)
        checkAmounts(&reader)
        checkMonitoring(&reader)
        checkProxies(&reader)
        checkMilter(&reader)
        checkIndicators(&reader)
        checkReports(&reader)
        checkPolicies(&reader)
        checkClients(&reader)
        checkCertificates(&reader)
        checkDNS(&reader)
    }

    private func checkProxies(_ reader: inout ConfigurationReader) {
        for (index, listener) in listeners.enumerated() where !listener.proxies.isEmpty {
            let keys = ["listeners.\(index).proxies", "listeners.\(index)", "listeners"]
            switch listener.kind {
            case .smtp, .submission, .submissions, .imap, .imaps: break
            case .link, .control, .https, .policy:
                reader.report(.error, keys: keys, "a listener \(listener.kind.rawValue) takes no PROXY header: leave the key out")
            }
            if let network = listener.proxies.first(where: { $0.prefixLength < 8 }) {
                reader.report(.error, keys: keys, "\(network) is nearly the whole internet: everybody there could claim any address; name the proxies")
            }
        }
    }

    private func checkMonitoring(_ reader: inout ConfigurationReader) {
        guard let monitoring, !monitoring.address.isLoopback else { return }
        reader.report(
            .error, keys: ["monitoring.address", "monitoring"],
            "metrics are told in clear and to everybody who asks: give a loopback address, and let an agent on this machine hand them on")
    }

    /// Whether a role is played here, or by a peer that mail can be handed to.
    private func reaches(_ wanted: Set<Role>) -> Bool {
        !roles.isDisjoint(with: wanted) || wanted.contains { peers[$0]?.linkPort != nil }
    }

    private var routesEveryOwnDomain: Bool { domains.allSatisfy { routes[$0.ascii] != nil } }

    private func checkRoutes(_ reader: inout ConfigurationReader) {
        let own = Set(domains.map(\.ascii))
        for (name, route) in routes.sorted(by: { $0.key < $1.key }) {
            let keys = ["routes.\(name)", "routes"]
            if !own.contains(name), !roles.contains(.relay) {
                reader.report(
                    .warning, keys: keys, "\(name == Self.everyOtherDomain ? "the internet" : name) is sent to by role relay only; the route isn't used here")
            }
            if route.transport == .smtp, route.security == .plain {
                reader.report(
                    .warning, keys: ["routes.\(name).security"] + keys,
                    "all mail to \(route.host) goes unencrypted; opportunistic takes TLS where it is offered")
            }
            if route.recipients == .any, !own.contains(name) {
                reader.report(
                    .warning, keys: ["routes.\(name).recipients"] + keys, "concerns own domains only: nobody may send to \(name) from outside")
            }
        }
    }

    private func checkRoles(_ reader: inout ConfigurationReader) {
        if roles.contains(.mx), !reaches([.store, .internal]), !routesEveryOwnDomain {
            reader.report(
                .error, keys: ["peers.store", "peers", "routes", "roles"],
                "role mx needs the host that holds the mailboxes: add role store, peers.store with host, address and linkPort, or routes for all domains"
            )
        }
        for role in [Role.submission, .internal] where roles.contains(role) {
            if !reaches([.relay]) {
                reader.report(
                    .error, keys: ["peers.relay", "peers", "roles"],
                    "role \(role.rawValue) needs the host that sends to the internet: add role relay, or peers.relay with host, address and linkPort"
                )
            }
        }
        if roles.contains(.submission), !reaches([.store, .internal]) {
            reader.report(
                .error, keys: ["peers.store", "peers", "roles"],
                "role submission needs the host that holds the mailboxes: add role store, or peers.store (or internal) with host, address and linkPort"
            )
        }
        if roles.contains(.internal), !reaches([.store]) {
            reader.report(
                .warning, keys: ["peers.store", "peers", "roles"],
                "role internal delivers to local users; without role store here or peers.store with a linkPort they get no mail")
        }
        if roles.contains(.mx), roles.contains(.relay) {
            reader.report(
                .warning, keys: ["roles"],
                "mx and relay share one process: whoever breaks into the one that faces the internet can send as the other; separate hosts are safer"
            )
        }
        for role in roles.sorted(by: { $0.rawValue < $1.rawValue }) where peers[role] != nil {
            reader.report(
                .warning, keys: ["peers.\(role.rawValue)"], "this process plays role \(role.rawValue) itself; the peer is not used for it")
        }
    }

    /// The webmail is the host that is most likely to be broken into: nothing else may be found there.
    private func checkWebmail(_ reader: inout ConfigurationReader) {
        if peers[.webmail] != nil {
            reader.report(.error, keys: ["peers.webmail", "peers"], "no host speaks with the webmail, and it has no link certificate; remove the peer")
        }
        guard roles.contains(.webmail) else {
            if webmail != nil { reader.report(.warning, keys: ["webmail"], "is used by role webmail only, which this process doesn't play") }
            return
        }
        if roles != [.webmail] {
            reader.report(
                .error, keys: ["roles"],
                "role webmail can't share a process with another role: whoever breaks into it would have what the others hold; run it with a configuration of its own"
            )
        }
        if webmail == nil {
            reader.report(
                .error, keys: ["webmail", "roles"],
                "role webmail needs the section webmail with imapHost, imapAddress, submissionHost and submissionAddress")
        }
        if link != nil {
            reader.report(
                .error, keys: ["link"], "role webmail must not hold a link certificate, which opens other hosts; remove the section and its files")
        }
    }

    private func checkListeners(_ reader: inout ConfigurationReader) {
        for (index, listener) in listeners.enumerated() {
            let keys = ["listeners.\(index)", "listeners.\(listener.kind.rawValue)", "listeners", "roles"]
            let name = "listener \(listener.kind.rawValue) on \(listener.address):\(listener.port)"
            if listener.kind.roles.isDisjoint(with: roles) {
                let wanted = Role.allCases.filter(listener.kind.roles.contains).map(\.rawValue).joined(separator: " or ")
                reader.report(.error, keys: keys, "\(name) needs role \(wanted); add the role or remove the listener")
            }
            switch listener.kind {
            case .submission, .submissions, .imap, .imaps, .https:
                if certificate == nil {
                    reader.report(
                        .error, keys: ["certificate"] + keys,
                        "\(name) needs a certificate, because passwords are taken under TLS only: add certificate with certificate and key")
                }
            case .policy:
                if certificate == nil {
                    reader.report(
                        .error, keys: ["certificate"] + keys,
                        "\(name) needs a certificate for mta-sts. of the domains (and autoconfig. and autodiscover., with section clients), or nobody believes what it tells: add certificate with certificate and key"
                    )
                }
            case .link, .control:
                if link == nil {
                    reader.report(
                        .error, keys: keys, "\(name) needs link with certificate, key and authority; postern pki issue makes them")
                }
            case .smtp:
                if certificate == nil {
                    reader.report(
                        .warning, keys: keys, "\(name) has no certificate, so that all mail from the internet arrives unencrypted")
                }
            }
            let isRepeated = listeners[..<index].contains { $0.port == listener.port && $0.address == listener.address }
            if isRepeated { reader.report(.error, keys: keys, "\(name): another listener has the same address and port") }
        }
        let kinds = Set(listeners.map(\.kind))
        func needs(_ role: Role, _ wanted: Set<Listener.Kind>, _ severity: ConfigurationProblem.Severity, _ effect: String) {
            guard roles.contains(role), kinds.isDisjoint(with: wanted) else { return }
            let names = Listener.Kind.allCases.filter(wanted.contains).map(\.rawValue).joined(separator: " or ")
            reader.report(severity, keys: ["listeners", "roles"], "role \(role.rawValue) has no listener \(names): \(effect)")
        }
        needs(.mx, [.smtp], .error, "no mail can arrive; add one")
        needs(.submission, [.submission, .submissions], .error, "no user can send mail; add one")
        needs(.internal, [.submission, .submissions], .warning, "no user can send mail here")
        needs(.webmail, [.https], .error, "nobody can reach it; add one")
        needs(.store, [.imap, .imaps], .warning, "no user can read mail here")
        if roles.contains(.relay), roles.isDisjoint(with: [.submission, .internal]) {
            needs(.relay, [.link], .error, "no mail can come from the inside; add one")
        }
        if roles.contains(.store), roles.isDisjoint(with: [.mx]) {
            needs(.store, [.link], .error, "no mail can come from mx; add one")
        }
    }

    private func checkLinks(_ reader: inout ConfigurationReader) {
        for role in Role.allCases {
            guard let peer = peers[role] else { continue }
            if link == nil {
                reader.report(
                    .error, keys: ["peers.\(role.rawValue)", "peers"],
                    "a peer needs link with certificate, key and authority, to prove who we are; postern pki issue makes them")
            }
            if peer.linkPort == nil, peer.controlPort == nil {
                reader.report(
                    .error, keys: ["peers.\(role.rawValue)", "peers"],
                    "has neither linkPort nor controlPort, so that nothing can be done with it; add one")
            }
            // Architecture: control is dialled from the inside out.
            if peer.controlPort != nil, roles.isSubset(of: [.mx, .relay]) {
                reader.report(
                    .warning, keys: ["peers.\(role.rawValue).controlPort", "peers.\(role.rawValue)"],
                    "hosts of the DMZ are dialled for control, they don't dial; remove it")
            }
        }
    }

    private func checkAmounts(_ reader: inout ConfigurationReader) {
        if queue.delayWarningSeconds >= queue.expireSeconds {
            reader.report(
                .warning, keys: ["queue.delayWarningSeconds", "queue.expireSeconds"],
                "isn't shorter than expireSeconds, so that nobody is ever warned; make it shorter")
        }
        if limits.memoryPerMessageBytes > limits.memoryBudgetBytes {
            reader.report(
                .error, keys: ["limits.memoryPerMessageBytes", "limits.memoryBudgetBytes"],
                "one message may take more memory than memoryBudgetBytes allows for all; lower memoryPerMessageBytes")
        }
        if limits.connectionsPerNetwork > limits.connections {
            reader.report(
                .warning, keys: ["limits.connectionsPerNetwork", "limits.connections"],
                "connectionsPerNetwork is larger than connections, so that one network can take them all")
        }
        for network in limits.bareLineFeedNetworks where network.prefixLength == 0 {
            reader.report(
                .error, keys: ["limits.bareLineFeedNetworks"],
                "\(network.address)/0 is everybody, which opens the door to SMTP smuggling; name the clients that need it"
            )
        }
        if (resolver.secureProbe == nil) != (resolver.bogusProbe == nil) {
            reader.report(
                .warning, keys: ["resolver.secureProbe", "resolver.bogusProbe"],
                "one probe alone proves nothing: give secureProbe and bogusProbe")
        }
    }

    /// Looks whether the files that the configuration names are there.
    func checkFiles(_ reader: inout ConfigurationReader) {
        var files: [(key: String, path: String)] = []
        if let certificate {
            files += [("certificate.certificate", certificate.certificate), ("certificate.key", certificate.key)]
        }
        if certificate == nil, !certificates.isEmpty {
            reader.report(.error, keys: ["certificates"], "needs the section certificate, which everybody gets who asks for no name")
        }
        for (index, further) in certificates.enumerated() {
            files += [("certificates.\(index).certificate", further.certificate), ("certificates.\(index).key", further.key)]
        }
        if let link {
            files += [("link.certificate", link.certificate), ("link.key", link.key), ("link.authority", link.authority)]
        }
        files += authorities.map { ("authorities", $0) }
        if let file = resolver.trustAnchorFile { files.append(("resolver.trustAnchorFile", file)) }
        if let file = resolver.rootHintsFile { files.append(("resolver.rootHintsFile", file)) }
        if let file = web.authorities { files.append(("web.authorities", file)) }
        if let file = authentication.bimi.markAuthorities { files.append(("authentication.bimi.markAuthorities", file)) }
        if let file = dns?.updateKeyFile { files.append(("dns.updateKeyFile", file)) }
        if let acme {
            // It makes these itself.
            files.removeAll { $0.key.hasPrefix("certificate.") }
            for (key, path) in [
                ("updateKeyFile", acme.updateKeyFile), ("externalSecretFile", acme.externalSecretFile), ("directoryAuthority", acme.directoryAuthority),
            ] { if let path { files.append(("acme.\(key)", path)) } }
        }
        for (key, path) in files where !FileManager.default.isReadableFile(atPath: path) {
            reader.report(.error, keys: [key], "\(path) doesn't exist or can't be read by this user")
        }
        for (key, path) in files where key.hasSuffix(".key") {
            guard let mode = try? FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int else { continue }
            if mode & 0o077 != 0 {
                reader.report(.warning, keys: [key], "\(path) can be read by other users; chmod 600 it")
            }
        }
    }
}
