import Foundation
import MailMessage
import MailTesting
import NIOCore
import Testing

@testable import Lab

/// A real Postfix whose mail is signed by `postern milter`.
@Suite(.serialized, .timeLimit(.minutes(3)), .enabled(if: MilterPostfix.isInstalled, "needs Postfix, and root"))
struct MilterSenderTests {
    private static func text(from author: String, number: Int, above: String = "") -> String {
        "\(above)From: Somebody <\(author)>\r\nTo: bob@kartapuce.test\r\nDate: Sat, 28 Nov 2026 12:00:00 +0000\r\nMessage-ID: <\(number)@x.test>\r\nSubject: folded\r\n here\r\n\r\nHello,\r\n\r\nbye \r\n\r\n"
    }

    /// Sends a message as a client at an address; returns the last reply.
    private func send(_ text: String, from sender: String, client address: String?, port: Int) async throws -> String {
        let client = try await ServerTestClient(port: port)
        _ = await client.reply()
        _ = try await client.say("EHLO mail.gmail.test")
        if let address {
            guard try await client.say("XCLIENT ADDR=\(address) NAME=[UNAVAILABLE]").hasPrefix("220") else { return "no XCLIENT" }
            _ = try await client.say("EHLO mail.gmail.test")
        }
        for line in ["MAIL FROM:<\(sender)>", "RCPT TO:<bob@kartapuce.test>", "DATA"] {
            let reply = try await client.say(line)
            guard reply.hasPrefix("2") || reply.hasPrefix("3") else { return reply }
        }
        client.push(ByteBuffer(string: "\(text).\r\n"))
        let reply = await client.reply().last ?? ""
        _ = try await client.say("QUIT")
        return reply
    }

    /// The message with this number, from its first trace field on: what delivery puts in front is left out.
    private func delivered(_ number: Int, by postfix: MilterPostfix) throws -> ByteBuffer? {
        for data in try postfix.delivered where String(decoding: data, as: UTF8.self).contains("Message-ID: <\(number)@x.test>") {
            let own = ["return-path", "x-original-to", "delivered-to"]
            let message = ByteBuffer(bytes: data)
            let header = HeaderSection(parsing: message)
            let start = header.first { !own.contains($0.name.lowercased()) }?.range.lowerBound ?? 0
            return message.getSlice(at: start, length: message.readableBytes - start)
        }
        return nil
    }

    @Test func theProcessSignsWithKeysThatAReloadBrings() async throws {
        let folder = try LabFiles.temporaryFolder("sender")
        defer { LabFiles.remove(folder) }
        let postern = try posternBinary()
        let (file, path) = ("\(folder)/postern.yaml", "\(folder)/milter")
        // Nothing listens where the resolver asks: what it can't know is no obstacle to signing.
        try LabFiles.write(
            """
            hostname: postfix.kartapuce.test
            domains: [kartapuce.test]
            dataFolder: data
            authentication: {timeoutSeconds: 1s}
            resolver: {forwarders: ["127.0.0.1@9"], timeoutSeconds: 1s}
            milter: {listen: ["unix:\(path)"], internalNetworks: [127.0.0.0/8]}

            """, to: file)
        let child = try ChildProcess(
            name: "milter", program: postern, arguments: ["milter", "--config", file], folder: folder, logFile: "\(folder)/milter.log")
        func running() async throws {
            try await Waiting.until("the filter listening", timeout: .seconds(30)) { () -> Bool? in
                guard child.isRunning else { throw LabError(.processFailed, "postern milter ended:\n\(child.lastLines())") }
                return child.lastLines().contains("listening") ? true : nil
            }
            // Postfix runs as another user.
            #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o660)
            try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: path)
            let postfix = try await MilterPostfix(milterPort: 9, milterPath: path, version: 6)
            do { try await exchange(postfix) } catch {
                await postfix.stop()
                throw error
            }
            await postfix.stop()
        }
        func exchange(_ postfix: MilterPostfix) async throws {
            let first = Self.text(from: "jack@kartapuce.test", number: 1)
            #expect(try await send(first, from: "jack@kartapuce.test", client: nil, port: postfix.ports[1]).hasPrefix("250 2.0.0"), "\(child.lastLines())")
            #expect(await eventually { (try? postfix.delivered.count) == 1 }, "\(postfix.log)")
            #expect(try !String(buffer: #require(try delivered(1, by: postfix))).contains("DKIM-Signature"))
            try await Command.require(postern, ["dkim", "generate", "--config", file, "--active"])
            kill(child.processIdentifier, SIGHUP)
            #expect(await eventually { child.lastLines().contains("reloaded") }, "\(child.lastLines())")
            let second = Self.text(from: "jack@kartapuce.test", number: 2)
            #expect(try await send(second, from: "jack@kartapuce.test", client: nil, port: postfix.ports[1]).hasPrefix("250 2.0.0"), "\(child.lastLines())")
            #expect(await eventually { (try? postfix.delivered.count) == 2 }, "\(postfix.log)")
            let message = try #require(try delivered(2, by: postfix))
            #expect(HeaderSection(parsing: message).count(named: "DKIM-Signature") == 2, "\(child.lastLines())")
            // From outside: nothing can be known, so the message is taken with results that say so.
            let third = Self.text(from: "bob@gmail.test", number: 3)
            #expect(try await send(third, from: "bob@gmail.test", client: "203.0.113.7", port: postfix.ports[1]).hasPrefix("250 2.0.0"), "\(child.lastLines())")
        }
        do { try await running() } catch {
            await child.stop()
            throw error
        }
        await child.stop()
        // It ended by itself, and cleaned up.
        #expect(!LabFiles.exists(path))
    }

    @Test func withoutASectionThereIsNothingToDo() async throws {
        let folder = try LabFiles.temporaryFolder("sender")
        defer { LabFiles.remove(folder) }
        let postern = try posternBinary()
        try LabFiles.write(
            "hostname: mail.kartapuce.test\ndomains: [kartapuce.test]\nroles: [mx]\nroutes: {kartapuce.test: {host: a.kartapuce.test, address: 127.0.0.1}}\n",
            to: "\(folder)/mx.yaml")
        try LabFiles.write("hostname: mail.kartapuce.test\ndomains: [kartapuce.test]\nmilter: {seals: true}\n", to: "\(folder)/milter.yaml")
        for (command, file) in [("milter", "mx.yaml"), ("serve", "milter.yaml")] {
            let result = try await Command.run(postern, [command, "--config", "\(folder)/\(file)"], timeout: .seconds(20))
            #expect(result.status == 78 && result.errors.contains("postern: ") && result.errors.contains("milter"), "\(result.errors)")
        }
        #expect(try await Command.run(postern, ["config", "check", "--config", "\(folder)/milter.yaml"]).succeeded)
    }
}
