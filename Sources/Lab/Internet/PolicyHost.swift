import Foundation

/// The web server that gives out policies of MTA-STS (RFC 8461 §3.3): Python's, which shares no code with Postern. It serves several names, each with a certificate
/// of its own.
actor PolicyHost {
    /// What one name gives out, and how it proves itself.
    struct Site: Sendable {
        var policy: String
        var certificate: PublicAuthority.Issued
    }

    /// The edition that the laboratory's domains name at first.
    static let firstEdition = "20261101T000000Z"

    nonisolated let address: String
    private let name: String
    private let plan: AddressPlan
    private let folder: String
    private var sites: [String: Site] = [:]
    private var child: ChildProcess?

    init(name: String, address: String, plan: AddressPlan, folder: String) throws {
        self.name = name
        self.address = address
        self.plan = plan
        self.folder = folder
        try LabFiles.makeFolder(folder)
        try LabFiles.write(Self.script, to: "\(folder)/policy-host.py")
    }

    /// A policy as RFC 8461 §3.2 writes it.
    static func policy(mode: String = "enforce", exchangers: [String], maximumAge: Int = 604_800) -> String {
        (["version: STSv1", "mode: \(mode)"] + exchangers.map { "mx: \($0)" } + ["max_age: \(maximumAge)", ""]).joined(separator: "\r\n")
    }

    /// Changes what a name gives out, from the next connection on; `nil`: nothing, not even a certificate.
    func publish(_ site: Site?, at name: String) throws {
        sites[name] = site
        let written = sites.mapValues { ["policy": $0.policy, "certificate": $0.certificate.certificate, "key": $0.certificate.key] }
        // At once: the server reads the file whenever somebody comes.
        try JSONSerialization.data(withJSONObject: written).write(to: URL(fileURLWithPath: "\(folder)/sites.json"), options: .atomic)
    }

    /// Starts it; returns when it answers.
    func start() async throws {
        guard child == nil else { return }
        let child = try ChildProcess(
            name: name, program: "python3", arguments: ["\(folder)/policy-host.py", address, "\(folder)/sites.json"],
            launcher: plan.launcher(at: address), folder: folder, logFile: "\(folder)/policy-host.log")
        self.child = child
        try await Waiting.until("the policy host at \(address) answering", timeout: .seconds(20)) { () -> Bool? in
            guard child.isRunning else { throw LabError(.processFailed, "the policy host at \(address) ended:\n\(child.lastLines())") }
            return await Waiting.accepts(address: address, port: 443, in: plan) ? true : nil
        }
    }

    /// Ends it: nobody answers there any more.
    func stop() async {
        await child?.stop()
        child = nil
    }

    private static let script = """
        import http.server, json, socketserver, ssl, sys
        address, file = sys.argv[1:3]

        def site(name):
            with open(file) as text: return json.load(text).get((name or "").lower())

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, timeout = "HTTP/1.1", 10
            def do_GET(self):
                name = self.headers.get("Host", "").split(":")[0]
                found = site(name)
                sys.stderr.write("%s GET %s\\n" % (name, self.path))
                if found is None or self.path != "/.well-known/mta-sts.txt": return self.send_error(404)
                body = found["policy"].encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True
            def log_message(self, *arguments): pass

        # Each name has its own certificate; who asks for another name gets none.
        def choose(connection, name, context):
            found = site(name)
            if found is None: return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            chosen = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            chosen.load_cert_chain(found["certificate"], found["key"])
            connection.context = chosen

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, request_queue_size = True, True, 64
            # Somebody who connects and leaves is nothing to tell.
            def handle_error(self, request, client): sys.stderr.write("- failed: %r\\n" % (sys.exc_info()[1],))

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = choose
        server = Server((address, 443), Handler)
        # The handshake is the connection's own matter: whoever dawdles keeps nobody else waiting.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.serve_forever()

        """
}
