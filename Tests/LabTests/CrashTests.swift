import Foundation
import Testing

@testable import Lab

extension InteropKartapuceTests {
    /// SIGKILL of each role while mail flows through it, then a restart: whatever got its 250 arrives.
    @Suite struct CrashTests {
        /// Who writes to whom, so that the mail passes the host that crashes.
        enum Way: Sendable, CaseIterable { case bobToJack, bobToTom, strangerToBob }

        /// The messages that got their 250.
        private actor Accepted {
            private(set) var messages: [SampleMessage] = []
            func append(_ message: SampleMessage) { messages.append(message) }
        }

        @Test(arguments: [
            ("internalsmtp", Way.bobToJack), ("imap", .strangerToBob), ("imap", .bobToJack), ("mail", .strangerToBob), ("msa", .bobToTom), ("smtp", .bobToTom),
        ])
        func nothingThatGotItsReplyIsLost(name: String, way: Way) async throws {
            let kartapuce = try LabRunning.kartapuce
            let host = try kartapuce.host(name)
            let accepted = Accepted()
            let base = UInt64(10_000 + 1000 * (["internalsmtp", "imap", "mail", "msa", "smtp"].firstIndex(of: name) ?? 9)) + (way == .bobToJack ? 500 : 0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for sender in 0..<3 {
                    group.addTask {
                        for number in 0..<12 {
                            let message = message(way, seed: base + UInt64(sender * 100 + number))
                            // A refused connection is no loss: the sender knows, and still has the message.
                            if try await send(message, way, kartapuce).accepted { await accepted.append(message) }
                        }
                    }
                }
                group.addTask {
                    try await Waiting.until("the first messages being accepted", timeout: .seconds(30), every: 5) { () -> Bool? in
                        await accepted.messages.count >= 4 ? true : nil
                    }
                    await host.crash()
                    try await host.start()
                }
                try await group.waitForAll()
            }
            let messages = await accepted.messages
            #expect(messages.count >= 4)
            for message in messages { try await expectArrival(message, way, kartapuce) }
        }

        private func message(_ way: Way, seed: UInt64) -> SampleMessage {
            let (sender, recipient) = addresses(way)
            return .make(.init(from: sender, to: recipient, subject: "crash", seed: seed, attachmentBytes: 40_000))
        }

        private func addresses(_ way: Way) -> (sender: String, recipient: String) {
            switch way {
            case .bobToJack: (Kartapuce.bob.user, Kartapuce.jack.user)
            case .bobToTom: (Kartapuce.bob.user, "tom@gmail.test")
            case .strangerToBob: ("alice@gmail.test", Kartapuce.bob.user)
            }
        }

        private func send(_ message: SampleMessage, _ way: Way, _ kartapuce: Kartapuce) async throws -> MailClient.Outcome {
            let (sender, recipient) = addresses(way)
            let isFromBob = way != .strangerToBob
            let server =
                switch way {
                case .bobToJack: kartapuce.internalServer
                case .bobToTom: kartapuce.msaServer
                case .strangerToBob: kartapuce.inboundServer
                }
            return try await kartapuce.client.send(
                message,
                to: [recipient],
                from: sender,
                by: server,
                as: isFromBob ? Kartapuce.bob : nil,
                sourceAddress: isFromBob ? kartapuce.plan.bobsLaptop : kartapuce.plan.provider
            )
        }

        private func expectArrival(_ message: SampleMessage, _ way: Way, _ kartapuce: Kartapuce) async throws {
            let identity = Data(message.messageID.utf8)
            let content = try await Waiting.until("arrival of \(message.messageID)", timeout: .seconds(60), every: 200) { () -> Data? in
                switch way {
                case .bobToTom: try kartapuce.provider.messages(of: "tom").first { $0.prefix(16 * 1024).range(of: identity) != nil }
                case .bobToJack, .strangerToBob:
                    try await kartapuce.client.fetch(
                        messageID: message.messageID,
                        of: way == .bobToJack ? Kartapuce.jack : Kartapuce.bob,
                        from: kartapuce.imapServer,
                        sourceAddress: kartapuce.plan.bobsLaptop
                    )
                }
            }
            #expect(ReceivedMessage(content).firstDifference(from: message.content) == nil, "\(message.messageID) was changed")
        }
    }
}
