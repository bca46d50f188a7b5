import ArgumentParser
import DNS
import FoundationEssentials
import Gateway

/// `postern pki`.
struct PKICommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pki", abstract: "Make the internal authority and the certificates of links between hosts.",
        subcommands: [PKIInitCommand.self, PKIIssueCommand.self, PKIServerCommand.self, PKIShowCommand.self])
}

/// What a command says about a certificate.
struct CertificateSummary: Encodable {
    var subject: String
    var issuer: String
    var serial: String
    var notBefore: Date
    var notAfter: Date
    var isAuthority: Bool
    var hosts: [String]
    var addresses: [String]
    var roles: [String]
    var sha256: String
    var files: IssuedCertificate.Files?

    init(_ facts: CertificateFacts, files: IssuedCertificate.Files? = nil) {
        subject = facts.subject
        issuer = facts.issuer
        serial = facts.serial
        notBefore = facts.notBefore
        notAfter = facts.notAfter
        isAuthority = facts.isAuthority
        hosts = facts.hosts
        addresses = facts.addresses.map(\.description)
        roles = facts.roles.map(\.rawValue)
        sha256 = facts.fingerprint
        self.files = files
    }

    var text: String {
        var lines = ["subject   \(subject)", "issuer    \(issuer)", "serial    \(serial)"]
        lines.append("valid     \(PeopleTime.text(notBefore)) to \(PeopleTime.text(notAfter))")
        if isAuthority { lines.append("use       authority: it issues certificates") }
        if !hosts.isEmpty { lines.append("hosts     \(hosts.joined(separator: ", "))") }
        if !addresses.isEmpty { lines.append("addresses \(addresses.joined(separator: ", "))") }
        if !roles.isEmpty { lines.append("roles     \(roles.joined(separator: ", "))") }
        lines.append("sha256    \(sha256)")
        if let files { lines += ["wrote     \(files.certificate)", "          \(files.key) (secret)", "          \(files.authority)"] }
        return lines.joined(separator: "\n")
    }
}

/// `postern pki init`.
struct PKIInitCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make a new internal authority.",
        discussion: "Its key opens every link of the organisation: keep the folder off the hosts, and back it up.")

    @Option(help: ArgumentHelp("The authority's folder; it must hold no authority yet.", valueName: "folder"), completion: .directory)
    var folder: String
    @Option(help: "The authority's name.")
    var name = "Postern internal authority"
    @Option(help: ArgumentHelp("How long it holds.", valueName: "days"))
    var days = 3650
    @OptionGroup var output: OutputOptions

    func execute() throws {
        let authority = try LinkAuthority.create(name: name, validity: Double(days) * 86_400)
        let files = try authority.save(folder: folder)
        let summary = CertificateSummary(try CertificateFacts(authority.certificate), files: files)
        try output.show(summary) { summary.text }
    }
}

/// `postern pki issue`.
struct PKIIssueCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue", abstract: "Make a host's link certificate: link.pem, link-key.pem, authority.pem.")

    @Option(help: ArgumentHelp("The authority's folder.", valueName: "folder"), completion: .directory)
    var folder: String
    @Option(help: "The host's full name.")
    var host: String
    @Option(
        name: .customLong("role"),
        help: ArgumentHelp("A role that the host plays (\(Configuration.Role.linked.map(\.rawValue).joined(separator: ", "))); repeat it."),
        completion: .list(Configuration.Role.linked.map(\.rawValue)),
        transform: { text in
            guard let role = Configuration.Role(rawValue: text) else {
                throw ValidationError("“\(text)” is none of the roles \(Configuration.Role.linked.map(\.rawValue).joined(separator: ", "))")
            }
            guard Configuration.Role.linked.contains(role) else {
                throw ValidationError("the webmail gets no link certificate: it stands in the DMZ and must open nothing but the mailbox of whoever logs in")
            }
            return role
        })
    var roles: [Configuration.Role] = []
    @Option(name: .customLong("out"), help: ArgumentHelp("Where the files are written.", valueName: "folder"), completion: .directory)
    var target: String
    @Option(help: ArgumentHelp("How long it holds.", valueName: "days"))
    var days = 397
    @OptionGroup var output: OutputOptions

    func execute() throws {
        let authority = try LinkAuthority.load(folder: folder)
        let issued = try authority.issue(host: host, roles: Set(roles), validity: Double(days) * 86_400)
        let files = try issued.write(folder: target, name: "link")
        let summary = CertificateSummary(try CertificateFacts(issued.certificate), files: files)
        try output.show(summary) { summary.text }
    }
}

/// `postern pki server`.
struct PKIServerCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "server", abstract: "Make a TLS certificate that clients see, signed by this authority: server.pem, server-key.pem.",
        discussion: "For labs and tests: clients outside trust public authorities only. The certificate opens no link.")

    @Option(help: ArgumentHelp("The authority's folder.", valueName: "folder"), completion: .directory)
    var folder: String
    @Option(name: .customLong("host"), help: "A name that clients use; repeat it.")
    var hosts: [String]
    @Option(
        name: .customLong("address"), help: "An address that clients use; repeat it.",
        transform: { text in
            guard let address = IPAddress(text) else { throw ValidationError("“\(text)” is no IP address") }
            return address
        })
    var addresses: [IPAddress] = []
    @Option(
        name: .customLong("out"), help: ArgumentHelp("Where the files are written; the authority's folder where it is absent.", valueName: "folder"),
        completion: .directory)
    var target: String?
    @Option(help: ArgumentHelp("The files' name without its end.", valueName: "name"))
    var name = "server"
    @Option(help: ArgumentHelp("How long it holds.", valueName: "days"))
    var days = 397
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if name.isEmpty || name.contains("/") || name == "authority" { throw ValidationError("--name must be a plain name, not “\(name)”") }
    }

    func execute() throws {
        let authority = try LinkAuthority.load(folder: folder)
        let issued = try authority.issueServer(hosts: hosts, addresses: addresses, validity: Double(days) * 86_400)
        let files = try issued.write(folder: target ?? folder, name: name)
        let summary = CertificateSummary(try CertificateFacts(issued.certificate), files: files)
        try output.show(summary) { summary.text }
    }
}

/// `postern pki show`.
struct PKIShowCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show what a certificate says.")

    @Argument(help: "PEM files of certificates, or the authority's folder.", completion: .file())
    var files: [String]
    @OptionGroup var output: OutputOptions

    func execute() throws {
        let summaries = try files.map { path in
            var isFolder = false
            let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
            return CertificateSummary(
                try CertificateFacts(file: exists && isFolder ? "\(path)/\(LinkAuthority.certificateFile)" : path))
        }
        try output.show(summaries) { summaries.map(\.text).joined(separator: "\n\n") }
    }
}
