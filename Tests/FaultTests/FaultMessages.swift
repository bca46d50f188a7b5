import Foundation
import MailTesting
import NIOCore
import NIOPosix
import Synchronization

/// A message that can be recognised and compared wherever it turns up.
struct FaultMessage: Hashable, Sendable {
    let identity: String
    let size: Int

    /// The lines end in CRLF; no line begins with a dot.
    var text: String {
        let header = "From: Alice <alice@gmail.test>\r\nSubject: Fault \(identity)\r\nMessage-ID: <\(identity)@gmail.test>\r\nX-Identity: \(identity)\r\n\r\n"
        let line = "\(identity) the quick brown fox jumps over the lazy dog and comes back again\r\n"
        return header + String(repeating: line, count: max(1, (size - header.utf8.count) / line.utf8.count)) + "End \(identity)\r\n"
    }

    /// Whose message this text is; `nil` where it isn't a whole one.
    static func identity(of text: String) -> String? {
        guard let range = text.range(of: "X-Identity: ") else { return nil }
        let identity = String(text[range.upperBound...].prefix { $0 != "\r\n" && $0 != "\r" && $0 != "\n" })
        return text.hasSuffix("End \(identity)\r\n") ? identity : nil
    }
}

extension ServerTestClient {
    /// Connects and says EHLO.
    static func connected(to host: FaultHost, from source: String? = nil) async throws -> ServerTestClient {
        let client = try await ServerTestClient(host: host.address, port: host.port, from: source)
        _ = await client.reply()
        _ = try await client.say("EHLO client.gmail.test")
        return client
    }

    /// Sends a message; the reply to its end or the first that is not positive. Empty when the connection was lost.
    func send(_ message: FaultMessage, to recipient: String) async throws -> String {
        for (command, code) in [("MAIL FROM:<alice@gmail.test>", "250"), ("RCPT TO:<\(recipient)@kartapuce.test>", "250"), ("DATA", "354")] {
            let reply = try await say(command)
            guard reply.hasPrefix(code) else { return reply }
        }
        return try await say(message.text + ".")
    }
}

extension FaultHost {
    /// Sends one message over a connection of its own.
    func take(_ message: FaultMessage, to recipient: String = "out") async throws -> String {
        let client = try await ServerTestClient.connected(to: self)
        let reply = try await client.send(message, to: recipient)
        // After a refusal within the transaction the connection is still there.
        _ = try? await client.say("QUIT")
        await client.close()
        return reply
    }
}

/// Clients that send one message after the other, and remember for which they have read a 250.
final class FaultLoad: Sendable {
    struct Record: Sendable {
        var acknowledged: [FaultMessage] = []
        var refused: [(message: FaultMessage, reply: String)] = []
        /// The connection was lost before the reply.
        var unknown: [FaultMessage] = []
    }

    private let state = Mutex(Record())
    private let stopped = Atomic<Bool>(false)
    let recipient: String

    init(recipient: String) { self.recipient = recipient }

    var record: Record { state.withLock { $0 } }

    func stop() { stopped.store(true, ordering: .relaxed) }

    /// Runs so many sessions until it is stopped.
    /// - Parameter size: the octets of a message.
    func run(sessions: Int, against host: FaultHost, name: String, size: @escaping @Sendable (Int) -> Int) async {
        await withDiscardingTaskGroup { group in
            for session in 0..<sessions {
                group.addTask {
                    var number = 0
                    while !self.stopped.load(ordering: .relaxed), !Task.isCancelled {
                        do { try await self.session(host, "\(name)-\(session)", &number, size) } catch { await pause(milliseconds: 20) }
                    }
                }
            }
        }
    }

    private func session(_ host: FaultHost, _ name: String, _ number: inout Int, _ size: @Sendable (Int) -> Int) async throws {
        let client = try await ServerTestClient.connected(to: host)
        for _ in 0..<20 where !stopped.load(ordering: .relaxed) {
            number += 1
            let message = FaultMessage(identity: "\(name)-\(number)", size: size(number))
            do {
                let reply = try await client.send(message, to: recipient)
                state.withLock { record in
                    if reply.hasPrefix("250") {
                        record.acknowledged.append(message)
                    } else if reply.isEmpty {
                        record.unknown.append(message)
                    } else {
                        record.refused.append((message, reply))
                    }
                }
                if reply.isEmpty || reply.hasPrefix("421") { break }
                if !reply.hasPrefix("250") { _ = try await client.say("RSET") }
            } catch {
                state.withLock { $0.unknown.append(message) }
                break
            }
        }
        await client.close()
    }
}

/// What a peer took, by the messages' identities.
struct SinkContents {
    private(set) var arrivals: [String: [ScriptedServer.Arrival]] = [:]
    private(set) var damaged = 0

    init(_ server: ScriptedServer) {
        let record = server.record
        for (message, arrival) in zip(record.messages, record.arrivals) {
            // Clients that learn that all recipients are refused end a message at once.
            if message.readableBytes == 0 { continue }
            if let identity = FaultMessage.identity(of: String(buffer: message)) {
                arrivals[identity, default: []].append(arrival)
            } else {
                damaged += 1
            }
        }
    }

    func lacks(_ messages: [FaultMessage]) -> [String] { messages.map(\.identity).filter { arrivals[$0] == nil } }
    var repeated: [String: [ScriptedServer.Arrival]] { arrivals.filter { $0.value.count > 1 } }
}

/// An obedient peer for the time of `body`; at the address that `out@kartapuce.test` leads to if no other is given.
func withSink<T>(number: Int = 2, _ body: (ScriptedServer) async throws -> T) async throws -> T {
    let sink = try await ScriptedServer.start(MultiThreadedEventLoopGroup.singleton, host: FaultRun.address(number), port: FaultRun.peerPort)
    let result: Result<T, any Error>
    do { result = .success(try await body(sink)) } catch { result = .failure(error) }
    try await sink.stop()
    return try result.get()
}
