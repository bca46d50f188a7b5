import MailAuthentication

/// A server that mail programs are told of, by SRV, Autoconfig or Autodiscover.
struct ClientServer: Hashable {
    enum Service: String, Hashable { case imap, pop3, submission }
    enum Security: String, Hashable { case tls, startTLS, none }

    var service: Service
    /// In lower case, without the dot at the end.
    var host: String
    var port: Int
    var security: Security

    init(_ service: Service, _ host: String, _ port: Int, _ security: Security) {
        self.service = service
        self.host = host.lowercased()
        self.port = port
        self.security = security
    }

    /// `imap.kartapuce.test:993`
    var place: String { "\(host):\(port)" }

    /// The servers in an answer of Autoconfig (version 1.1) or of Autodiscover (MS-OXDSCLI §2.2.4). What somebody else wrote: read with small limits.
    /// - Throws: why it can't be read.
    static func read(_ octets: [UInt8]) throws -> [ClientServer] {
        var limits = XMLEventReader.Limits()
        limits.size = PostureChecker.settingsLimit
        limits.depth = 16
        limits.elements = 2000
        limits.attributes = 20
        limits.textLength = 64 * 1024
        limits.allowsProcessingInstructions = true
        var path: [String] = []
        var fields: [String: String]?
        var servers: [ClientServer] = []
        try XMLEventReader(limits: limits).read(octets) { event in
            switch event {
            case .start(let name, let attributes, _):
                path.append(name.local)
                if Self.isServer(path) {
                    fields = Dictionary(attributes.map { ($0.name.local.lowercased(), $0.value) }, uniquingKeysWith: { first, _ in first })
                }
            case .end:
                if Self.isServer(path), let found = fields {
                    if let server = ClientServer(found) { servers.append(server) }
                    fields = nil
                }
                path.removeLast()
            case .text(let text):
                guard let key = path.last?.lowercased(), Self.isServer(Array(path.dropLast())), fields?[key] == nil else { break }
                fields?[key] = text.filter { !$0.isWhitespace }
            case .processingInstruction: break
            }
        }
        return servers
    }

    private static func isServer(_ path: [String]) -> Bool {
        path.count == 3 && path[0] == "clientConfig" && ["incomingServer", "outgoingServer"].contains(path[2])
            || path == ["Autodiscover", "Response", "Account", "Protocol"]
    }

    /// Of the elements of one server: Autoconfig's hostname, port and socketType, or Autodiscover's Server, Port, SSL and Encryption.
    private init?(_ fields: [String: String]) {
        guard let type = fields["type"]?.lowercased(), let host = fields["hostname"] ?? fields["server"], !host.isEmpty,
            let port = fields["port"].flatMap(Int.init), (1...65535).contains(port)
        else { return nil }
        let service: Service
        switch type {
        case "imap": service = .imap
        case "pop3": service = .pop3
        case "smtp": service = .submission
        // Others, such as Exchange's own, are nobody's here.
        default: return nil
        }
        let security: Security
        if let socket = fields["sockettype"]?.lowercased() {
            security = socket == "ssl" ? .tls : socket == "starttls" ? .startTLS : .none
        } else {
            // Encryption outranks SSL, which is on where nothing is said.
            let isOn = fields["ssl"]?.lowercased() != "off"
            security =
                switch fields["encryption"]?.lowercased() {
                case "ssl": .tls
                case "tls", "auto": .startTLS
                case "none": .none
                default: isOn ? .tls : .none
                }
        }
        self.init(service, host.hasSuffix(".") ? String(host.dropLast()) : host, port, security)
    }
}
