import ArgumentParser
import FoundationEssentials
import Gateway
import Journeys
import MailMessage
import MailStore

/// `postern queue`.
struct QueueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue", abstract: "Look into the queue, and hold, release, retry or delete what waits there.",
        subcommands: [
            QueueListCommand.self, QueueShowCommand.self, QueueRetryCommand.self, QueueHoldCommand.self, QueueReleaseCommand.self,
            QueueDeleteCommand.self,
        ])
}

/// A message of the queue, as commands show it.
struct QueueEntry: Encodable {
    struct Recipient: Encodable {
        var address: String
        var destination: String
        var state: String
        var attempts: Int
        var nextAttempt: Date
        var lastStatus: String?
        var holdReason: String?
    }
    var id: String
    var trace: String
    /// Empty for the null reverse-path.
    var sender: String
    var byteCount: Int
    var arrival: Date
    var recipients: [Recipient]

    init(_ message: SpooledMessage, _ recipients: [QueuedRecipient]) {
        id = message.id.description
        trace = message.trace.description
        sender = message.envelope.reversePath?.description ?? ""
        byteCount = message.content.byteCount
        arrival = message.arrival
        self.recipients = recipients.map {
            .init(
                address: $0.recipient.address.description, destination: $0.destination, state: $0.state.rawValue, attempts: $0.attempts,
                nextAttempt: $0.nextAttempt, lastStatus: $0.lastStatus, holdReason: $0.holdReason)
        }
    }

    /// The entry in full, for people.
    var text: String {
        var lines = [
            "\(id)  from \(sender.isEmpty ? "<>" : sender)  \(byteCount) bytes  arrived \(PeopleTime.text(arrival))", "  trace \(trace)",
        ]
        for recipient in recipients {
            let time = recipient.state == "held" ? "held" : "next attempt \(PeopleTime.text(recipient.nextAttempt))"
            lines.append("  to \(recipient.address) by \(recipient.destination): \(time), \(recipient.attempts) attempt(s) so far")
            if let reason = recipient.holdReason { lines.append("     held: \(JourneyStory.harmless(reason))") }
            if let status = recipient.lastStatus { lines.append("     last: \(JourneyStory.harmless(status))") }
        }
        return lines.joined(separator: "\n")
    }
}

extension QueueID {
    /// A number from the command line.
    static func argument(_ text: String) throws -> QueueID {
        guard let id = QueueID(text) else { throw ValidationError("“\(text)” is no queue number; postern queue list shows them") }
        return id
    }
}

/// `postern queue list`.
struct QueueListCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the messages that wait, oldest first.")

    @Option(help: "At most so many messages.")
    var limit = 100
    @Option(help: "Leave out so many of the oldest.")
    var offset = 0
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    private struct Result: Encodable {
        var queued: Int
        var held: Int
        var messages: [QueueEntry]
    }

    func validate() throws {
        if limit < 1 || limit > 100_000 || offset < 0 { throw ValidationError("--limit must be from 1 to 100000, --offset at least 0") }
    }

    func execute() async throws {
        let spool = try await options.load().openSpool()
        let counts = try await spool.counts()
        let entries = try await spool.list(limit: limit, offset: offset).map { QueueEntry($0.message, $0.recipients) }
        try output.show(Result(queued: counts.queued, held: counts.held, messages: entries)) {
            let total = "\(counts.queued) recipient(s) queued, \(counts.held) held"
            guard !entries.isEmpty else { return total }
            var table = TextTable(header: ["ID", "ARRIVED", "BYTES", "FROM", "TO", "STATE"])
            for entry in entries {
                for (index, recipient) in entry.recipients.enumerated() {
                    let state = recipient.state == "held" ? "held" : "\(recipient.attempts) tried, next \(PeopleTime.text(recipient.nextAttempt))"
                    let head =
                        index == 0
                        ? [entry.id, PeopleTime.text(entry.arrival), String(entry.byteCount), entry.sender.isEmpty ? "<>" : entry.sender]
                        : ["", "", "", ""]
                    table.rows.append(head + [recipient.address, state])
                }
            }
            return "\(table.text)\n\(total)"
        }
    }
}

