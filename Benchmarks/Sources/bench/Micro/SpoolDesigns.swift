import Foundation
import MailMessage
import MailStore
import NIOCore
import Synchronization

/// The designs for the spool, with 50 producers that each wait until their message is on the disk: the body in the row of its message
/// and one file for each body (Postern's own spool, which has both and a limit between them), and a segment file that everything is
/// appended to, with one sync for all that wait (a model: without an index, without deleting, the most that such a design could give).
enum SpoolDesigns {
    private static let producers = 50

    static func measure(_ run: Run) async throws {
        var table = Table(["spool, 50 producers", "row /s", "MB/s", "file /s", "MB/s", "segment /s", "MB/s", "messages"])
        for (name, octets) in [("4k", 4 << 10), ("100k", 100 << 10), ("10m", 10 << 20)] {
            var cells = [name]
            let count = max(producers, min(Int(8_000 * run.seconds / 4), (512 << 20) / octets))
            for design in ["row", "file", "segment"] {
                var rates: [Double] = []
                for _ in 0..<run.runs {
                    let folder = try run.workshop.makeFolder("spool-\(design)")
                    rates.append(try await rate(of: design, folder: folder, octets: octets, count: count))
                    try FileManager.default.removeItem(atPath: folder)
                }
                let samples = Samples(values: rates)
                run.figures["micro.spool.\(name).\(design).per_s"] = samples.median
                run.figures["micro.spool.\(name).\(design).spread_percent"] = samples.spread
                cells += [show(samples.median), show(samples.median * Double(octets) / 1e6)]
            }
            cells.append("\(count)")
            // What the store does with its own limit between row and file.
            let own = octets <= 256 << 10 ? "row" : "file"
            run.figures["micro.store.insert.\(name).per_s"] = run.figures["micro.spool.\(name).\(own).per_s"]
            table.add(cells)
        }
        say(table.text)
        say("  row and file are Postern's spool with its recipients (one transaction and one fdatasync for all that wait; a file has its own fsync);")
        say("  segment is a model: bodies appended to one file, one fdatasync for all that wait, no index, nothing deleted")
    }

    private static func rate(of design: String, folder: String, octets: Int, count: Int) async throws -> Double {
        let body = BufferedContent(SampleMail.plain(7, octets: octets))
        switch design {
        case "segment":
            let segment = try SegmentFile(path: "\(folder)/segment")
            return try await perSecond(count) { _ in try await segment.append(body.buffer) }
        default:
            let spool = try await SpoolStore.open(folder: folder, host: "bench.kartapuce.test", bodyRowLimit: design == "row" ? .max : 0)
            let sender = EmailAddress(localPart: "tom", domain: "gmail.test")
            let recipient = EnvelopeRecipient(address: EmailAddress(localPart: "bob", domain: "kartapuce.test"))
            let result = await Result {
                try await perSecond(count) { _ in
                    let message = NewSpoolMessage(
                        trace: .random(), envelope: Envelope(reversePath: sender), routes: [(recipient, "route:kartapuce.test")],
                        prefix: ByteBuffer(string: "Received: by bench.kartapuce.test\r\n"), content: body, arrival: .now)
                    _ = try await spool.enqueue(message, journey: [])
                }
            }
            try await spool.close()
            return try result.get()
        }
    }

    /// Does something `count` times, by 50 tasks.
    private static func perSecond(_ count: Int, _ body: @escaping @Sendable (Int) async throws -> Void) async throws -> Double {
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for producer in 0..<producers {
                group.addTask { for number in stride(from: producer, to: count, by: producers) { try await body(number) } }
            }
            try await group.waitForAll()
        }
        return Double(count) / ((ContinuousClock.now - start) / .seconds(1))
    }
}

/// A file that everything is appended to; who appends waits for the sync that follows.
private final class SegmentFile: Sendable {
    private struct State {
        var waiting: [(ByteBuffer, CheckedContinuation<Void, any Error>)] = []
        var isRunning = false
    }
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "bench.segment")
    private let file: FileHandle

    init(path: String) throws {
        try Data().write(to: URL(fileURLWithPath: path))
        file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    }

    func append(_ octets: ByteBuffer) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let starts = state.withLock { state in
                state.waiting.append((octets, continuation))
                defer { state.isRunning = true }
                return !state.isRunning
            }
            if starts { queue.async { self.drain() } }
        }
    }

    private func drain() {
        while true {
            let batch = state.withLock { state in
                let batch = state.waiting
                state.waiting = []
                if batch.isEmpty { state.isRunning = false }
                return batch
            }
            if batch.isEmpty { return }
            let outcome = Result<Void, any Error> {
                var data = Data()
                for (octets, _) in batch { data.append(contentsOf: octets.readableBytesView) }
                try file.write(contentsOf: data)
                guard fdatasync(file.fileDescriptor) == 0 else { throw BenchError("fdatasync failed: \(errno)") }
            }
            for (_, continuation) in batch { continuation.resume(with: outcome) }
        }
    }
}
