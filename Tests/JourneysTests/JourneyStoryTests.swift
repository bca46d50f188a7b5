import MailMessage
import SMTP
import Testing

@testable import Journeys

@Suite("The story of a journey")
struct JourneyStoryTests {
    @Test("Every line of a story from two hosts, given in any order")
    func wholeStory() {
        let story = JourneyStory(events: SampleJourney.relay + [SampleJourney.handOver] + SampleJourney.submission)
        #expect(
            story.text == """
                Journey 00112233445566778899aabbccddeeff
                  From        bob@kartapuce.test
                              written as Bob <bob@kartapuce.test>
                  To          Tom@gmail.test
                  Subject     Déjeuner
                  Message-ID  <1@kartapuce.test>
                  Size        3.1 MiB, SHA-256 ab12
                  When        2026-11-23 21:13:05.123 UTC, 377 ms on 2 hosts
                  Outcome     Tom@gmail.test: handed over

                msa.kartapuce.test (submission)
                  21:13:05.123  connect   ← client 127.77.3.10:41234 connected to 127.77.2.20:465 (submissions)
                  21:13:05.140  tls       TLSv1.3, TLS_AES_128_GCM_SHA256, X25519MLKEM768, with 127.77.3.10, without a certificate of the peer  (4 ms)
                  21:13:05.150  login     bob@kartapuce.test logged in by SCRAM-SHA-256
                  21:13:05.160  smtp      ← MAIL FROM:<bob@kartapuce.test>
                                          → 250 2.1.0 Ok
                  21:13:05.170  smtp      ← RCPT TO:<Tom@gmail.test>
                                          → 250 2.1.0 Ok
                  21:13:05.200  message   3.1 MiB, SHA-256 ab12
                                          From: Bob <bob@kartapuce.test>
                  21:13:05.210  commit    stored durably as 1A, 3.1 MiB, for Tom@gmail.test  (3.5 ms)
                  21:13:05.350  attempt   attempt 1 for Tom@gmail.test (queue 1A) by link:relay at smtp.kartapuce.test (127.77.1.3): delivered
                                          it says “250 2.1.0 Ok”

                smtp.kartapuce.test (relay)
                  21:13:05.300  commit    stored durably as 7, 3.1 MiB, for Tom@gmail.test
                  21:13:05.400  dns       gmail.test MX = 10 mx.gmail.test [DNSSEC: secure]  (12 ms)
                  21:13:05.500  attempt   attempt 1 for Tom@gmail.test (queue 7) by mx:gmail.test at mx.gmail.test (127.77.9.1): delivered  (1.3 s)
                                          it says “250 2.0.0 Ok: queued as 4XYZ”
                                          before that: mx2.gmail.test: connection refused

                Tom@gmail.test: the message was handed over to mx.gmail.test (127.77.9.1), which answered “250 2.0.0 Ok: queued as 4XYZ”.

                """)
        #expect(story.summary == "2026-11-23 21:13:05.123  00112233445566778899aabbccddeeff  bob@kartapuce.test → Tom@gmail.test handedOver")
    }

    @Test("Redaction hides local parts, subject and Message-ID everywhere")
    func redaction() {
        let story = JourneyStory(
            events: SampleJourney.submission + [SampleJourney.handOver] + SampleJourney.relay, style: .init(isRedacted: true))
        for secret in ["bob", "Tom@", "tom@", "Déjeuner", "1@kartapuce"] { #expect(!story.text.contains(secret), "\(secret)") }
        #expect(story.text.contains("b…@kartapuce.test"))
        #expect(story.text.contains("T…@gmail.test"))
    }

    @Test("Colours appear only when asked for, and always end")
    func colours() {
        let events = SampleJourney.submission
        #expect(!JourneyStory(events: events).text.unicodeScalars.contains("\u{1B}"))
        let coloured = JourneyStory(events: events, style: .init(isColoured: true)).text
        let sequences = coloured.unicodeScalars.split(separator: "\u{1B}", omittingEmptySubsequences: false).dropFirst().map { String($0) }
        let ends = sequences.count { $0.hasPrefix("[0m") }
        #expect(ends > 10)
        #expect(sequences.count == 2 * ends)
    }

    private static let hostileTexts = [
        "\u{1B}[2J\u{1B}[31mhacked", "a\r\nBROKEN", "\u{202E}txet", "bell\u{07}", "\u{9B}31m", "zero\u{200B}width", "\u{2028}line", "\u{E0041}tag",
        "\u{0}", "del\u{7F}", "\u{FEFF}bom",
    ]

    @Test("Nothing that a peer says can move the terminal or turn the reading direction", arguments: hostileTexts)
    func hostileText(_ hostile: String) {
        let reply = SMTPReply(550, nil, lines: [hostile, hostile])
        let operations: [JourneyEvent.Operation] = [
            .connected(.init(listener: hostile, client: hostile, clientPort: 1, server: hostile, serverPort: 2)),
            .protected(
                .init(
                    peer: hostile, nextHop: hostile, source: hostile, level: hostile, encrypted: true, authenticated: true, version: hostile, cipher: hostile,
                    group: hostile, dnssec: hostile, chain: [hostile], checks: [hostile], steps: [hostile], failure: hostile, verdict: hostile, reason: hostile)
            ),
            .secured(
                .init(peer: hostile, version: hostile, cipher: hostile, group: hostile, verification: hostile, peerSubject: hostile, peerRoles: [hostile])),
            .authenticated(.init(user: hostile, mechanism: hostile, succeeded: false)),
            .exchanged(.init(peer: hostile, outbound: false, command: "RCPT TO:<\(hostile)>", reply: reply)),
            .resolved(.init(name: hostile, type: hostile, outcome: "records", records: [hostile], security: hostile)),
            .described(.init(messageID: hostile, from: hostile, subject: hostile, byteCount: 1, sha256: hostile)),
            .checked(.init(check: hostile, result: hostile, explanation: hostile)),
            .decided(.init(recipient: hostile, verdict: "reject", reason: hostile, reply: reply)),
            .committed(.init(queueID: hostile, byteCount: 1, recipients: [hostile])),
            .routed(.init(recipient: hostile, destination: hostile, reason: hostile)),
            .attempted(
                .init(
                    queueID: hostile, recipient: hostile, destination: hostile, host: hostile, address: hostile, result: hostile, reply: reply,
                    isLocal: false, attempt: 1, nextAttempt: nil, failures: [hostile])),
            .delivered(.init(recipient: hostile, user: hostile, mailbox: hostile, uid: 1, uidValidity: 1, isDuplicate: false)),
            .notified(.init(kind: hostile, recipient: hostile, notified: hostile, notificationTrace: nil, reason: hostile)),
            .queued(.init(action: hostile, queueID: hostile, reason: hostile)), .abandoned(.init(reason: hostile)),
        ]
        let events = operations.map { SampleJourney.event(0, hostile, hostile, $0) }
        for style in [JourneyStory.Style(), .init(isRedacted: true)] {
            let story = JourneyStory(events: events, style: style)
            let bad = (story.text + story.summary).unicodeScalars.filter {
                $0 != "\n" && [.control, .format, .lineSeparator, .paragraphSeparator].contains($0.properties.generalCategory)
            }
            #expect(bad.isEmpty, "\(bad.map(\.value))")
            // A line break of the peer's begins no line of the story.
            #expect(!story.text.split(separator: "\n").contains { $0.hasPrefix("BROKEN") })
        }
    }

    @Test("Long evidence is cut")
    func longText() {
        let events = [SampleJourney.event(0, "h", "mx", .abandoned(.init(reason: String(repeating: "x", count: 100_000))))]
        #expect(JourneyStory(events: events).text.utf8.count < 3000)
    }

    @Test("No events make no story") func empty() {
        #expect(JourneyStory(events: []).text == "There is no evidence of this journey.\n")
    }

    @Test(
        "Durations read as people write them",
        arguments: [
            (0.0004, "0.4 ms"), (0.0035, "3.5 ms"), (0.0123, "12 ms"), (0.9999, "1 s"), (1.25, "1.3 s"), (59.96, "1 min"),
            (185, "3 min 5 s"), (7800, "2 h 10 min"), (273_600, "3 d 4 h"), (-1, "0 ms"),
        ])
    func durations(_ seconds: Double, _ text: String) { #expect(JourneyText.duration(seconds) == text) }
}
