import Foundation
import Logging
import MailMessage
import MailStore
import MailTransport
import NIOCore
import SMTP
import Testing

@testable import Gateway

/// Delivers everything.
private struct WillingAgent: DeliveryAgent {
    func deliver(_ job: DeliveryJob) async -> DeliveryResult { .uniform(job, .delivered, SMTPReply(250, .init(2, 0, 0), "Taken")) }
}

@Suite struct LostMessageTests {
    /// A message whose octets are lost is held for an operator, and what stands behind it is delivered.
    @Test(.timeLimit(.minutes(5))) func messageWithoutOctetsIsHeld() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "queue-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test", bodyRowLimit: 64)
        func enqueue(_ octets: Int) async throws -> QueueID {
            try await spool.enqueue(
                NewSpoolMessage(
                    trace: .random(), envelope: Envelope(reversePath: nil),
                    routes: [(EnvelopeRecipient(address: EmailAddress(localPart: "bob", domain: "kartapuce.test")), "mailbox")], prefix: ByteBuffer(),
                    content: BufferedContent(ByteBuffer(repeating: 65, count: octets)), arrival: Date(timeIntervalSinceReferenceDate: 1)), journey: [])
        }
        let lost = try await enqueue(500)
        for file in FileManager.default.subpaths(atPath: "\(folder)/bodies") ?? [] where file.contains("/") {
            try FileManager.default.removeItem(atPath: "\(folder)/bodies/\(file)")
        }
        let whole = try await enqueue(500)
        let configuration = Configuration()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let settlement = Settlement(
            spool: spool, recorder: JourneyRecorder(host: "mx.kartapuce.test", log: spool),
            notices: Notices(
                router: Router(configuration: configuration), hostname: "mx.kartapuce.test",
                postmaster: EmailAddress(localPart: "postmaster", domain: "kartapuce.test"), logger: logger),
            schedule: RetrySchedule(configuration.queue), role: .mx, holdsFailures: false, now: { Date() }, logger: logger)
        let runner = QueueRunner(
            spool: spool, mailbox: WillingAgent(), remote: WillingAgent(), settlement: settlement, settings: configuration.queue, now: { Date() },
            logger: logger)
        let running = Task { try await runner.run() }
        runner.wake()
        while try await spool.counts() != (queued: 0, held: 1) { try await Task.sleep(for: .milliseconds(20)) }
        #expect(try await spool.message(whole) == nil)
        let held = try #require(try await spool.recipients(of: lost).first)
        #expect(held.holdReason?.contains("\(lost)") == true)
        running.cancel()
        _ = await running.result
        try await spool.close()
    }
}
