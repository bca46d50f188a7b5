import ArgumentParser
import FoundationEssentials
import Gateway
import Journeys
import MailMessage
import MailStore

/// `postern trace`.
struct TraceCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Tell what happened to a message, where and why.",
        discussion: """
            Finds journeys by what is known of them, the latest first. A single one is told in full, several are listed; --full tells all. \
            Times are UTC: 2026-11-23, 2026-11-23T21:13:05, or with an offset 2026-11-23T22:13+01:00.
            """)

    @Option(name: .customLong("trace"), help: "The journey's identity, 32 hexadecimal digits.")
    var identity: String?
    @Option(name: .customLong("message-id"), help: "The Message-ID, with or without its angle brackets.")
    var messageID: String?
    @Option(help: "The envelope's sender; <> for notifications.")
    var sender: String?
    @Option(help: "A recipient.")
    var recipient: String?
    @Option(help: ArgumentHelp("Not before this time.", valueName: "time"), transform: Self.time)
    var from: Date?
    @Option(help: ArgumentHelp("Not after this time.", valueName: "time"), transform: Self.time)
    var to: Date?
    @Option(help: "At most so many journeys.")
    var last = 10
    @Flag(help: "Tell every journey in full.")
    var full = false
    @Flag(help: "Hide addresses, subjects and Message-IDs, to show a story to others.")
    var redact = false
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    @Sendable private static func time(_ text: String) throws -> Date {
        guard let date = JourneyTime.parse(text) else {
            throw ValidationError("“\(text)” is no time; write 2026-11-23 or 2026-11-23T21:13:05 (UTC)")
        }
        return date
    }

    private struct Journey: Encodable {
        var trace: String
        var sender: String?
        var outcomes: [JourneyOutcome]
        var events: [JourneyEvent]
    }

    func validate() throws {
        if last < 1 || last > 1000 { throw ValidationError("--last must be from 1 to 1000") }
        if output.isJSON, redact { throw ValidationError("--redact works on stories, not on JSON") }
        if let identity, TraceID(identity) == nil { throw ValidationError("--trace needs 32 hexadecimal digits in lower case") }
    }

    func execute() async throws {
        let log = try await options.load().openSpool()
        let stories = try await find(in: log)
        guard !stories.isEmpty else {
            throw CommandFailure(.notFound, "no journey is known by that; they are kept for a limited time, and on the inside for all hosts")
        }
        let journeys = stories.map {
            Journey(trace: $0.trace?.description ?? "", sender: $0.sender, outcomes: $0.outcomes, events: $0.events)
        }
        try output.show(["journeys": journeys]) {
            if stories.count == 1 || full { return stories.map(\.text).joined(separator: "\n") }
            return stories.map(\.summary).joined(separator: "\n") + "\n\npostern trace --trace IDENTITY tells one of them in full."
        }
    }

    /// The journeys that were asked for, the latest first.
    private func find(in log: SpoolStore) async throws -> [JourneyStory] {
        let style = JourneyStory.Style(isColoured: Terminal.showsColours && !output.isJSON, isRedacted: redact)
        let traces: [TraceID]
        if let identity {
            traces = TraceID(identity).map { [$0] } ?? []
        } else {
            let key =
                messageID.map(JourneySearchKeys.messageID) ?? recipient.map(JourneySearchKeys.normalise)
                ?? sender.map(JourneySearchKeys.normalise)
            // A key leads to addresses in any part; what doesn't fit is dropped below, so more are asked for.
            let isExact = messageID == nil && recipient == nil && sender == nil
            traces = try await log.traces(
                key: key.flatMap { $0.isEmpty ? nil : $0 }, from: from, to: to, limit: isExact ? last : min(last * 20, 5000))
        }
        var stories: [JourneyStory] = []
        for trace in traces where stories.count < last {
            var events: [JourneyEvent] = []
            for record in try await log.records(of: trace) {
                // Deliberate: what a newer host has written is passed over here; the others still tell the story.
                events += (try? JourneyCoding.decode(record.payload)) ?? []
            }
            let story = JourneyStory(events: events, style: style)
            if !events.isEmpty, fits(story) { stories.append(story) }
        }
        return stories
    }

    private func fits(_ story: JourneyStory) -> Bool {
        if let sender {
            let wanted = JourneySearchKeys.normalise(sender)
            let known = JourneySearchKeys.normalise(story.sender ?? "")
            // The From field's display name stands around the address where no MAIL command is known.
            guard wanted == known || (!wanted.isEmpty && known.contains("<\(wanted)>")) else { return false }
        }
        if let recipient {
            let wanted = JourneySearchKeys.normalise(recipient)
            guard story.outcomes.contains(where: { JourneySearchKeys.normalise($0.recipient) == wanted }) else { return false }
        }
        return true
    }
}
