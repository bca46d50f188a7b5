import ArgumentParser
import Foundation

/// `bench`.
@main
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure Postern beside Postfix and Dovecot on this machine.",
        subcommands: [MeasureCommand.self, DiscardCommand.self, HandshakeCommand.self, GreetingCommand.self], defaultSubcommand: MeasureCommand.self)
}

/// `bench measure`: what `make bench` runs.
struct MeasureCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "measure", abstract: "Measure Postern beside its peers.",
        discussion: "Starts every server itself, on loopback, in folders of its own, and ends all of them.")

    @Option(help: "The postern binary.") var postern: String
    @Option(help: "The folder with the peers' configurations.") var peers: String = "Benchmarks/Peers"
    @Option(help: "What to measure, separated by commas; nothing: everything.") var only: String = ""
    @Option(help: "About how long a single run loads a server.") var seconds: Double = 4
    @Option(help: "How often each is run, in turn with its peer.") var runs: Int = 3
    @Option(help: "How many sessions are idle in “idle”.") var sessions: Int = 10_000
    @Option(help: "How many messages are in “queue” and “mailbox”.") var million: Int = 1_000_000
    @Option(help: "Where the figures go.") var output: String = "bench.json"
    @Option(help: "Where servers keep their data; a file system on a real disk.") var scratch: String?
    @Flag(help: "Leave folders and logs behind.") var keep = false

    func run() async throws {
        let selected = only.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        let unknown = selected.filter { name in !Subject.all.contains { $0.name == name } }
        guard unknown.isEmpty else {
            throw ValidationError("unknown: \(unknown.joined(separator: ", ")); there are \(Subject.all.map(\.name).joined(separator: ", "))")
        }
        guard let binary = ChildProcess.find(postern.hasPrefix("/") ? postern : "\(FileManager.default.currentDirectoryPath)/\(postern)") else {
            throw ValidationError("there is no program \(postern)")
        }
        endChildrenOnInterrupt()
        let workshop = try Workshop(folder: scratch, peersFolder: peers)
        defer { if !keep { workshop.remove() } }
        let run = Run(workshop: workshop, binary: binary, seconds: seconds, runs: max(1, runs), idleSessions: sessions, million: million, figures: Figures())
        Machine.describe(run)
        var failed: [String] = []
        for subject in Subject.all where selected.isEmpty || selected.contains(subject.name) {
            say("\n\(subject.name): \(subject.purpose)")
            do {
                try await subject.measure(run)
            } catch {
                // One that fails must not cost the figures of the others.
                failed.append(subject.name)
                say("  FAILED: \(error)")
            }
            try run.figures.write(to: output)
        }
        say("\nThe figures are in \(output).")
        if !failed.isEmpty { throw BenchError("not measured: \(failed.joined(separator: ", "))") }
    }
}

/// What a run has to do with.
struct Run {
    let workshop: Workshop
    let binary: String
    let seconds: Double
    let runs: Int
    let idleSessions: Int
    let million: Int
    let figures: Figures
}

/// Something that is measured.
struct Subject: Sendable {
    let name: String
    let purpose: String
    let measure: @Sendable (Run) async throws -> Void

    static let all: [Subject] = [
        Subject(name: "accept", purpose: "4 KiB messages taken durably and kept, Postfix beside Postern", measure: MailFlow.accept),
        Subject(name: "relay", purpose: "4 KiB messages from smtp-source to smtp-sink, Postfix beside Postern", measure: MailFlow.relay),
        Subject(name: "sizes", purpose: "messages of 100 KiB and 10 MiB, in MB/s", measure: MailFlow.sizes),
        Subject(name: "ceiling", purpose: "what NIO can do at most with smtp-source", measure: MailFlow.ceiling),
        Subject(name: "journey", purpose: "what the evidence costs: relay with journeys on and off", measure: MailFlow.journeyCost),
        Subject(name: "auth", purpose: "DKIM signatures, and all checks of senders", measure: AuthenticationBenchmarks.all),
        Subject(name: "tls", purpose: "TLS 1.3 handshakes, beside NIOSSL alone and OpenSSL", measure: HandshakeBenchmarks.all),
        Subject(name: "imap", purpose: "a mailbox of 10,000 messages, Dovecot beside Postern", measure: MailboxBenchmarks.imap),
        Subject(name: "idle", purpose: "memory of 10,000 sessions that do nothing", measure: IdleBenchmarks.idle),
        Subject(name: "queue", purpose: "a million messages in the queue, beside none", measure: MillionBenchmarks.queue),
        Subject(name: "mailbox", purpose: "a mailbox of a million messages", measure: MillionBenchmarks.mailbox),
        Subject(name: "profile", purpose: "where Postern's time goes while it relays", measure: ProfileBenchmark.profile),
        Subject(name: "micro", purpose: "parsers, and the store alone", measure: Micro.all),
    ]
}

/// The machine, as far as it matters for figures.
enum Machine {
    static func describe(_ run: Run) {
        let cores = ProcessInfo.processInfo.activeProcessorCount
        let load = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8))?.split(separator: " ").first.flatMap { Double($0) } ?? 0
        say("\(cores) cores, load average \(show(load)), data in \(run.workshop.folder)")
        if load > 0.5 { say("Others use this machine: rates wobble, CPU time for each message is the steadier figure.") }
        run.figures["machine.cores"] = Double(cores)
        run.figures["machine.load"] = load
    }
}
