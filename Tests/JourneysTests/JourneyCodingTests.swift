import FoundationEssentials
import Journeys
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
        let text = "[" + String(decoding: JourneyCoding.encode([known]).dropFirst().dropLast(), as: UTF8.self) + "," + json + "]"
        #expect(try JourneyCoding.decode(text.utf8) == [known])
        #expect(throws: (any Error).self) { try JourneyCoding.decode((json + "x").utf8) }
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

    @Test("Search words: addresses in lower case, Message-ID with brackets") func searchKeys() {
        var words: [String] = []
        for word in Self.all.flatMap(JourneySearchKeys.keys(of:)) where !words.contains(word) { words.append(word) }
        #expect(words == ["bob@kartapuce.test", "tom@gmail.test", "<1@kartapuce.test>"])
        #expect(JourneySearchKeys.messageID("1@kartapuce.test") == "<1@kartapuce.test>")
        let long = JourneyEvent.Operation.routed(.init(recipient: String(repeating: "x", count: 600), destination: "", reason: ""))
        #expect(JourneySearchKeys.keys(of: SampleJourney.event(0, "h", "mx", long)).isEmpty)
    }
}
