import Foundation
import Journeys
import MailMessage
import MailStore
import MailTesting
import NIOCore
import SASL
import Testing

@testable import Lab

/// A host that takes mail in clear, for its own mailboxes and by way of aliases for the outside: `postern serve` as a child process that
/// can be killed, starved and lied to.
///
/// `bob@kartapuce.test` has a mailbox; `out@kartapuce.test` leads to `tom@[sink]`, the address that most peers listen on, and each of the
/// further aliases to where the test wants it. An alias costs a message a second way through the queue, which is to the good here.
final class FaultHost: Sendable {
    let folder: String
    let address: String
    let port = 2525
    private let wrapper: [String]
    private let isSeparate: Bool
    private let child = Current()

    private actor Current {
        var child: ChildProcess?
        func set(_ child: ChildProcess?) { self.child = child }
    }

    /// What differs from one test to another.
    struct Options {
        var limits: [String] = []
        var queue: [String] = ["retrySeconds: [1s, 1s, 2s]"]
        var more: [String] = []
        /// Aliases and where they lead to, beside `out`.
        var aliases: [String: String] = [:]
        /// A program and its arguments that `postern` is started by: `env`, `prlimit`…
        var wrapper: [String] = []
        var roles = "mx, relay, store, internal"
        /// It runs in a network of its own, where nobody reaches it from here.
        var isSeparate = false
        /// Listeners beside the one for mail in clear.
        var listeners: [String] = []
    }

