import Foundation
import MailTesting
import Testing

@testable import Lab

extension FaultTests {
    /// Networks that lose packets and cut connections, in a network namespace of the host's own. Long form only: what TCP makes of a third of all
    /// packets takes its time.
    @Suite(.timeLimit(.minutes(15)), .enabled(if: FaultRun.isLong, "long form: make faults")) struct Network {
        /// Runs a program in the network of the host.
        private func inside(_ host: FaultHost, _ program: String, _ arguments: [String], timeout: Duration = .seconds(120)) async throws -> CommandResult {
            let path = try #require(Command.find(program), "\(program) is not installed: run scripts/install-dependencies.sh")
            return try await Command.run("nsenter", ["--net", "-t", "\(try await host.identifier)", path] + arguments, timeout: timeout)
        }

        private func rules(_ host: FaultHost, _ rules: [String]) async throws {
            // Each on a line of its own: nft takes a brace that closes a chain only at the end of a line.
            let lines = ["table inet faults {", "chain in {", "type filter hook input priority 0;"] + rules + ["}", "}"]
            let text = lines.joined(separator: "\n") + "\n"
            let file = "\(host.folder)/rules.nft"
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let result = try await inside(host, "nft", ["-f", file])
            try #require(result.succeeded, "THIS FAULT WAS NOT TRIED: nft says \(result.errors)")
        }

        /// The identities of the messages that the peer has kept, with repetitions.
        private func dumped(_ folder: String) -> [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).compactMap { name -> String? in
                let text = (try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)) ?? ""
                return text.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix("message-id:") }.map(String.init)
            }
        }

        @Test(arguments: [
            ("a third of all packets lost", ["tcp dport { 2500, 2525 } numgen random mod 100 < 30 drop"]),
            ("connections cut within the message", ["tcp dport 2500 ct original bytes gt 3000 reject with tcp reset"]),
            ("nobody answers", ["tcp dport 2500 drop"]),
        ]) func whatTheNetworkDoesToMail(name: String, faults: [String]) async throws {
            try await withTemporaryFolder { folder in
                try await FaultHost.run(folder, options: .init(isSeparate: true)) { host in
                    let kept = "\(folder)/kept"
                    try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
                    try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: kept)
                    let sinkPath = try #require(Command.find("smtp-sink"))
                    let sink = try ChildProcess(
                        name: "sink", program: try #require(Command.find("nsenter")),
                        arguments: [
                            "--net", "-t", "\(try await host.identifier)", sinkPath, "-u", "nobody", "-d", "\(kept)/m.",
                            "\(FaultRun.address(2)):\(FaultRun.peerPort)",
                            "100",
                        ], folder: folder, logFile: "\(folder)/sink.log")
                    do {
                        // Octets of connections are counted only where this says so.
                        _ = try await inside(host, "sysctl", ["-qw", "net.netfilter.nf_conntrack_acct=1"])
                        try await rules(host, faults)
                        let source = try await inside(
                            host, "smtp-source",
                            ["-f", "alice@gmail.test", "-t", "out@kartapuce.test", "-m", "40", "-s", "4", "-l", "8000", "\(host.address):\(host.port)"],
                            timeout: .seconds(300))
                        #expect(source.succeeded, "\(source.errors)")
                        await pause(milliseconds: 8000)
                        let during = Set(dumped(kept)).count
                        if name != "a third of all packets lost" { #expect(during == 0, "\(name): \(during) messages arrived all the same") }
                        let before = try await host.processorSeconds()
                        await pause(milliseconds: 3000)
                        let used = try await host.processorSeconds() - before
                        #expect(used < 1.5, "\(used) s of processor time in 3 s")
                        _ = try await inside(host, "nft", ["flush", "ruleset"])
                        #expect(try await host.emptied(within: 120), "\(host.log.suffix(2000))")
                        let all = dumped(kept)
                        #expect(Set(all).count == 40, "\(name): \(Set(all).count) of 40 messages arrived")
                        FaultRun.tell("\(name): 40 messages accepted, \(during) arrived meanwhile, all afterwards; \(all.count - Set(all).count) twice")
                    } catch {
                        await sink.stop()
                        throw error
                    }
                    await sink.stop()
                }
            }
        }
    }
}
