import DNS

/// What mail programs are told of their settings: Autoconfig, and Autodiscover in its plain form.
extension PostureChecker {
    /// Octets of the largest answer that is read.
    public static let settingsLimit = 64 * 1024

    private static func autodiscoverRequest(_ domain: String) -> String {
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>\
        <EMailAddress>posture-check@\(domain)</EMailAddress>\
        <AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>\
        </Request></Autodiscover>
        """
    }

    /// A place to ask at.
    private struct Place {
        var host: DomainName
        var target: String
        var body: String?
        var lookups: [DNSLookup]
        var isThere: Bool { lookups.contains { $0.answer?.outcome == .records } }
    }

    /// - Parameter published: the servers of the SRV records.
    func settings(_ subject: PostureSubject, published: Set<ClientServer>) async -> [PostureFinding] {
        let name = subject.domain.ascii
        var places: [Place] = []
        for (label, target, body) in [
            ("autoconfig", "/mail/config-v1.1.xml?emailaddress=posture-check@\(name)", nil),
            ("autodiscover", "/autodiscover/autodiscover.xml", Self.autodiscoverRequest(name)),
        ] {
            guard let host = try? subject.domain.prefixed(with: label) else { continue }
            let lookups = [await ask(host, .aaaa), await ask(host, .a)]
            if let failure = lookups.compactMap(\.failure).first, !lookups.contains(where: { $0.answer?.outcome == .records }) {
                let code: PostureCode = failure.code == .bogus ? .dnssecBogus : .clientsUnknown
                return [PostureFinding(code, host.ascii, "gives no answer for its addresses: \(failure.reason)", lookups.map(PostureFinding.Evidence.init))]
            }
            places.append(Place(host: host, target: target, body: body, lookups: lookups))
        }
        let there = places.filter(\.isThere)
        guard !there.isEmpty else {
            // Whoever has no servers for mail programs has nothing to tell.
            guard !published.isEmpty else { return [] }
            let evidence = places.flatMap(\.lookups).map(PostureFinding.Evidence.init)
            return [PostureFinding(.clientsNoSettings, name, "has neither autoconfig.\(name) nor autodiscover.\(name)", evidence)]
        }
        guard let probe = probes.settings else {
            return [PostureFinding(.clientsSettingsUnchecked, name, "has hosts that tell mail programs their settings; nobody asked them")]
        }
        var findings: [PostureFinding] = []
        for place in there { findings.append(await judge(place, await probe.ask(place.host, place.target, body: place.body), published, subject)) }
        return findings
    }

    private func judge(_ place: Place, _ answer: PostureSettingsAnswer, _ published: Set<ClientServer>, _ subject: PostureSubject) async -> PostureFinding {
        let host = place.host.ascii
        let question = "\(place.body == nil ? "GET" : "POST") https://\(host)\(place.target)"
        func finding(_ code: PostureCode, _ text: String, _ answer: String) -> PostureFinding {
            PostureFinding(code, host, text, place.lookups.map(PostureFinding.Evidence.init) + [.init(.https, question, answer)])
        }
        let servers: [ClientServer]
        switch answer {
        case .failed(let reason):
            // Where every name leads somewhere, this one says nothing.
            if let stray = await ask("posture-check-nobody", below: subject.domain, .a), stray.answer?.outcome == .records {
                return finding(.clientsNoSettings, "leads where all names of the domain lead to, and tells nothing", reason)
            }
            return finding(.clientsSettingsWrong, "can't be asked for settings: \(reason)", reason)
        case .answered(200, let body):
            do { servers = try ClientServer.read(body) } catch {
                return finding(.clientsSettingsWrong, "gives an answer that can't be read: \(error)", "200")
            }
        case .answered(let status, _): return finding(.clientsNoSettings, "tells mail programs nothing", "\(status)")
        }
        let told = servers.filter { $0.service != .pop3 }
        let evidence = servers.map { "\($0.service.rawValue) \($0.place) \($0.security.rawValue)" }.joined(separator: ", ")
        guard !told.isEmpty else { return finding(.clientsNoSettings, "names no server for IMAP or submission", evidence.isEmpty ? "200" : evidence) }
        for service in [ClientServer.Service.imap, .submission] {
            let ofService = told.filter { $0.service == service }
            guard !ofService.isEmpty else { continue }
            guard ofService.contains(where: { $0.security == .tls }), !ofService.contains(where: { $0.security == .none }) else {
                return finding(
                    .clientsSettingsPlain, "leads mail programs to \(service.rawValue) at \(ofService[0].place) without encryption from the start", evidence)
            }
            let wanted = published.filter { $0.service == service }
            if !wanted.isEmpty, !ofService.contains(where: wanted.contains) {
                let places = wanted.map(\.place).sorted().joined(separator: ", ")
                return finding(.clientsSettingsDiffer, "names \(ofService[0].place) for \(service.rawValue), and the SRV record \(places)", evidence)
            }
        }
        let agreement = published.isEmpty ? "" : ", as the SRV records do"
        return finding(
            .clientsSettings, "tells mail programs \(told.filter { $0.security == .tls }.map(\.place).joined(separator: " and "))\(agreement)", evidence)
    }
}
