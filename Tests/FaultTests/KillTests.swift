import Foundation
import MailTesting
import NIOPosix
import Testing

extension FaultTests {
    /// SIGKILL at random moments while mail is accepted and delivered: whatever got its 250 arrives.
    @Suite struct Kill {
        private func size(_ number: Int) -> Int {
            // Small ones are kept in rows, the others become files.
            number % 10 == 0 ? 300_000 : number % 3 == 0 ? 20_000 : 3000
        }

        @Test(.timeLimit(.minutes(60))) func nothingThatGotItsReplyIsLostOnTheWayOut() async throws {
            try await withTemporaryFolder { folder in
                try await StandStill.watched { standStill in
                    try await withSink { sink in
                        let host = try await FaultHost(folder: folder, options: .init(limits: ["memoryPerMessageBytes: 16KiB"]))
                        let load = FaultLoad(recipient: "out")
                        try await host.run {
                            let kills = try await killAgainAndAgain(host, load, times: FaultRun.count(short: 5, long: 200), salt: 1)
                            #expect(try await host.emptied(within: 240), "\(host.log.suffix(2000))")
                            judge(SinkContents(sink), load.record, kills, standStill)
                        }
                    }
                }
            }
        }

        private func judge(
            _ contents: SinkContents, _ record: FaultLoad.Record, _ kills: [ClosedRange<ContinuousClock.Instant>], _ standStill: StandStill
        ) {
            #expect(record.acknowledged.count > 5)
            #expect(record.refused.isEmpty, "\(record.refused.prefix(3))")
            #expect(contents.lacks(record.acknowledged) == [], "seed \(FaultRun.seed)")
            #expect(contents.damaged == 0)
            let byKills = contents.repeated.filter { Self.isExplained($0.value, by: kills) }
            let others = contents.repeated.filter { byKills[$0.key] == nil }
            let unexplained = others.filter { !Self.isExplained($0.value, by: kills, or: standStill) }
            // The instants themselves tell nobody anything: what matters is how far they are from the kills around them.
            let told = unexplained.map { identity, arrivals in
                "\(identity): "
                    + arrivals.map { arrival in
                        let before =
                            kills.last { $0.lowerBound <= arrival.completed }.map { "\(arrival.opened - $0.lowerBound) after a kill" } ?? "before all kills"
                        return "opened \(before), complete \(arrival.completed - arrival.opened) later"
                    }.joined(separator: "; ")
            }
            #expect(unexplained.isEmpty, "seed \(FaultRun.seed): \(told.prefix(10))")
            let copies = { (found: [String: [ScriptedServer.Arrival]]) in found.values.reduce(0) { $0 + $1.count - 1 } }
            FaultRun.tell(
                "SIGKILL, \(kills.count) times, mail to a peer: \(record.acknowledged.count) acknowledged, "
                    + "\(contents.lacks(record.acknowledged).count) lost; \(record.unknown.count) without a reply; \(copies(byKills)) duplicates taken by "
                    + "the peer just before a kill, \(copies(others)) others; the machine stood still \(standStill.spans.count) times")
        }

        @Test(.timeLimit(.minutes(60))) func nothingThatGotItsReplyIsLostOnTheWayToTheMailbox() async throws {
            try await withTemporaryFolder { folder in
                let host = try await FaultHost(folder: folder, options: .init(limits: ["memoryPerMessageBytes: 16KiB"]))
                let load = FaultLoad(recipient: "bob")
                try await host.run {
                    let kills = try await killAgainAndAgain(host, load, times: FaultRun.count(short: 5, long: 200), salt: 2)
                    let record = load.record
                    #expect(record.acknowledged.count > 5)
                    #expect(try await host.emptied(within: 240), "\(host.log.suffix(2000))")
                    await host.stop()
                    let texts = try await host.inbox()
                    let identities = texts.compactMap { FaultMessage.identity(of: $0) }
                    #expect(identities.count == texts.count, "a message in the mailbox isn't whole")
                    #expect(Set(record.acknowledged.map(\.identity)).subtracting(identities) == [], "seed \(FaultRun.seed)")
                    // A mailbox recognises a delivery that is made again: there is no duplicate to be explained.
                    #expect(identities.count == Set(identities).count)
                    FaultRun.tell(
                        "SIGKILL, \(kills.count) times, mail to a mailbox: \(record.acknowledged.count) acknowledged, all there; \(record.unknown.count) without "
                            + "a reply, of which \(Set(identities).count - record.acknowledged.count) are there; no duplicates")
                }
            }
        }

