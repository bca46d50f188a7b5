import DNS
import Foundation
import MailTesting
import Milter
import NIOCore

@testable import Lab

/// The keys that everybody signs with, and what the DNS has of them.
struct SigningKeys {
    /// PEM of the RSA key.
    var rsa: String
    /// PEM of the Ed25519 key.
    var ed25519: String
    /// Key records by their names.
    var records: [String: String]

    static let domain = "kartapuce.test"
}

/// How a message's header and body are canonicalised: `relaxed/simple`.
let canonicalizations = ["relaxed/relaxed", "simple/simple", "relaxed/simple", "simple/relaxed"]

/// dkimpy and Mail::DKIM, each a script that is asked once for everything.
struct ScriptPeer {
    private struct Question: Encodable {
        var key: String
        var records: [String: String]
        var canonicalizations: [String]
        var sign: [String]
        var verify: [String]
    }

    private struct Answer: Decodable {
        var signed: [String]
        var verified: [[String]]
    }

    let name: String
    private let file: String
    private let run: (_ file: String, _ input: Data) async throws -> CommandResult

    /// dkimpy, in the interpreter that `POSTERN_PEERS_PYTHON` names.
    static func dkimpy(folder: String) throws -> ScriptPeer {
        let interpreter = ProcessInfo.processInfo.environment["POSTERN_PEERS_PYTHON"] ?? "python3"
        return try ScriptPeer("dkimpy", script: python, folder: folder) { file, input in
            try await Command.run("/usr/bin/env", [interpreter, file], input: input, timeout: .seconds(240))
        }
    }

    /// Mail::DKIM, from the layer `authentication`.
    static func mailDKIM(folder: String) throws -> ScriptPeer {
        let layer = try PeerLayer("authentication")
        return try ScriptPeer("Mail::DKIM", script: perl, folder: folder) { file, input in
            try await layer.run(overrides: nil, program: "/usr/bin/perl", [file], input: input, timeout: .seconds(240))
        }
    }

    private init(_ name: String, script: String, folder: String, run: @escaping (String, Data) async throws -> CommandResult) throws {
        self.name = name
        self.run = run
        file = "\(folder)/\(name.filter(\.isLetter))"
        try LabFiles.write(script, to: file)
    }

    /// Has messages signed and others verified.
    /// - Returns: the signed messages, and for each verified one its signatures' results, the topmost first.
    func ask(_ keys: SigningKeys, sign: [Data], verify: [Data]) async throws -> (signed: [Data], verified: [[String]]) {
        let question = Question(
            key: keys.rsa, records: keys.records, canonicalizations: canonicalizations, sign: sign.map { $0.base64EncodedString() },
            verify: verify.map { $0.base64EncodedString() })
        let result = try await run(file, try JSONEncoder().encode(question))
        guard result.succeeded else { throw LabError(.processFailed, "\(name): \(result.errors.suffix(2000))") }
        let answer = try JSONDecoder().decode(Answer.self, from: result.output)
        return (answer.signed.compactMap { Data(base64Encoded: $0) }, answer.verified)
    }

