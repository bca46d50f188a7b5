import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore
import Testing

/// Signs for dkimpy and verifies what it signs, where `POSTERN_PEERS` is set. `POSTERN_PEERS_PYTHON` names an interpreter that has dkimpy,
/// authres and PyNaCl; `python3` otherwise.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_PEERS"] != nil))
struct DKIMInteropTests {
    private struct Question: Encodable {
        var keys: [String: String]
        var records: [String: String]
        /// Signed by us, or sealed.
        var signed: [String]
        var sealed: [String]
        /// To be signed, or sealed, by the peer.
        var plain: [String]
    }

    private struct Answer: Decodable {
        /// For each message what came of both signatures.
        var verified: [[Bool]]
        var chains: [String]
        var signed: [String]
        var sealed: [String]
    }

    private static let script = #"""
        import base64, dkim, itertools, json, sys
        question = json.load(sys.stdin)
        records = question["records"]
        def txt(name, timeout=5):
            name = name.decode() if isinstance(name, bytes) else name
            return records.get(name.rstrip("."), "").encode() or None
        plain = [base64.b64decode(text) for text in question["plain"]]
        keys = [(b"a", b"rsa-sha256", question["keys"]["rsa"].encode()), (b"b", b"ed25519-sha256", question["keys"]["ed25519"].encode())]
        forms = list(itertools.product((b"simple", b"relaxed"), (b"simple", b"relaxed"), keys, (False, True)))
        answer = {"verified": [], "chains": [], "signed": [], "sealed": []}
        for text in question["signed"]:
            message = dkim.DKIM(base64.b64decode(text))
            results = []
            for index in range(2):
                try: results.append(bool(message.verify(index, dnsfunc=txt)))
                except Exception as error: results.append(False); print(error, file=sys.stderr)
            answer["verified"].append(results)
        for text in question["sealed"]:
            answer["chains"].append(dkim.arc_verify(base64.b64decode(text), dnsfunc=txt)[0].decode())
        for index, message in enumerate(plain):
            header, body, (selector, algorithm, key), length = forms[index % len(forms)]
            field = dkim.sign(message, selector, b"kartapuce.test", key, canonicalize=(header, body), signature_algorithm=algorithm, length=length)
            answer["signed"].append(base64.b64encode(field + message).decode())
            for instance in range(1 + index % 3):
                found = b"Authentication-Results: kartapuce.test; arc=" + (b"pass" if instance else b"none") + b"\r\n"
                message = b"".join(dkim.arc_sign(found + message, b"a", b"kartapuce.test", keys[0][2], b"kartapuce.test")) + message
            answer["sealed"].append(base64.b64encode(message).decode())
        json.dump(answer, sys.stdout)
        """#

    private func ask(_ question: Question) throws -> Answer {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [ProcessInfo.processInfo.environment["POSTERN_PEERS_PYTHON"] ?? "python3", "-c", Self.script]
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("dkim-interop-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Files, so that neither side waits for the other to read.
        let input = folder.appendingPathComponent("question.json")
        let output = folder.appendingPathComponent("answer.json")
        try JSONEncoder().encode(question).write(to: input)
        try Data().write(to: output)
        process.standardInput = try FileHandle(forReadingFrom: input)
        process.standardOutput = try FileHandle(forWritingTo: output)
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        return try JSONDecoder().decode(Answer.self, from: Data(contentsOf: output))
    }

    private func message(_ number: Int, _ generator: inout DKIMSeededGenerator) -> String {
        let parts = ["word", " ", "  ", "\t", "\r\n", "\r\n\r\n", " \r\n", "=20", String(repeating: "x", count: 100)]
        let body = (0..<Int.random(in: 0...80, using: &generator)).map { _ in parts[Int.random(in: 0..<parts.count, using: &generator)] }.joined()
        // A body ends with a line's end, as SMTP has it: dkimpy keeps blanks at the end of a line that has none.
        let end = body.isEmpty || body.hasSuffix("\r\n") ? "" : "\r\n"
        let folds = ["Hello", "Hello  there", "Hello\r\n there", "Hello \t\r\n\t there  "]
        let subject = folds[Int.random(in: 0..<folds.count, using: &generator)]
        return
            "Received: from a\r\n\tby b; Mon, 2 Nov 2026 10:00:00 +0100\r\nFrom: Bob\r\n <bob@kartapuce.test>\r\nTo:jack@gmail.test\r\nSubject: \(subject)\r\n"
            + "Date: Mon, 2 Nov 2026 10:00:00 +0100\r\nMessage-ID: <\(number)@kartapuce.test>\r\n\r\n\(body)\(end)"
    }

    @Test func dkimpyAndPosternVerifyEachOther() async throws {
        let (rsa, ed25519) = (DKIMTestKeys.rsa, DKIMTestKeys.ed25519)
        let keys = [
            DKIMSigningKey(domain: try DomainName("kartapuce.test"), selector: try DomainName("a"), key: rsa),
            DKIMSigningKey(domain: try DomainName("kartapuce.test"), selector: try DomainName("b"), key: ed25519),
        ]
        let records = ["a._domainkey.kartapuce.test": rsa.recordText, "b._domainkey.kartapuce.test": ed25519.recordText]
        var generator = DKIMSeededGenerator(seed: 20)
        let plain = (0..<1000).map { message($0, &generator) }
        // RFC 8410: the seed is the end of the structure.
        let der = try #require(Data(base64Encoded: ed25519.pem.split(separator: "\n").filter { !$0.hasPrefix("-") }.joined()))
        var question = Question(
            keys: ["rsa": rsa.pem, "ed25519": der.suffix(32).base64EncodedString()], records: records, signed: [], sealed: [],
            plain: plain.map { Data($0.utf8).base64EncodedString() })
        let now = Date()
        for (number, text) in plain.enumerated() {
            let buffer = ByteBuffer(string: text)
            let header = HeaderSection(parsing: buffer)
            let body = try #require(buffer.getSlice(at: header.range.upperBound, length: buffer.readableBytes - header.range.upperBound))
            var options = DKIMSigningOptions()
            options.headerCanonicalization = number % 2 == 0 ? .simple : .relaxed
            options.bodyCanonicalization = number % 4 < 2 ? .simple : .relaxed
            let fields = String(buffer: try DKIMSigner(keys: keys, options: options).sign(header: header, body: body, at: now))
            question.signed.append(Data((fields + text).utf8).base64EncodedString())
            var sealed = text
            for instance in 0...(number % 3) {
                let header = HeaderSection(parsing: ByteBuffer(string: sealed))
                let set = try ARCSealer(key: keys[0]).seal(
                    header: header, body: body, chain: instance == 0 ? .none : .pass, results: "kartapuce.test; arc=none", at: now)
                sealed = String(buffer: set) + sealed
            }
            question.sealed.append(Data(sealed.utf8).base64EncodedString())
        }
        let answer = try ask(question)
        #expect(answer.verified == Array(repeating: [true, true], count: plain.count))
        #expect(answer.chains == Array(repeating: "pass", count: plain.count))
        #expect(answer.signed.count == plain.count && answer.sealed.count == plain.count)
        for (number, text) in answer.signed.enumerated() {
            let evaluations = try await verifyDKIM(Array(try #require(Data(base64Encoded: text))), records, at: now)
            #expect(evaluations.map(\.result) == [.pass], "\(number): \(evaluations.map(\.reason))")
        }
        for (number, text) in answer.sealed.enumerated() {
            let buffer = ByteBuffer(bytes: try #require(Data(base64Encoded: text)))
            let verifier = ARCVerifier(resolver: try dkimKeyZone(records))
            let evaluation = try await verifier.verify(header: HeaderSection(parsing: buffer), content: BufferedContent(buffer), at: now)
            #expect(evaluation.result == .pass, "\(number): \(evaluation.reason)")
        }
    }
}
