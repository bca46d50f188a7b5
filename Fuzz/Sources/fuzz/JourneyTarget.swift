import FuzzedJourneys

/// Events of other hosts as JSON: what is read can be written and read again, and the story that is told of them is harmless text.
enum JourneyTarget {
    static func run(_ data: [UInt8]) {
        let input = Input(data)
        let events = (try? JourneyCoding.decodeAll(input.octets)) ?? (try? JourneyCoding.decode(input.octets)).map { [$0] } ?? []
        guard !events.isEmpty else { return }
        for event in events {
            do {
                // Times survive to the millisecond in the readable form, and wholly in the other.
                let again = try JourneyCoding.decode(try JourneyCoding.encode(event))
                require(again == event, "\(event) is read back as \(again)")
            } catch {
                require(false, "an event that was read can't be written or read again: \(error)")
            }
            _ = JourneySearchKeys.keys(of: event)
        }
        require((try? JourneyCoding.decodeAll(JourneyCoding.encodeReadable(events)))?.count == events.count, "the readable form can't be read")
        for isRedacted in [false, true] {
            let story = JourneyStory(events: events, style: .init(isColoured: false, isRedacted: isRedacted)).text
            for scalar in story.unicodeScalars {
                require(scalar == "\n" || scalar.properties.generalCategory != .control, "a control character in a story")
            }
        }
    }
}
