import Foundation
import MailStore
import MailTesting
import NIOCore
import NIOPosix
import Testing

extension FaultTests {
    /// Name servers that are silent, lie, change their minds or say too much, before the resolver inside a real host.
    @Suite(.timeLimit(.minutes(5))) struct Names {
        private enum Fate: String { case delivered, queued, bounced }

        /// Domains by what their name server does.
        private static let domains: [(label: String, fate: Fate, says: String)] = [
            ("good", .delivered, ""), ("silent", .queued, "4.4.3"), ("otheridentity", .queued, "4.4.3"), ("otherquestion", .queued, "4.4.3"),
            ("forged", .delivered, ""), ("failing", .queued, "4.4.3"), ("refusing", .queued, "4.4.3"), ("flipping", .delivered, ""),
            ("moving", .delivered, ""), ("circle", .queued, "4.4.3"), ("chain", .queued, "4.4.3"), ("crowd", .delivered, ""), ("garbage", .queued, "4.4.3"),
            ("cut", .queued, "4.4.3"), ("missing", .bounced, "5.1.2"), ("nowhere", .bounced, "5."), ("exchangersilent", .queued, "4.4.3"),
        ]

        private static let script: LyingNameServer.Script = { question in
            let labels = question.name.split(separator: ".")
            guard labels.last == "test", labels.count >= 2 else { return [LyingNameServer.reply(to: question, code: 3)] }
            let domain = "\(labels[labels.count - 2]).test"
            let sink = FaultRun.address(2)
            let wrong = FaultRun.address(3)
            /// What an honest server says of the domain.
            func honest(_ address: String = sink) -> ByteBuffer {
                switch question.type {
                case LyingNameServer.exchanger where question.name == domain:
                    return LyingNameServer.reply(to: question, answers: [LyingNameServer.exchangerRecord(domain, 10, "mx.\(domain)")])
                case LyingNameServer.address where question.name.hasPrefix("mx"):
                    return LyingNameServer.reply(to: question, answers: [LyingNameServer.addressRecord(question.name, address)])
                default: return LyingNameServer.reply(to: question)
                }
            }
            switch labels[labels.count - 2] {
            case "silent": return []
            case "exchangersilent": return question.type == LyingNameServer.exchanger ? [honest()] : []
            case "otheridentity":
                return [
                    LyingNameServer.reply(
                        to: question, identity: question.identity &+ 1, answers: [LyingNameServer.exchangerRecord(domain, 10, "mx.\(domain)")])
                ]
            case "otherquestion":
                var other = LyingNameServer.name("other.test")
                other.writeInteger(question.type)
                other.writeInteger(UInt16(1))
                return [LyingNameServer.reply(to: question, question: other, answers: [LyingNameServer.exchangerRecord("other.test", 10, "mx.other.test")])]
            case "forged":
                // The forger is quicker than the server, but has to guess the identity.
                return (1...50).map { guess in
                    LyingNameServer.reply(
                        to: question, identity: question.identity &+ UInt16(guess),
                        answers: question.type == LyingNameServer.address
                            ? [LyingNameServer.addressRecord(question.name, wrong)] : [LyingNameServer.exchangerRecord(domain, 1, "mx.forger.test")])
                } + [honest()]
            case "forger": return [honest(wrong)]
            case "failing": return [LyingNameServer.reply(to: question, code: 2)]
            case "refusing": return [LyingNameServer.reply(to: question, code: 5)]
            case "flipping": return question.times % 8 < FaultRun.count(short: 3, long: 6) ? [LyingNameServer.reply(to: question, code: 2)] : [honest()]
            case "moving": return [honest(question.times == 0 ? FaultRun.address(4) : sink)]
            case "circle":
                let next = question.name == domain ? "a.\(domain)" : question.name.hasPrefix("a.") ? "b.\(domain)" : "a.\(domain)"
                return [
                    LyingNameServer.reply(to: question, answers: [LyingNameServer.record(question.name, LyingNameServer.alias, LyingNameServer.name(next))])
                ]
            case "chain":
                let number = Int(labels.count > 2 ? labels[0].dropFirst() : "0") ?? 0
                return [
                    LyingNameServer.reply(
                        to: question, answers: [LyingNameServer.record(question.name, LyingNameServer.alias, LyingNameServer.name("c\(number + 1).\(domain)"))])
                ]
            case "crowd":
                guard question.type == LyingNameServer.exchanger else { return [honest()] }
                guard question.isTCP else { return [LyingNameServer.reply(to: question, isTruncated: true)] }
                let records =
                    [LyingNameServer.exchangerRecord(domain, 1, "mx.\(domain)")]
                    + (0..<1500).map { LyingNameServer.exchangerRecord(domain, 20, "mx\($0).\(domain)") }
                return [LyingNameServer.reply(to: question, answers: records)]
            case "garbage":
                var octets = ByteBuffer(integer: question.identity)
                octets.writeInteger(UInt16(0x8180))
                octets.writeBytes((0..<100).map { UInt8(truncatingIfNeeded: $0 * 91 + 7) })
                return [octets]
            case "cut":
                let whole = honest()
                return [whole.getSlice(at: 0, length: min(whole.readableBytes, 12 + question.octets.readableBytes + 7)) ?? whole]
            case "missing": return [LyingNameServer.reply(to: question, code: 3)]
            case "nowhere": return [LyingNameServer.reply(to: question)]
            default: return [honest()]
            }
        }

        @Test func whateverTheDNSSaysTheMessageIsAccountedFor() async throws {
            try await withTemporaryFolder { folder in
                let servers = try await LyingNameServer.start(host: FaultRun.address(53), port: 5353, Self.script)
                let result: Result<Void, any Error>
                do { result = .success(try await withSink(number: 3) { forger in try await run(folder, servers, forger) }) } catch { result = .failure(error) }
                await servers.stop()
                try result.get()
            }
        }

        private func run(_ folder: String, _ servers: LyingNameServer, _ forger: ScriptedServer) async throws {
            var aliases: [String: String] = [:]
            for (label, _, _) in Self.domains { aliases[label] = "tom@\(label).test" }
            try await withSink { sink in
                try await FaultHost.run(folder, options: .init(aliases: aliases)) { host in
                    for (label, _, _) in Self.domains {
                        let client = try await ServerTestClient.connected(to: host)
                        _ = try await client.say("MAIL FROM:<bob@kartapuce.test>")
                        _ = try await client.say("RCPT TO:<\(label)@kartapuce.test>")
                        _ = try await client.say("DATA")
                        #expect(try await client.say(FaultMessage(identity: label, size: 1000).text + ".").hasPrefix("250"))
                        await client.close()
                    }
                    try await host.spool { spool in
                        func waiting() async throws -> [String: (attempts: Int, status: String)] {
                            var found: [String: (attempts: Int, status: String)] = [:]
                            for (_, recipients) in try await spool.list(limit: 1000, offset: 0) {
                                for recipient in recipients { found[recipient.destination] = (recipient.attempts, recipient.lastStatus ?? "") }
                            }
                            return found
                        }
                        _ = try await eventually(within: 60) {
                            let waiting = try await waiting()
                            return Self.domains.allSatisfy { domain in
                                let entry = waiting["mx:\(domain.label).test"]
                                return domain.fate == .queued ? (entry?.attempts ?? 0) >= FaultRun.count(short: 1, long: 2) : entry == nil
                            } && waiting["mailbox"] == nil
                        }
                        let waiting = try await waiting()
                        let notices = try await host.inbox()
                        let arrivals = SinkContents(sink).arrivals
                        for (label, fate, says) in Self.domains {
                            let entry = waiting["mx:\(label).test"]
                            let notice = notices.first { $0.contains("tom@\(label).test") }
                            let found: Fate = entry != nil ? .queued : notice != nil ? .bounced : .delivered
                            let status = entry?.status ?? notice ?? ""
                            #expect(found == fate, "\(label): \(found) \(status.prefix(300))")
                            #expect(says.isEmpty || status.contains(says), "\(label): \(status.prefix(600))")
                            #expect((arrivals[label]?.count ?? 0) == (fate == .delivered ? 1 : 0), "\(label)")
                            #expect(servers.questions(for: "\(label).test") < 200, "\(label): \(servers.questions(for: "\(label).test")) questions")
                        }
                        #expect(forger.record.connections == 0, "a forged answer was believed")
                    }
                    FaultRun.tell("DNS: \(Self.domains.count) kinds of false or missing answers, each message queued, bounced or delivered as it should")
                }
            }
        }
    }
}
