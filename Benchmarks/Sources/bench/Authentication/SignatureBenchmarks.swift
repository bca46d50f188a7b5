import Crypto
import CryptoExtras
import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore

/// How much of the time that verifying a DKIM signature takes is cryptography: the rest is Postern's own.
enum SignatureBenchmarks {
    private static let sizes = [("4k", 4 << 10), ("1m", 1 << 20)]

    /// A message, and what both sides need of it.
    private struct Subject {
        var name: String
        var buffer: ByteBuffer
        var octets: [UInt8]
    }

    static func measure(_ run: Run) async throws {
        let mail = try SignedMail()
        let now = Date.now
        let subjects = try sizes.flatMap { size, octets in
            try SignedMail.Body.allCases.map { body in
                let message = try mail.message(body, octets: octets, at: now)
                // The text's figures stand under the size alone.
                let name = body == .text ? size : "\(size).\(body)"
                return Subject(name: name, buffer: message, octets: Array(message.readableBytesView))
            }
        }
        var zone = ZoneResolver()
        for name in SignedMail.recordNames { zone.add(try DomainName(name), .txt, .txt(Array(mail.record.utf8))) }
        let verifier = DKIMVerifier(resolver: zone, keyCache: DKIMKeyCache())
        // The raw cost: the same library's SHA-256 of all octets, and one verification with a key that was read before. What is verified
        // is a signature of the key over one hash; that costs the same for each.
        let privateKey = try _RSA.Signing.PrivateKey(keySize: .bits2048)
        let digest = SHA256.hash(data: subjects[0].octets)
        let signature = try privateKey.signature(for: digest, padding: .insecurePKCS1v1_5)
        let publicKey = privateKey.publicKey

        let folder = try run.workshop.makeFolder("dkim")
        for subject in subjects { try Data(subject.octets).write(to: URL(fileURLWithPath: "\(folder)/\(subject.name).eml")) }
        let records = SignedMail.recordNames.map { "\($0) \(mail.record)\n" }.joined()
        try Data(records.utf8).write(to: URL(fileURLWithPath: "\(folder)/records"))

        // Each kind of message gets its part of the time that a run may take.
        let slice = run.seconds / Double(subjects.count * 4)
        var shares: [String: Samples] = [:]
        var rates: [String: Samples] = [:]
        for _ in 0..<run.runs {
            for subject in subjects {
                var (raw, own) = (CPUTime(), CPUTime())
                let expected = SHA256.hash(data: subject.octets)
                // In short turns, so that both see the same machine.
                for _ in 0..<8 {
                    raw.measure(seconds: slice / 8) {
                        SHA256.hash(data: subject.octets) == expected && publicKey.isValidSignature(signature, for: digest, padding: .insecurePKCS1v1_5)
                    }
                    try await own.measureAwaiting(seconds: slice / 8) {
                        let found = try await verifier.verify(
                            header: HeaderSection(parsing: subject.buffer), content: BufferedContent(subject.buffer), at: now)
                        return found.count == 1 && found[0].result == .pass
                    }
                }
                guard raw.isRight, own.isRight else { throw BenchError("dkim.\(subject.name): a signature doesn't verify") }
                shares[subject.name, default: Samples()].values.append(own.perSecond / raw.perSecond * 100)
                rates["\(subject.name).raw.per_s", default: Samples()].values.append(raw.perSecond)
                rates["\(subject.name).per_s", default: Samples()].values.append(own.perSecond)
            }
            for (peer, found) in try await peers(run, folder: folder, seconds: slice) {
                for (name, rate) in found { rates["\(name).\(peer).per_s", default: Samples()].values.append(rate) }
            }
        }
        var table = Table(["DKIM, RSA-2048, relaxed/relaxed", "share of raw %", "±%", "raw /s", "postern /s", "dkimpy /s", "libopendkim /s"])
        for subject in subjects {
            let share = shares[subject.name] ?? Samples()
            run.figures["dkim.\(subject.name).share"] = share.median
            run.figures["dkim.\(subject.name).share.spread_percent"] = share.spread
            let cells = ["raw.per_s", "per_s", "dkimpy.per_s", "opendkim.per_s"].map { key in
                let rate = rates["\(subject.name).\(key)"]?.median ?? .nan
                run.figures["dkim.\(subject.name).\(key)"] = rate
                return show(rate)
            }
            table.add(["dkim.\(subject.name), \(subject.octets.count) octets", show(share.median), show(share.spread)] + cells)
        }
        say(table.text)
        say("  a second is one of CPU time; raw is SHA-256 of the message and one verification by RSA-2048, by the same library with the key read before;")
        say("  Postern reads the header, and has the key in its cache; dkimpy and libopendkim read it each time")
    }

    /// What dkimpy and libopendkim do in a second of CPU time, where they are installed.
    private static func peers(_ run: Run, folder: String, seconds: Double) async throws -> [String: [String: Double]] {
        guard let layer = PeerLayer("authentication"), let python = PeerLayer.python else {
            say("  dkimpy and opendkim aren't installed, or can't be used by this user: scripts/install-dependencies.sh bench")
            return [:]
        }
        let output = try await layer.run(
            python, ["\(run.workshop.peersFolder.absolutePath)/dkim/verify.py", folder, "\(seconds)"], log: run.workshop.logFile("verify"))
        return try JSONDecoder().decode([String: [String: Double]].self, from: Data(output.utf8))
    }
}

/// The CPU time of this process, all its threads together, over many calls.
private struct CPUTime {
    private var seconds = 0.0
    private var calls = 0
    /// Whether every call did what it should.
    private(set) var isRight = true

    var perSecond: Double { Double(calls) / seconds }

    mutating func measure(seconds wanted: Double, _ body: () -> Bool) {
        let start = Self.now
        repeat {
            if !body() { isRight = false }
            calls += 1
        } while Self.now - start < wanted
        seconds += Self.now - start
    }

    mutating func measureAwaiting(seconds wanted: Double, _ body: () async throws -> Bool) async throws {
        let start = Self.now
        repeat {
            if try await !body() { isRight = false }
            calls += 1
        } while Self.now - start < wanted
        seconds += Self.now - start
    }

    private static var now: Double {
        var time = timespec()
        // A local variable that outlives the call.
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