    /// - Parameter dataFolder: where the data is; below `folder` if nothing else is said.
    init(folder: String, options: Options = Options(), dataFolder: String? = nil, number: Int = 1) async throws {
        self.folder = folder
        self.dataFolder = dataFolder ?? "\(folder)/data"
        address = FaultRun.address(number)
        wrapper = (options.isSeparate ? ["unshare", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"] : []) + options.wrapper
        isSeparate = options.isSeparate
        // An anchor for a zone that nobody asks for: the test's name servers sign nothing.
        try "anchor.test. IN DS 12345 13 2 \(String(repeating: "ab", count: 32))\n".write(
            toFile: "\(folder)/anchor.key", atomically: true, encoding: .utf8)
        var lines = [
            "hostname: mail.kartapuce.test", "roles: [\(options.roles)]", "domains: [kartapuce.test]", "dataFolder: \(self.dataFolder)",
            "authentication: {mode: off}", "listeners:", "  - {kind: smtp, address: \(address), port: \(port)}",
        ]
        lines += options.listeners.map { "  - \($0)" }
        lines += [
            "outboundPort: \(FaultRun.peerPort)",
            "outboundTimeoutSeconds: 2s", "limits:", "  trustedNetworks: [127.86.0.0/16]",
        ]
        lines += options.limits.map { "  \($0)" }
        lines += ["queue:"] + options.queue.map { "  \($0)" }
        lines += options.more
        if !options.more.contains(where: { $0.hasPrefix("resolver:") }) {
            lines += ["resolver: {forwarders: [\"\(FaultRun.address(53))@5353\"], trustAnchorFile: \(folder)/anchor.key, timeoutSeconds: 1s}"]
        }
        try (lines.joined(separator: "\n") + "\n").write(toFile: "\(folder)/postern.yaml", atomically: true, encoding: .utf8)
        try FileManager.default.createDirectory(atPath: self.dataFolder, withIntermediateDirectories: true)
        let aliases = options.aliases.merging(["out": "tom@[\(FaultRun.address(2))]"]) { own, _ in own }
        try await mailboxes { store in
            // A host of an earlier process, on the same data.
            guard try await store.users().isEmpty else { return }
            let verifier = try SCRAMVerifier(password: "correct horse", salt: [1, 2, 3, 4], iterations: 4096)
            try await store.addUser(EmailAddress(localPart: "bob", domain: "kartapuce.test"), verifier: verifier)
            for (alias, target) in aliases {
                try await store.setAlias(EmailAddress(localPart: alias, domain: "kartapuce.test"), targets: [EmailAddress(parsing: target)])
            }
        }
    }

    let dataFolder: String
    var logFile: String { "\(folder)/postern.log" }
    var log: String { (try? String(contentsOfFile: logFile, encoding: .utf8)) ?? "" }

    /// The host runs while `body` does.
    static func run(
        _ folder: String, options: Options = Options(), dataFolder: String? = nil, _ body: (FaultHost) async throws -> Void
    ) async throws {
        let host = try await FaultHost(folder: folder, options: options, dataFolder: dataFolder)
        try await host.run { try await body(host) }
    }

    /// Starts it, and ends it after `body` if that didn't: in good order, or at once where `body` threw.
    func run(_ body: () async throws -> Void) async throws {
        do {
            try await start()
            try await body()
        } catch {
            await crash()
            print("faults: the last lines of the host's log:\n\(log.suffix(3000))")
            throw error
        }
        await stop()
    }

    /// Starts it; returns when it greets.
    func start() async throws {
        let arguments = [try posternBinary(), "serve", "--config", "\(folder)/postern.yaml"]
        let command = wrapper + arguments
        let child = try ChildProcess(
            name: "postern", program: Command.find(command[0]) ?? command[0], arguments: Array(command.dropFirst()), folder: folder, logFile: logFile)
        await self.child.set(child)
        let isUp = try await eventually(within: 60) {
            guard child.isRunning else { throw HostEnded(description: "postern ended at its start:\n\(child.lastLines())") }
            if isSeparate { return child.lastLines(50).contains(" postern: listening ") }
            return await Waiting.accepts(address: address, port: port)
        }
        if !isUp { throw HostEnded(description: "postern doesn't listen:\n\(child.lastLines())") }
    }

    var identifier: Int32 {
        get async throws { try #require(await child.child).processIdentifier }
    }
    var isRunning: Bool { get async { await child.child?.isRunning ?? false } }

    func crash() async { await child.child?.crash() }
    func stop() async { await child.child?.stop(grace: .seconds(20)) }

    /// Sends a signal to it.
    func signal(_ number: Int32) async throws { _ = kill(try await identifier, number) }

    // MARK: What it holds

    /// Its mailboxes and accounts, opened beside it.
    func mailboxes<T>(_ body: (MailboxStore) async throws -> T) async throws -> T {
        let store = try await MailboxStore.open(folder: dataFolder)
        do {
            let result = try await body(store)
            try await store.close()
            return result
        } catch {
            try? await store.close()
            throw error
        }
    }

    /// Its spool, opened beside it.
    func spool<T>(_ body: (SpoolStore) async throws -> T) async throws -> T {
        let spool = try await SpoolStore.open(folder: dataFolder, host: "mail.kartapuce.test")
        do {
            let result = try await body(spool)
            try await spool.close()
            return result
        } catch {
            try? await spool.close()
            throw error
        }
    }

    /// Waits until nothing is in its queue, held or not.
    func emptied(within seconds: Int = 60) async throws -> Bool {
        try await spool { spool in try await eventually(within: seconds) { try await spool.counts() == (queued: 0, held: 0) } }
    }

    /// The messages in Bob's INBOX.
    func inbox() async throws -> [String] {
        try await mailboxes { store in
            let user = EmailAddress(localPart: "bob", domain: "kartapuce.test")
            guard let mailbox = try await store.mailbox(named: "INBOX", of: user) else { return [] }
            var texts: [String] = []
            for message in try await store.messages(in: mailbox.id, uids: 1...UInt32.max) {
                let content = try #require(try await store.content(message.contentID))
                texts.append(String(buffer: try await content.readAll()))
            }
            return texts
        }
    }

    // MARK: What it costs

    /// Seconds of processor time so far.
    func processorSeconds() async throws -> Double {
        let text = try String(contentsOfFile: "/proc/\(try await identifier)/stat", encoding: .utf8)
        // The name in parentheses may have spaces; user and system time are the 12th and 13th field after it.
        let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Resident memory in octets.
    func residentOctets() async throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(try await identifier)/status", encoding: .utf8)
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        return (Int(line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first ?? "") ?? 0) * 1024
    }

    /// Open files and sockets.
    func openFiles() async throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/\(try await identifier)/fd").count }
}

/// The host is not there.
struct HostEnded: Error, CustomStringConvertible { let description: String }