        /// Kills and restarts the host under load.
        private func killAgainAndAgain(_ host: FaultHost, _ load: FaultLoad, times: Int, salt: UInt64) async throws -> [ClosedRange<ContinuousClock.Instant>] {
            var random = SeededGenerator(state: FaultRun.seed &+ salt)
            async let running: Void = load.run(sessions: 6, against: host, name: "kill\(salt)", size: size)
            var kills: [ClosedRange<ContinuousClock.Instant>] = []
            for _ in 0..<times {
                await pause(milliseconds: Int.random(in: 50...700, using: &random))
                let killed = ContinuousClock.now
                await host.crash()
                try await host.start()
                kills.append(killed...ContinuousClock.now)
            }
            await pause(milliseconds: 300)
            load.stop()
            await running
            return kills
        }

        /// A copy follows one that the process before a kill had sent within the moment of that kill: its 250, or what was to be noted because of
        /// it, was lost with the process (RFC 1047). The peer may take note of it much later: what counts is whose connection it came over. Within
        /// the life of one process nothing is sent twice.
        static func isExplained(
            _ arrivals: [ScriptedServer.Arrival], by kills: [ClosedRange<ContinuousClock.Instant>], or standStill: StandStill = StandStill()
        ) -> Bool {
            zip(arrivals, arrivals.dropFirst()).allSatisfy { earlier, later in
                kills.contains {
                    earlier.opened < later.opened && earlier.opened <= $0.upperBound && $0.lowerBound <= later.opened
                        && $0.lowerBound - earlier.completed < .seconds(10)
                } || standStill.explains(earlier.completed)
            }
        }
    }

    /// What counts as a reason for a duplicate, and what doesn't.
    @Suite struct Explanations {
        @Test func aStandStillExplainsOnlyWhatHappensAroundIt() {
            let start = ContinuousClock.now
            let standStill = StandStill()
            standStill.note(from: start, to: start + .milliseconds(900))
            #expect(standStill.spans.isEmpty)
            standStill.note(from: start, to: start + .seconds(60))
            #expect(standStill.explains(start - .seconds(1)))
            #expect(standStill.explains(start + .milliseconds(60_500)))
            #expect(!standStill.explains(start - .seconds(3)))
            #expect(!standStill.explains(start + .seconds(62)))
        }

        @Test func aKillExplainsOnlyWhatWasTakenJustBeforeIt() {
            let start = ContinuousClock.now
            let kills = [start + .seconds(20)...start + .seconds(21)]
            func arrivals(_ seconds: [(Int, Int)]) -> [ScriptedServer.Arrival] {
                seconds.map { .init(opened: start + .seconds($0), completed: start + .seconds($1)) }
            }
            #expect(Kill.isExplained(arrivals([(15, 19), (22, 22)]), by: kills))
            // Noted late, but sent by the process that was killed.
            #expect(Kill.isExplained(arrivals([(15, 23), (22, 24)]), by: kills))
            #expect(!Kill.isExplained(arrivals([(4, 5), (22, 22)]), by: kills))
            #expect(!Kill.isExplained(arrivals([(22, 22), (23, 24)]), by: kills))
            #expect(!Kill.isExplained(arrivals([(16, 17), (17, 18)]), by: kills))
            // Twice over one connection.
            #expect(!Kill.isExplained(arrivals([(19, 20), (19, 21)]), by: kills))
        }
    }
}
