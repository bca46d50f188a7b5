/// The web server of the public authority, with the list of the certificates that it has taken back (RFC 5280 §5): Python's. Lists are signed and fetched without
/// TLS, or checking a certificate would need another one.
struct RevocationHost: Sendable {
    private let child: ChildProcess

    /// Starts it; returns when it answers.
    init(plan: AddressPlan, authority: PublicAuthority, folder: String) async throws {
        try LabFiles.makeFolder(folder)
        let address = plan.revocationHost
        let child = try ChildProcess(
            name: "revocation-host", program: "python3",
            arguments: ["-m", "http.server", "80", "--bind", address, "--directory", authority.publicFolder],
            launcher: plan.launcher(at: address), folder: folder, logFile: "\(folder)/revocation-host.log")
        self.child = child
        do {
            try await Waiting.until("the authority's web server at \(address) answering", timeout: .seconds(20)) { () -> Bool? in
                guard child.isRunning else { throw LabError(.processFailed, "the web server at \(address) ended:\n\(child.lastLines())") }
                return await Waiting.accepts(address: address, port: 80, in: plan) ? true : nil
            }
        } catch {
            await child.stop()
            throw error
        }
    }

    func stop() async { await child.stop() }
}
