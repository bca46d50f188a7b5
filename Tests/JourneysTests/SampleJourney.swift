import FoundationEssentials
import Journeys
import MailMessage
import SMTP

/// Events of Bob's message to Tom, as the hosts write them.
enum SampleJourney {
    static let trace = TraceID("00112233445566778899aabbccddeeff") ?? .random()
    /// 2026-11-23T21:13:05Z.
    static let start = 1_795_468_385.0

    static func event(
        _ offset: Double, _ host: String, _ role: String, seconds: Double? = nil, _ operation: JourneyEvent.Operation
    ) -> JourneyEvent {
        JourneyEvent(
            trace: trace, time: Date(timeIntervalSince1970: start + offset), host: host, role: role, seconds: seconds, operation: operation)
    }

    static let ok = SMTPReply(250, EnhancedStatusCode(2, 1, 0), "Ok")
    private static let msa = "msa.kartapuce.test"
    private static let smtp = "smtp.kartapuce.test"

    private static func attempt(
        _ queueID: String, by destination: String, at host: String, _ address: String, _ reply: SMTPReply, failures: [String] = []
    ) -> JourneyEvent.Operation {
        .attempted(
            .init(
                queueID: queueID, recipient: "Tom@gmail.test", destination: destination, host: host, address: address, result: "delivered",
                reply: reply, isLocal: false, attempt: 1, nextAttempt: nil, failures: failures))
    }

    static let submission: [JourneyEvent] = [
        event(
            0.123, msa, "submission",
            .connected(.init(listener: "submissions", client: "127.77.3.10", clientPort: 41234, server: "127.77.2.20", serverPort: 465))),
        event(
            0.140, msa, "submission", seconds: 0.004,
            .secured(
                .init(
                    peer: "127.77.3.10", version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256", group: "X25519MLKEM768", verification: "none", peerSubject: nil,
                    peerRoles: []))),
        event(0.150, msa, "submission", .authenticated(.init(user: "bob@kartapuce.test", mechanism: "SCRAM-SHA-256", succeeded: true))),
        event(
            0.160, msa, "submission",
            .exchanged(.init(peer: "127.77.3.10", outbound: false, command: "MAIL FROM:<bob@kartapuce.test>", reply: ok))),
        event(
            0.170, msa, "submission",
            .exchanged(.init(peer: "127.77.3.10", outbound: false, command: "RCPT TO:<Tom@gmail.test>", reply: ok))),
        event(
            0.2, msa, "submission",
            .described(
                .init(
                    messageID: "<1@kartapuce.test>", from: "Bob <bob@kartapuce.test>", subject: "Déjeuner", byteCount: 3_250_586,
                    sha256: "ab12"))),
        event(
            0.210, msa, "submission", seconds: 0.0035,
            .committed(.init(queueID: "1A", byteCount: 3_250_586, recipients: ["Tom@gmail.test"]))),
    ]
    static let relay: [JourneyEvent] = [
        event(0.3, smtp, "relay", .committed(.init(queueID: "7", byteCount: 3_250_700, recipients: ["Tom@gmail.test"]))),
        event(
            0.4, smtp, "relay", seconds: 0.012,
            .resolved(.init(name: "gmail.test", type: "MX", outcome: "records", records: ["10 mx.gmail.test"], security: "secure"))),
        event(
            0.5, smtp, "relay", seconds: 1.25,
            attempt(
                "7", by: "mx:gmail.test", at: "mx.gmail.test", "127.77.9.1", SMTPReply(250, EnhancedStatusCode(2, 0, 0), "Ok: queued as 4XYZ"),
                failures: ["mx2.gmail.test: connection refused"])),
    ]
    /// The submission's hand-over to the relay ends after the relay's commit, as it does in reality.
    static let handOver = event(0.35, msa, "submission", attempt("1A", by: "link:relay", at: smtp, "127.77.1.3", ok))
}