/// `postern queue show`.
struct QueueShowCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show a message of the queue with its recipients.")

    @Argument(help: "The message's number.", transform: QueueID.argument)
    var id: QueueID
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let spool = try await options.load().openSpool()
        guard let message = try await spool.message(id) else {
            throw CommandFailure(.notFound, "\(id) is not in the queue; postern trace tells what became of it")
        }
        let entry = QueueEntry(message, try await spool.recipients(of: id))
        try output.show(entry) { entry.text }
    }
}

/// Which messages an operator means.
struct QueueSelection: ParsableArguments {
    @Argument(help: "The messages' numbers.", transform: QueueID.argument)
    var ids: [QueueID] = []
    @Flag(help: "All messages.")
    var all = false

    func validate() throws {
        if ids.isEmpty != all { throw ValidationError("name the messages, or give --all") }
    }
}

private struct QueueResult: Encodable {
    var action: String
    var recipients: Int
}

extension Configuration {
    /// Does something to messages of the queue, and writes it into their journeys.
    fileprivate func changeQueue(
        _ selection: QueueSelection, action: String, reason: String, _ change: (SpoolStore, QueueID?) async throws -> Int
    ) async throws -> Int {
        let spool = try await openSpool()
        var concerned: [(QueueID, TraceID)] = []
        if selection.all {
            // The journeys of more than so many messages are not written one by one.
            concerned = try await spool.list(limit: 10_000, offset: 0).map { ($0.message.id, $0.message.trace) }
        } else {
            for id in selection.ids {
                guard let message = try await spool.message(id) else {
                    throw CommandFailure(.notFound, "\(id) is not in the queue; nothing was changed")
                }
                concerned.append((id, message.trace))
            }
        }
        var count = 0
        if selection.all {
            count = try await change(spool, nil)
        } else {
            for id in selection.ids { count += try await change(spool, id) }
        }
        let role = Role.allCases.first(where: roles.contains)?.rawValue ?? ""
        let now = Date()
        try await spool.append(
            concerned.map { id, trace in
                JourneyRecord(
                    JourneyEvent(
                        trace: trace, time: now, host: hostname, role: role,
                        operation: .queued(.init(action: action, queueID: id.description, reason: reason))))
            })
        return count
    }
}

/// `postern queue retry`.
struct QueueRetryCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "retry", abstract: "Try a delivery now.")

    @OptionGroup var selection: QueueSelection
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let count = try await options.load().changeQueue(selection, action: "retried", reason: "an operator's command") { try await $0.retry($1) }
        try output.show(QueueResult(action: "retried", recipients: count)) { "\(count) recipient(s) will be tried now" }
    }
}

/// `postern queue hold`.
struct QueueHoldCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "hold", abstract: "Keep messages from being delivered until they are released.")

    @OptionGroup var selection: QueueSelection
    @Option(help: "Why, for whoever looks at the queue next.")
    var reason = "held by an operator"
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let count = try await options.load().changeQueue(selection, action: "held", reason: reason) { try await $0.hold($1, reason: reason) }
        try output.show(QueueResult(action: "held", recipients: count)) { "\(count) recipient(s) held" }
    }
}

/// `postern queue release`.
struct QueueReleaseCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "release", abstract: "Let held messages go on.")

    @OptionGroup var selection: QueueSelection
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let count = try await options.load().changeQueue(selection, action: "released", reason: "an operator's command") {
            try await $0.release($1)
        }
        try output.show(QueueResult(action: "released", recipients: count)) { "\(count) recipient(s) released" }
    }
}

/// `postern queue delete`.
struct QueueDeleteCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete messages from the queue; nobody is told.")

    @Argument(help: "The messages' numbers.", transform: QueueID.argument)
    var ids: [QueueID]
    @Option(help: "Why, for the journey.")
    var reason = "deleted by an operator"
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        var selection = QueueSelection()
        selection.ids = ids
        selection.all = false
        let count = try await options.load().changeQueue(selection, action: "deleted", reason: reason) { spool, id in
            guard let id else { return 0 }
            return try await spool.delete(id)
        }
        try output.show(QueueResult(action: "deleted", recipients: count)) { "\(count) recipient(s) deleted" }
    }
}
