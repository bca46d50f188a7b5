import Testing

@testable import Lab

extension InteropKartapuceTests {
    /// The use case of the picture, as `make run` shows it.
    @Suite struct UseCaseTests {
        @Test func everyScenarioOfTheUseCaseEndsAsItShould() async throws {
            let results = await (try LabRunning.kartapuce).runUseCase(seed: 1)
            #expect(results.count == 9)
            for result in results { #expect(result.passed, "\(result.name): \(result.detail)") }
        }

        /// Bob to Jack must not leave the internal zone: no host of the DMZ may ever have heard of it.
        @Test func mailBetweenColleaguesNeverReachesTheDMZ() async throws {
            let kartapuce = try LabRunning.kartapuce
            let message = SampleMessage.make(.init(from: Kartapuce.bob.user, to: Kartapuce.jack.user, subject: "Entre nous", seed: 501, attachmentBytes: 1000))
            let sent = try await kartapuce.client.send(
                message,
                to: [Kartapuce.jack.user],
                from: Kartapuce.bob.user,
                by: kartapuce.internalServer,
                as: Kartapuce.bob,
                sourceAddress: kartapuce.plan.bobsLaptop
            )
            #expect(sent.accepted, "\(sent.dialogue)")
            try await Waiting.until("arrival", timeout: .seconds(30)) {
                try await kartapuce.client.fetch(
                    messageID: message.messageID,
                    of: Kartapuce.jack,
                    from: kartapuce.imapServer,
                    sourceAddress: kartapuce.plan.jacksLaptop
                )
            }
            for name in ["smtp", "mail"] {
                let told = try await kartapuce.host(name).command(["trace", "--message-id", message.messageID])
                #expect(!told.outputText.contains("Entre nous") && !told.outputText.contains(Kartapuce.jack.user), "\(name) knows:\n\(told.outputText)")
            }
        }
    }
}