    private static let python = #"""
        import base64, dkim, json, sys
        question = json.load(sys.stdin)
        def txt(name, timeout=5):
            name = name.decode() if isinstance(name, bytes) else name
            return question["records"].get(name.rstrip("."), "").encode() or None
        answer = {"signed": [], "verified": []}
        for index, text in enumerate(question["sign"]):
            message = base64.b64decode(text)
            forms = [word.encode() for word in question["canonicalizations"][index % 4].split("/")]
            field = dkim.sign(message, b"a", b"kartapuce.test", question["key"].encode(), canonicalize=tuple(forms))
            answer["signed"].append(base64.b64encode(field + message).decode())
        for text in question["verify"]:
            message = dkim.DKIM(base64.b64decode(text))
            results = []
            for index in range(sum(name.lower() == b"dkim-signature" for name, value in message.headers)):
                try: results.append("pass" if message.verify(index, dnsfunc=txt) else "fail")
                except dkim.ValidationError as error: results.append("fail")
            answer["verified"].append(results)
        json.dump(answer, sys.stdout)
        """#

    private static let perl = #"""
        use strict; use warnings;
        use JSON::PP; use MIME::Base64; use Mail::DKIM::Verifier; use Mail::DKIM::Signer; use Mail::DKIM::PrivateKey;
        my $question = decode_json(do { local $/; <STDIN> });
        my %records = %{$question->{records}};
        # Zones in the place of the DNS.
        package Record; sub type { 'TXT' } sub char_str_list { $_[0]{text} } sub txtdata { $_[0]{text} } sub rdatastr { '"' . $_[0]{text} . '"' }
        package main;
        sub ask { my ($name, $type) = @_; $records{$name} ? (bless {text => $records{$name}}, 'Record') : () }
        {
            no warnings 'redefine';
            *Mail::DKIM::DNS::query = \&ask;
            *Mail::DKIM::DNS::query_async = sub { my ($name, $type, %more) = @_; my @found = ask($name, $type); sub { $more{Callbacks}{Success}->(@found) } };
        }
        (my $pem = $question->{key}) =~ s/^-.*$//mg; $pem =~ s/\s//g;
        my $key = Mail::DKIM::PrivateKey->load(Data => $pem);
        my (@signed, @verified);
        for my $index (0 .. $#{$question->{sign}}) {
            my $message = decode_base64($question->{sign}[$index]);
            my $signer = Mail::DKIM::Signer->new(
                Algorithm => 'rsa-sha256', Method => $question->{canonicalizations}[$index % 4], Domain => 'kartapuce.test', Selector => 'a', Key => $key);
            $signer->PRINT($message); $signer->CLOSE;
            push @signed, encode_base64($signer->signature->as_string . "\r\n" . $message, '');
        }
        for my $text (@{$question->{verify}}) {
            my $verifier = Mail::DKIM::Verifier->new;
            $verifier->PRINT(decode_base64($text)); $verifier->CLOSE;
            # Debian's has no module for Ed25519 (RFC 8463), which is a result of its own.
            push @verified, [map { $_->algorithm =~ /^ed25519/ ? 'unknown' : $_->result } $verifier->signatures];
        }
        print encode_json({signed => \@signed, verified => \@verified});
        """#
}

/// The real opendkim, a milter: signs what comes from inside, and says of the rest what it is worth.
final class OpenDKIM {
    let canonicalization: String
    private let child: ChildProcess
    private let inside: MilterTestClient
    private let outside: MilterTestClient
    private var number = 0

    static let host = "opendkim.kartapuce.test"

    /// Starts one in a folder of its own, which signs in one way.
    init(_ keys: SigningKeys, canonicalization: String, algorithm: String = "rsa-sha256", folder: String) async throws {
        self.canonicalization = canonicalization
        try LabFiles.makeFolder(folder)
        let port = try FreePorts.take(1)[0]
        let selector = algorithm.hasPrefix("rsa") ? "a" : "b"
        try LabFiles.write(algorithm.hasPrefix("rsa") ? keys.rsa : keys.ed25519, to: "\(folder)/key.pem", permissions: 0o600)
        try LabFiles.write("key \(SigningKeys.domain):\(selector):\(folder)/key.pem\n", to: "\(folder)/keys")
        try LabFiles.write("*@\(SigningKeys.domain) key\n", to: "\(folder)/signing")
        // Records of more than 255 octets are one line here.
        try LabFiles.write(keys.records.map { "\($0.key) \($0.value)\n" }.joined(), to: "\(folder)/records")
        try LabFiles.write(
            """
            Mode sv
            Socket inet:\(port)@127.0.0.1
            KeyTable file:\(folder)/keys
            SigningTable refile:\(folder)/signing
            SignatureAlgorithm \(algorithm)
            Canonicalization \(canonicalization)
            InternalHosts 127.0.0.1
            TestPublicKeys \(folder)/records
            AuthservID \(Self.host)
            AlwaysAddARHeader yes
            On-Default accept
            MinimumKeyBits 1024
            # The folder of a test is below one that everybody may write to.
            RequireSafeKeys no
            Syslog no
            PidFile \(folder)/pid

