import Foundation
import Journeys
import MailMessage
import SMTP
import Testing

@Suite("Journeys as JSON")
struct JourneyCodingTests {
    private static let all = SampleJourney.submission + SampleJourney.relay

    @Test("Both forms come back as they were") func roundTrip() throws {
        #expect(try JourneyCoding.decode(JourneyCoding.encode(Self.all)) == Self.all)
        let readable = try JourneyCoding.encodeReadable(Self.all)
        let back = try JourneyCoding.decodeAll(readable)
        #expect(back.map(\.operation) == Self.all.map(\.operation))
        for (event, original) in zip(back, Self.all) { #expect(abs(event.time.timeIntervalSince(original.time)) < 0.001) }
        #expect(String(decoding: readable, as: UTF8.self).contains("\"2026-11-23T21:13:05.123Z\""))
    }

    @Test("The kind is the key of the JSON") func kinds() throws {
        for event in Self.all {
            let json = String(decoding: JourneyCoding.encode([event]), as: UTF8.self)
            #expect(json.contains("\"operation\":{\"\(event.operation.kind)\":{"))
        }
    }

    @Test(
        "What is no event is passed over",
        arguments: [
            "{}", "[]", #"{"trace":"00112233445566778899aabbccddeeff","time":1,"host":"h","role":"mx","operation":{"sang":{}}}"#,
            #"{"trace":"xx","time":1,"host":"h","role":"mx","operation":{"abandoned":{"reason":"r"}}}"#,
            #"{"trace":"00112233445566778899aabbccddeeff","time":"soon","host":"h","role":"mx","operation":{"abandoned":{"reason":"r"}}}"#,
        ])
    func invalid(_ json: String) throws {
        let known = try #require(Self.all.first)
        // Two that have nothing in common make an array of whole events.
        var other = known
        other.host = "other.kartapuce.test"
        let text = String(decoding: JourneyCoding.encode([known, other]).dropLast(), as: UTF8.self) + "," + json + "]"
        #expect(text.hasPrefix("["))
        #expect(try JourneyCoding.decode(text.utf8) == [known, other])
        #expect(throws: (any Error).self) { try JourneyCoding.decode((json + "x").utf8) }
    }

    @Test(
        "What is no event of a step is passed over",
        arguments: ["{}", "[]", "7", #"{"time":1,"operation":{"sang":{}}}"#, #"{"time":"soon","operation":{"abandoned":{"reason":"r"}}}"#])
    func invalidInStep(_ json: String) throws {
        let known = try #require(Self.all.first)
        let step = String(decoding: JourneyCoding.encode([known]), as: UTF8.self)
        #expect(step.hasPrefix(#"{"trace":""#) && step.hasSuffix("]}"))
        #expect(try JourneyCoding.decode((step.dropLast(2) + "," + json + "]}").utf8) == [known])
        #expect(throws: (any Error).self) { try JourneyCoding.decode((step + "x").utf8) }
        #expect(throws: (any Error).self) { try JourneyCoding.decode(#"{"events":[]}"#.utf8) }
    }

    @Test("What a report will say comes back as it was, with and without what few have") func judged() throws {
        var judged = JourneyEvent.Judged(
            sourceIP: "198.51.100.7", envelopeFrom: "", headerFrom: "gmail.test", result: "fail", recordDomain: "gmail.test", record: "v=DMARC1; p=\"none\"",
            spf: nil, signatures: [], isSPFAligned: false, isDKIMAligned: true, disposition: "none", overrides: [])
        for round in 0..<2 {
            let event = SampleJourney.event(0, "mail.kartapuce.test", "mx", .judged(judged))
            let octets = JourneyCoding.encode([event])
            #expect(try JourneyCoding.decode(octets) == [event], "\(round)")
            // By this it is found again.
            #expect(String(decoding: octets, as: UTF8.self).contains("\"judged\":"))
            judged.spf = .init(domain: "attacker.test", scope: "mfrom", result: "pass")
            judged.signatures = [.init(domain: "gmail.test", selector: "s1", result: "fail"), .init(domain: "x.test", selector: "", result: "pass")]
            judged.overrides = [.init(type: "local_policy", comment: "é \\ \u{1}")]
            judged.failure = .init(
                results: "mail.kartapuce.test; spf=pass", reversePath: "x@attacker.test", header: "From: a\r\n", spfRecords: ["txt : x : \"v\""])
            judged.failure?.signature = judged.signatures.first
            judged.failure?.identity = "@gmail.test"
        }
        // Nobody outside can write it into a subject.
        let forged = JourneyEvent.Described(messageID: nil, from: nil, subject: "\"judged\":", byteCount: 0, sha256: "")
        let octets = JourneyCoding.encode([SampleJourney.event(0, "mail.kartapuce.test", "mx", .described(forged))])
        #expect(!String(decoding: octets, as: UTF8.self).contains("\"judged\":"))
    }

    @Test("What a report on TLS will say comes back as it was") func tlsReport() throws {
        var report = JourneyEvent.Protected.SessionReport(
            record: "v=TLSRPTv1; rua=mailto:\"a\"@gmail.test", policyType: "no-policy-found", policyDomain: "gmail.test", policyLines: [], policyHosts: [],
            receivingHost: "mx.gmail.test", receivingAddress: nil, receivingHELO: nil, sendingAddress: nil, failures: [])
        for round in 0..<2 {
            let receipt = JourneyEvent.Protected(
                peer: "mx.gmail.test", nextHop: "gmail.test", source: "opportunistic", level: "opportunistic", encrypted: true, authenticated: false,
                version: "TLSv1.3", cipher: nil, group: nil, dnssec: nil, chain: [], checks: [], steps: [], failure: nil, verdict: "proceed", reason: nil,
                tlsReport: report)
            let event = SampleJourney.event(0, "smtp.kartapuce.test", "relay", .protected(receipt))
            let octets = JourneyCoding.encode([event])
            #expect(try JourneyCoding.decode(octets) == [event], "\(round)")
            // By this it is found again.
            #expect(String(decoding: octets, as: UTF8.self).contains("\"tlsReport\":"))
            report.policyType = "sts"
            report.policyLines = ["version: STSv1", "mode: enforce"]
            report.policyHosts = ["*.gmail.test"]
            report.receivingAddress = "198.51.100.7"
            report.receivingHELO = "mx\u{1}"
            report.sendingAddress = "2001:db8::1"
            report.failures = [.init(type: "certificate-expired", reason: "é"), .init(type: "sts-policy-fetch-error", reason: nil)]
        }
    }

    @Test("A duration that is no number is left out, and the event stays") func noNumber() throws {
        var event = try #require(Self.all.first)
        event.seconds = .infinity
        let back = try JourneyCoding.decode(JourneyCoding.encode([event]))
        #expect(back.map(\.operation) == [event.operation] && back.first?.seconds == nil)
    }

    @Test(
        "Times are read in the forms that people write",
        arguments: [
            ("2026-11-23", 1_795_392_000.0), ("2026-11-23T21:13:05Z", 1_795_468_385), ("2026-11-23 21:13", 1_795_468_380),
            ("2026-11-23T22:13:05.5+01:00", 1_795_468_385.5), ("2024-02-29", 1_709_164_800), ("1969-12-31T23:59:59Z", -1),
        ])
    func times(_ text: String, _ seconds: Double) throws {
        let date = try #require(JourneyTime.parse(text))
        #expect(abs(date.timeIntervalSince1970 - seconds) < 0.0001)
    }

    @Test(
        "What is no time is refused",
        arguments: [
            "", "2026", "2026-13-01", "2026-02-30", "2026-11-23T24:00", "2026-11-23T21:13:05x", "2026-11-23T21:13:05.Z",
            "2026-11-23T21:13+1:00", "yesterday", "2026-11-23T21:13:05Z ",
        ])
    func noTimes(_ text: String) { #expect(JourneyTime.parse(text) == nil) }

    @Test("What is written by hand is what the types themselves read and write") func everyField() throws {
        let reply = SMTPReply(550, EnhancedStatusCode(5, 1, 1), lines: ["\"quoted\" \\ back\u{1}slash", "é🙂"])
        let operations: [JourneyEvent.Operation] = [
            .connected(.init(listener: "smtp", client: "::1", clientPort: 1, server: "s", serverPort: 25)),
            .protected(
                .init(
                    peer: "p", nextHop: "n", source: "dane", level: "authenticated", encrypted: true, authenticated: true, version: "TLSv1.3", cipher: "c",
                    group: "g", dnssec: "secure", chain: ["c"], checks: ["d"], steps: ["s", "t"], failure: "certificate-expired", verdict: "retry", reason: "r")
            ),
            .secured(.init(peer: "p", version: "TLS 1.3", cipher: "c", group: "g", verification: "verified", peerSubject: "CN", peerRoles: ["mx", "relay"])),
            .authenticated(.init(user: "bob", mechanism: "PLAIN", succeeded: false)),
            .exchanged(.init(peer: "p", outbound: true, command: "EHLO x\ty", reply: SMTPReply(250, nil, ""))),
            .resolved(.init(name: "n", type: "MX", outcome: "records", records: ["a", "b"], security: "secure")),
            .described(.init(messageID: "<1@x>", from: "Bob", subject: "s", byteCount: 7, sha256: "00")),
            .described(.init(messageID: nil, from: nil, subject: nil, byteCount: 0, sha256: "")),
            .checked(.init(check: "spf", result: "pass", explanation: "e")),
            .decided(.init(recipient: "tom@gmail.test", verdict: "reject", reason: "r", reply: reply)),
            .committed(.init(queueID: "1A", byteCount: 1, recipients: [])),
            .routed(.init(recipient: "a", destination: "b", reason: "c")),
            .attempted(
                .init(
                    queueID: "q", recipient: "r", destination: "d", host: "h", address: "127.0.0.1", result: "deferred", reply: reply,
                    isLocal: true, attempt: 3, nextAttempt: Date(timeIntervalSince1970: 1.25), failures: ["f"])),
            .delivered(.init(recipient: "r", user: "u", mailbox: "INBOX", uid: .max, uidValidity: 1, isDuplicate: true)),
            .notified(.init(kind: "failure", recipient: "r", notified: "n", notificationTrace: .random(), reason: "x")),
            .queued(.init(action: "held", queueID: "q", reason: "r")), .abandoned(.init(reason: "\r\n")),
        ]
        let events = operations.map {
            JourneyEvent(trace: .random(), time: Date(timeIntervalSince1970: 1_795_468_385.123456), host: "h", role: "mx", seconds: 0.1, operation: $0)
        }
        #expect(Set(operations.map(\.kind)).count == 16)
        #expect(try JourneyCoding.decode(JourneyCoding.encode(events)) == events)
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .secondsSince1970
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .secondsSince1970
        let trace = TraceID.random()
        let step = events.map { event in
            var event = event
            event.trace = trace
            return event
        }
        #expect(try JourneyCoding.decode(JourneyCoding.encode(step)) == step)
        // The same fields, whatever their order: a field that is forgotten in one of the two would be missing here.
        let own = try JSONSerialization.jsonObject(with: Data(JourneyCoding.encode(events))) as? NSArray
        let theirs = try JSONSerialization.jsonObject(with: encoder.encode(events)) as? NSArray
        #expect(own != nil && own == theirs)
    }

    @Test("Search words: addresses in lower case, Message-ID with brackets") func searchKeys() {
        var words: [String] = []
        for word in Self.all.flatMap(JourneySearchKeys.keys(of:)) where !words.contains(word) { words.append(word) }
        #expect(words == ["bob@kartapuce.test", "tom@gmail.test", "<1@kartapuce.test>"])
        #expect(JourneySearchKeys.messageID("1@kartapuce.test") == "<1@kartapuce.test>")
        let long = JourneyEvent.Operation.routed(.init(recipient: String(repeating: "x", count: 600), destination: "", reason: ""))
        #expect(JourneySearchKeys.keys(of: SampleJourney.event(0, "h", "mx", long)).isEmpty)
    }
}
