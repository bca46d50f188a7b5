import FuzzedJourneys

/// Events of other hosts as JSON: what is read can be written and read again, and the story that is told of them is harmless text.
enum JourneyTarget {
    static func run(_ data: [UInt8]) {
        let octets = Input(data).octets
        // The corpus has single events too, as they stand in a step's array.
        let array = octets.first == UInt8(ascii: "[") ? octets : [UInt8(ascii: "[")] + octets + [UInt8(ascii: "]")]
        guard let events = try? JourneyCoding.decode(array), !events.isEmpty else { return }
        do {
            // Times survive to the millisecond in the readable form, and wholly in the other.
            let again = try JourneyCoding.decode(JourneyCoding.encode(events))
            require(again == events, "\(events) is read back as \(again)")
        } catch {
            require(false, "events that were read can't be read again: \(error)")
        }
        for event in events {
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
