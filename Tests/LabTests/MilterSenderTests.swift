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

    /// Postfix believes what its client says of another.
    private func fromOutside(_ client: ServerTestClient) async throws {
        #expect(try await client.say("XCLIENT ADDR=203.0.113.7 NAME=[UNAVAILABLE]").hasPrefix("220"))
        _ = try await client.say("EHLO mail.gmail.test")
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
            #expect(try await postfix.send(first, from: "jack@kartapuce.test", listener: 1).hasPrefix("250 2.0.0"), "\(child.lastLines())")
            #expect(await eventually { (try? postfix.delivered.count) == 1 }, "\(postfix.log)")
            #expect(try !String(buffer: #require(try postfix.delivered(with: "Message-ID: <1@x.test>"))).contains("DKIM-Signature"))
            try await Command.require(postern, ["dkim", "generate", "--config", file, "--active"])
            kill(child.processIdentifier, SIGHUP)
            #expect(await eventually { child.lastLines().contains("reloaded") }, "\(child.lastLines())")
            let second = Self.text(from: "jack@kartapuce.test", number: 2)
            #expect(try await postfix.send(second, from: "jack@kartapuce.test", listener: 1).hasPrefix("250 2.0.0"), "\(child.lastLines())")
            #expect(await eventually { (try? postfix.delivered.count) == 2 }, "\(postfix.log)")
            let message = try #require(try postfix.delivered(with: "Message-ID: <2@x.test>"))
            #expect(HeaderSection(parsing: message).count(named: "DKIM-Signature") == 2, "\(child.lastLines())")
            // From outside: nothing can be known, so the message is taken with results that say so.
            let third = Self.text(from: "bob@gmail.test", number: 3)
            #expect(try await postfix.send(third, from: "bob@gmail.test", listener: 1, prepare: fromOutside).hasPrefix("250 2.0.0"), "\(child.lastLines())")
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