            """, to: "\(folder)/opendkim.conf")
        child = try PeerLayer("authentication").start(
            name: "opendkim", overrides: nil, program: "/usr/sbin/opendkim", ["-f", "-x", "\(folder)/opendkim.conf"], folder: folder)
        do {
            try await Waiting.until("opendkim answering", timeout: .seconds(20)) { [child] () -> Bool? in
                guard child.isRunning else { throw LabError(.processFailed, "opendkim ended:\n\(child.lastLines())") }
                return await Waiting.accepts(address: "127.0.0.1", port: port) ? true : nil
            }
            inside = try await Self.session(port, from: .v4(0x7F00_0001))
            outside = try await Self.session(port, from: .v4(0xCB00_7107))
        } catch {
            await child.stop()
            throw error
        }
    }

    func stop() async {
        await inside.close()
        await outside.close()
        await child.stop()
    }

    private static func session(_ port: Int, from address: IPAddress) async throws -> MilterTestClient {
        let client = try await MilterTestClient(port: port)
        guard case .negotiate? = try await client.begin() else { throw LabError(.processFailed, "opendkim doesn't negotiate") }
        try await client.say(
            .connect(MilterConnection(hostName: "mail.kartapuce.test", peer: .internet(address, port: 40_000))), .helo("mail.kartapuce.test"))
        return client
    }

    /// The message with opendkim's signature in front.
    func sign(_ message: Data) async throws -> Data {
        let fields = try await process(message, inside).filter { $0.name.lowercased() == "dkim-signature" }
        guard let field = fields.first, fields.count == 1 else { throw LabError(.processFailed, "opendkim didn't sign:\n\(child.lastLines())") }
        return Data("\(field.name):\(field.value)\r\n".utf8) + message
    }

    /// What it says of each signature, in the words of RFC 8601.
    func verify(_ message: Data) async throws -> [String] {
        let fields = try await process(message, outside).filter { $0.name.lowercased() == "authentication-results" }
        return fields.flatMap { field in field.value.matches(of: /dkim=([a-z]+)/).map { String($0.output.1) } }
    }

    /// Hands a message over as an MTA does; the fields that it puts in.
    private func process(_ message: Data, _ client: MilterTestClient) async throws -> [(name: String, value: String)] {
        guard let end = message.range(of: Data("\r\n\r\n".utf8)) else { throw LabError(.processFailed, "no end of the header") }
        number += 1
        // All at once: a thousand messages have many commands.
        var commands: [MilterCommand] = [
            .macros(for: UInt8(ascii: "M"), ["i": "\(number)"]), .mail(MilterPath("<bob@\(SigningKeys.domain)>")), .recipient(MilterPath("<jack@gmail.test>")),
            .data,
        ]
        // Each field with its folds; values are octets, as they stand.
        var fields: [Data] = []
        for line in Self.lines(message[..<end.lowerBound]) {
            if let first = line.first, first == 0x20 || first == 0x09, let last = fields.indices.last {
                fields[last] += Data("\r\n".utf8) + line
            } else {
                fields.append(line)
            }
        }
        for field in fields {
            guard let colon = field.firstIndex(of: UInt8(ascii: ":")) else { throw LabError(.processFailed, "a field without a colon") }
            let (name, value) = (field[..<colon], field[(colon + 1)...])
            commands.append(.header(name: ByteBuffer(bytes: name), value: ByteBuffer(bytes: value)))
        }
        commands.append(.endOfHeader)
        let body = message[end.upperBound...]
        for start in stride(from: body.startIndex, to: body.endIndex, by: 60_000) {
            commands.append(.body(ByteBuffer(bytes: body[start..<min(start + 60_000, body.endIndex)])))
        }
        let responses = try await client.sayAtOnce(commands + [.endOfMessage(ByteBuffer())])
        guard responses.last == .accept || responses.last == .continue else {
            throw LabError(.processFailed, "opendkim says \(String(describing: responses.last)):\n\(child.lastLines())")
        }
        return responses.compactMap { response in
            guard case .insertHeader(_, let name, let value) = response else { return nil }
            let text = String(buffer: value).replacing("\r\n", with: "\n").replacing("\n", with: "\r\n")
            return (String(buffer: name), client.client.negotiation?.steps.contains(.leadingSpace) == true ? text : " \(text)")
        }
    }

    /// The lines, ended by CRLF each but the last.
    private static func lines(_ octets: Data) -> [Data] {
        var lines: [Data] = []
        var rest = octets[...]
        while let end = rest.range(of: Data("\r\n".utf8)) {
            lines.append(Data(rest[..<end.lowerBound]))
            rest = rest[end.upperBound...]
        }
        return lines + [Data(rest)]
    }
}
