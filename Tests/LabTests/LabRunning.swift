import Foundation
import MailTesting
import Testing

@testable import Lab

/// Brings Kartapuce up once for a suite and all suites in it, and stops it after the last test.
struct LabRunning: SuiteTrait, TestScoping {
    let network: Int

    @TaskLocal static var running: Kartapuce?

    /// The laboratory of the suite that is running.
    static var kartapuce: Kartapuce {
        get throws { try #require(running, "the suite doesn't bring up a laboratory") }
    }

    @concurrent
    func provideScope(for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void) async throws {
        let options = Kartapuce.Options(binary: try posternBinary(), plan: AddressPlan(network: network))
        let kartapuce = try await Kartapuce.start(options) { print("lab: \($0)") }
        do {
            try await Self.$running.withValue(kartapuce) { try await function() }
        } catch {
            await kartapuce.stop()
            throw error
        }
        await kartapuce.stop()
    }
}

extension SuiteTrait where Self == LabRunning {
    /// The suite's tests find Kartapuce running on addresses 127.N.0.0/16.
    static func kartapuce(network: Int) -> Self { LabRunning(network: network) }
}

/// All tests that need the whole laboratory, one after the other: they share it, and some of them crash its hosts.
@Suite(.serialized, .timeLimit(.minutes(5)), .kartapuce(network: 84))
struct InteropKartapuceTests {}

/// A program that plays a client, written in Python: its libraries share no code with Postern.
struct PythonClient {
    let kartapuce: Kartapuce

    /// Runs a script after the common part; `lab` there has the addresses, names and passwords. The script ends with exit code 0 if it saw what it should.
    ///
    /// - Parameter layer: where the script starts programs that aren't installed in the system, the layer that has them.
    func run(
        _ script: String,
        _ arguments: [String] = [],
        layer: PeerLayer? = nil,
        timeout: Duration = .seconds(120)
    ) async throws -> CommandResult {
        let facts: [String: String] = [
            "ca": kartapuce.authorityFile, "folder": kartapuce.folder, "mail": kartapuce.plan.mail, "smtp": kartapuce.plan.smtp, "msa": kartapuce.plan.msa,
            "internalsmtp": kartapuce.plan.internalsmtp, "imap": kartapuce.plan.imap, "bob": Kartapuce.bob.user,
            "bobs_password": Kartapuce.bob.password, "jack": Kartapuce.jack.user, "jacks_password": Kartapuce.jack.password,
            "outside": kartapuce.plan.attacker,
        ]
        let json = String(decoding: try JSONSerialization.data(withJSONObject: facts), as: UTF8.self)
        let input = Data((Self.common + script).utf8)
        guard let layer else { return try await Command.run("python3", ["-", json] + arguments, input: input, timeout: timeout) }
        // Programs resolve names as the system does: by a hosts file of their own.
        let overrides = try LabFiles.temporaryFolder("etc")
        defer { LabFiles.remove(overrides) }
        let names = ["msa": kartapuce.plan.msa, "internalsmtp": kartapuce.plan.internalsmtp, "imap": kartapuce.plan.imap]
        let hosts = names.map { "\($0.value) \($0.key).kartapuce.test\n" }.joined()
        try LabFiles.write("127.0.0.1 localhost\n\(hosts)", to: "\(overrides)/hosts")
        return try await layer.run(overrides: overrides, program: "/usr/bin/python3", ["-", json] + arguments, input: input, timeout: timeout)
    }

    private static let common = #"""
        import base64, json, socket, ssl, sys, time
        lab = json.loads(sys.argv[1])
        arguments = sys.argv[2:]
        hosts = {name + ".kartapuce.test": lab[name] for name in ("mail", "smtp", "msa", "internalsmtp", "imap")}
        resolve = socket.getaddrinfo
        # Names of the laboratory without its resolver, so that certificates are checked against names.
        socket.getaddrinfo = lambda host, *more, **named: resolve(hosts.get(host, host), *more, **named)
        trusting = ssl.create_default_context(cafile=lab["ca"])

        class Session:
            """A raw SMTP session, without any politeness of a library."""
            def __init__(self, host, port, tls=False, source=None):
                self.name = host + ".kartapuce.test"
                self.socket = socket.create_connection((lab[host], port), timeout=30, source_address=(source or lab["outside"], 0))
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if tls: self.start_tls()
                self.buffer = b""
            def start_tls(self):
                self.socket = trusting.wrap_socket(self.socket, server_hostname=self.name)
                self.buffer = b""
            def send(self, octets):
                self.socket.sendall(octets)
            def reply(self):
                """One reply as (code, text); code 0 when the server has closed."""
                lines = []
                while True:
                    while b"\r\n" not in self.buffer:
                        try: more = self.socket.recv(65536)
                        except (ConnectionError, ssl.SSLError): more = b""
                        if not more: return (0, "\n".join(lines))
                        self.buffer += more
                    line, self.buffer = self.buffer.split(b"\r\n", 1)
                    lines.append(line.decode("utf-8", "replace"))
                    if line[3:4] != b"-": return (int(line[:3]), "\n".join(lines))
            def say(self, command):
                try: self.send(command.encode() + b"\r\n")
                except OSError: return (0, "")
                return self.reply()
            def expect(self, command, *codes):
                answer = self.say(command) if command is not None else self.reply()
                assert answer[0] in codes, "%r was answered %r, expected %r" % (command, answer, codes)
                return answer
            def rest(self):
                """All replies until the server closes or falls silent."""
                self.socket.settimeout(3)
                replies = []
                try:
                    while True:
                        answer = self.reply()
                        if answer[0] == 0: return replies
                        replies.append(answer)
                except (TimeoutError, socket.timeout): return replies

        """#
}
