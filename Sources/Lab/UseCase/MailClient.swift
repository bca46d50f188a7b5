public import Foundation

/// The people's mail program: curl, which shares no code with Postern.
public struct MailClient: Sendable {
    public let plan: AddressPlan
    /// The authority whose certificates it trusts (PEM).
    public let authorityFile: String

    public init(plan: AddressPlan, authorityFile: String) {
        self.plan = plan
        self.authorityFile = authorityFile
    }

    /// A server to talk to. The name is what its certificate must have.
    public struct Server: Sendable, Hashable {
        public enum Security: Sendable, Hashable { case implicitTLS, startTLS, none }
        public var host: String
        public var address: String
        public var port: Int
        public var security: Security
        public init(host: String, address: String, port: Int, security: Security) {
            self.host = host
            self.address = address
            self.port = port
            self.security = security
        }
    }

    public struct Login: Sendable, Hashable {
        public var user: String
        public var password: String
        public init(user: String, password: String) {
            self.user = user
            self.password = password
        }
    }

    /// What came of an attempt to send.
    public struct Outcome: Sendable, Hashable {
        /// Whether the server took the message.
        public var accepted: Bool
        /// The code of the refusal, or of the last reply; `nil` where the session broke off without one.
        public var code: Int?
        /// That reply as it was sent.
        public var reply: String
        /// Everything that was said.
        public var dialogue: String
    }

    /// Sends one message in a session of its own.
    public func send(
        _ message: SampleMessage,
        to recipients: [String],
        from sender: String,
        by server: Server,
        as login: Login?,
        sourceAddress: String
    ) async throws -> Outcome {
        let scratch = try LabFiles.temporaryFolder("mail")
        defer { LabFiles.remove(scratch) }
        try LabFiles.write(message.content, to: "\(scratch)/message")
        let scheme = server.security == .implicitTLS ? "smtps" : "smtp"
        var arguments = common(server, sourceAddress: sourceAddress, login: login)
        arguments += ["--url", "\(scheme)://\(server.host):\(server.port)/laptop.\(sender.split(separator: "@").last ?? "invalid")"]
        arguments += ["--mail-from", sender] + recipients.flatMap { ["--mail-rcpt", $0] }
        arguments += ["--upload-file", "\(scratch)/message"]
        if server.security == .startTLS { arguments.append("--ssl-reqd") }
        let result = try await Command.run("curl", arguments, launcher: plan.launcher(at: sourceAddress), timeout: .seconds(180))
        let dialogue = result.errors.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("< ") || $0.hasPrefix("> ") }.joined(separator: "\n")
        let replies = dialogue.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("< ") }.map { $0.dropFirst(2) }
        // After a refusal curl still says QUIT: the refusal is the reply that counts.
        let refusal = replies.first { (Int($0.prefix(3)) ?? 0) >= 400 }
        let counted = (result.succeeded ? replies.last { $0.hasPrefix("250") } : refusal) ?? replies.last ?? ""
        return Outcome(
            accepted: result.succeeded,
            code: Int(counted.prefix(3)),
            reply: counted.trimmingCharacters(in: .whitespacesAndNewlines),
            dialogue: dialogue.isEmpty ? result.errors : dialogue
        )
    }

    /// Reads a message from somebody's inbox over IMAPS; `nil` where no such message is there (yet).
    public func fetch(messageID: String, of login: Login, from server: Server, sourceAddress: String) async throws -> Data? {
        let mailbox = "imaps://\(server.host):\(server.port)/INBOX"
        let base = common(server, sourceAddress: sourceAddress, login: login)
        let search = try await Command.run(
            "curl",
            base + ["--url", mailbox, "--request", "UID SEARCH HEADER Message-ID \"\(messageID)\""],
            launcher: plan.launcher(at: sourceAddress),
            timeout: .seconds(60)
        )
        guard search.succeeded else {
            throw LabError(.processFailed, "reading \(login.user)'s mail failed: \(search.errors.suffix(1500))")
        }
        let identifiers = search.outputText.split(whereSeparator: \.isNewline)
            .filter { $0.hasPrefix("* SEARCH") || $0.hasPrefix("* ESEARCH") }
            .flatMap { $0.split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) } }
        guard let identifier = identifiers.last else { return nil }
        let fetched = try await Command.run(
            "curl", base + ["--url", "\(mailbox)/;UID=\(identifier)"], launcher: plan.launcher(at: sourceAddress), timeout: .seconds(120))
        guard fetched.succeeded else {
            throw LabError(.processFailed, "fetching \(login.user)'s message failed: \(fetched.errors.suffix(1500))")
        }
        guard fetched.output.prefix(64 * 1024).range(of: Data(messageID.utf8)) != nil else {
            throw LabError(
                .processFailed,
                "UID \(identifier) of \(login.user) isn't \(messageID), though the search named it:\n\(search.errors.suffix(1500))\n\(fetched.errors.suffix(1500))"
            )
        }
        return fetched.output
    }

    private func common(_ server: Server, sourceAddress: String, login: Login?) -> [String] {
        var arguments = [
            "--silent", "--show-error", "--verbose", "--cacert", authorityFile, "--resolve", "\(server.host):\(server.port):\(server.address)",
            "--interface", sourceAddress, "--connect-timeout", "10",
        ]
        if let login { arguments += ["--user", "\(login.user):\(login.password)"] }
        return arguments
    }
}
