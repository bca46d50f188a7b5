import IMAP
import MailStore
import NIOCore
import Testing

/// Several sessions change one mailbox at random; each must be able to keep its numbers right by what it is told, and by nothing else
/// (RFC 9051 §2.3.1.2, §7.4.1, §7.5.1).
@Suite(.timeLimit(.minutes(2))) struct IMAPConsistencyTests {
    /// The mailbox as a client knows it from untagged responses.
    private struct Model {
        /// By sequence number; `nil` until the UID was told.
        var uids: [UInt32?] = []
        var faults: [String] = []

        mutating func take(_ line: String) {
            let words = line.split(separator: " ")
            guard words.count >= 3, words[0] == "*", let number = Int(words[1]) else { return }
            switch words[2] {
            case "EXISTS":
                if number < uids.count { faults.append("fewer messages without EXPUNGE: \(line)") }
                while uids.count < number { uids.append(nil) }
            case "EXPUNGE":
                if uids.indices.contains(number - 1) { uids.remove(at: number - 1) } else { faults.append("no such message: \(line)") }
            case "FETCH":
                guard let index = words.firstIndex(where: { $0.hasSuffix("UID") }), words.indices.contains(index + 1) else { return }
                guard let uid = UInt32(words[index + 1].filter(\.isNumber)), uids.indices.contains(number - 1) else {
                    return faults.append("no such message: \(line)")
                }
                if let known = uids[number - 1], known != uid { faults.append("message \(number) was \(known): \(line)") }
                uids[number - 1] = uid
            default: break
            }
        }
    }

    private struct Dice: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            var mixed = state
            mixed ^= mixed >> 33
            mixed = mixed &* 0xff51_afd7_ed55_8ccd
            return mixed ^ (mixed >> 33)
        }
    }

    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
    func everySessionKeepsItsNumbersRight(seed: UInt64) async throws {
        try await IMAPTestHouse.open { house in
            var dice = Dice(state: seed)
            try await house.deliver("1", "2", "3", "4", "5")
            var clients: [IMAPTestClient] = []
            var models: [Model] = []
            for _ in 0..<3 {
                let client = try await house.logIn()
                var model = Model()
                for line in try await client.say("SELECT INBOX") { model.take(line) }
                clients.append(client)
                models.append(model)
            }
            for step in 0..<120 {
                let who = Int.random(in: 0..<clients.count, using: &dice)
                let count = models[who].uids.count
                let number = count == 0 ? "1" : "\(Int.random(in: 1...count, using: &dice))"
                let answer: [String]
                switch Int.random(in: 0..<10, using: &dice) {
                case 0, 1: answer = try await clients[who].append(ByteBuffer(string: "Subject: \(step)\r\n\r\n"), to: "INBOX")
                case 2: answer = try await clients[who].say("STORE \(number) +FLAGS (\\Deleted)")
                case 3: answer = try await clients[who].say("STORE \(number) +FLAGS.SILENT (\\Deleted)")
                case 4: answer = try await clients[who].say("EXPUNGE")
                case 5: answer = try await clients[who].say("FETCH \(number) (UID FLAGS)")
                case 6: answer = try await clients[who].say("MOVE \(number) Archive")
                case 7: answer = try await clients[who].say("UID SEARCH DELETED")
                case 8: answer = try await clients[who].say("COPY \(number) INBOX")
                default: answer = try await clients[who].say("UID FETCH 1:* FLAGS")
                }
                for line in answer { models[who].take(line) }
                #expect(models[who].faults.isEmpty, "seed \(seed), step \(step), session \(who)")
            }
            // In the end all agree with each other and with the store.
            let inbox = try #require(try await house.store.mailbox(named: "INBOX", of: IMAPTestHouse.bob))
            let stored = try await house.store.messages(in: inbox.id, uids: 1...UInt32.max).map { UInt32?.some($0.uid) }
            for (client, var model) in zip(clients, models) {
                for line in try await client.say("NOOP") { model.take(line) }
                if !stored.isEmpty { for line in try await client.say("FETCH 1:* UID") { model.take(line) } }
                #expect(model.faults.isEmpty && model.uids == stored, "seed \(seed)")
                await client.close()
            }
        }
    }
}
