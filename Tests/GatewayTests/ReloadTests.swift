import DNS
import Foundation
import MailTesting
import MailTransport
import NIOCore
import NIOPosix
import NIOSSL
import Testing

@testable import Gateway

/// A host that is told to read its configuration and certificates again.
@Suite(.timeLimit(.minutes(1))) struct ReloadTests {
    private func size(_ client: ServerTestClient) async throws -> String? {
        try await client.send("EHLO client.gmail.test\r\n")
        return await client.reply().first { $0.contains("SIZE") }
    }

    @Test func newSessionsFindTheNewStateAndOpenOnesGoOn() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp]) { mail in
                try await mail.addUsers("bob")
                let old = try await ServerTestClient(port: try mail.port(.smtp))
                _ = await old.reply()
                let before = try await size(old)
                var wanted = mail.host.configuration
                wanted.limits.messageSizeBytes = 123_456
                wanted.domains.append(try DomainName("further.test"))
                wanted.queue.connectionsPerDestination = 3
                wanted.hostname = "other.kartapuce.test"
                wanted.listeners.append(.init(kind: .smtp, address: TestHouse.loopback, port: 2525))
                let reloader = mail.reloader { [wanted] in wanted }
                let report = await reloader.reload()
                #expect(report.succeeded && report.problems.isEmpty)
                #expect(report.changed == ["domains", "limits", "queue"])
                #expect(report.needsRestart == ["hostname", "listeners"])
                #expect(ReloadReport.read(folder: wanted.dataFolder) == report)
                #expect(reloader.configuration.hostname == "mail.kartapuce.test")
                // What is open goes on as it began.
                #expect(try await size(old) == before && before?.contains("123456") == false)
                #expect(try await old.say("MAIL FROM:<tom@gmail.test>").hasPrefix("250"))
                #expect(try await old.say("RCPT TO:<bob@further.test>").hasPrefix("550"))
                #expect(try await old.say("RCPT TO:<bob@kartapuce.test>").hasPrefix("250"))
                #expect(try await old.say("DATA").hasPrefix("354"))
                #expect(try await old.say("Subject: x\r\n\r\nhello\r\n.").hasPrefix("250"))
                let new = try await ServerTestClient(port: try mail.port(.smtp))
                _ = await new.reply()
                #expect(try await size(new)?.contains("SIZE 123456") == true)
                #expect(try await mail.emptied())
                #expect(try await mail.inbox("bob").count == 1)
                // Nothing differs any more.
                let again = await reloader.reload()
                #expect(again.number == 2 && again.changed.isEmpty && again.needsRestart == report.needsRestart)
                await old.close()
                await new.close()
            }
        }
    }

    @Test func aConfigurationThatCannotBeUsedChangesNothing() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp]) { mail in
                let file = "\(house.folder)/broken.yaml"
                try Data("hostname: mail.kartapuce.test\ndomains: [kartapuce.test]\nlimits: {recipients: many}\n".utf8).write(to: URL(filePath: file))
                let broken = await mail.reloader { try Configuration.load(path: file) }.reload()
                #expect(!broken.succeeded && broken.problems.contains { $0.contains("recipients") })
                // A certificate that can't be read is as bad as a line that can't.
                var wanted = mail.host.configuration
                wanted.limits.messageSizeBytes = 123_456
                let certificate = try #require(wanted.certificate)
                try Data("no certificate".utf8).write(to: URL(filePath: certificate.certificate))
                let refused = await mail.reloader { [wanted] in wanted }.reload()
                #expect(!refused.succeeded && refused.problems.contains { $0.contains(certificate.certificate) })
                let client = try await ServerTestClient(port: try mail.port(.smtp))
                _ = await client.reply()
                #expect(try await size(client)?.contains("123456") == false)
                // TLS goes on with the certificate that was read before.
                #expect(try await client.say("STARTTLS").hasPrefix("220"))
                try await client.startTLS(TLSClientContext.verified(additionalAuthorityFiles: [mail.authorityFile]).context)
                #expect(try await size(client) != nil)
                await client.close()
            }
        }
    }

    /// The serial number of the certificate that a new client sees.
    private func serial(_ mail: TestHost) async throws -> [UInt8] {
        let client = try await ServerTestClient(port: try mail.port(.smtp))
        _ = await client.reply()
        _ = try await client.say("STARTTLS")
        try await client.startTLS(TLSClientContext.verified(additionalAuthorityFiles: [mail.authorityFile]).context)
        _ = try await size(client)
        let channel = client.channel
        let serial = try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self).peerCertificate?.serialNumber
        }.get()
        await client.close()
        return serial ?? []
    }

    @Test func aRenewedCertificateIsUsedWithoutBeingTold() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp]) { mail in
                let reloader = mail.reloader { [configuration = mail.host.configuration] in configuration }
                let first = try await serial(mail)
                reloader.followCertificates()
                #expect(try await serial(mail) == first)
                let files = try #require(mail.host.configuration.certificate)
                let renewed = try house.authority.issueServer(hosts: ["mail.kartapuce.test"], addresses: [TestHouse.loopback])
                    .write(folder: "\(house.folder)/renewed", name: "server")
                let open = try await ServerTestClient(port: try mail.port(.smtp))
                _ = await open.reply()
                // One file after the other, with a look in between.
                try FileManager.default.removeItem(atPath: files.certificate)
                try FileManager.default.copyItem(atPath: renewed.certificate, toPath: files.certificate)
                reloader.followCertificates()
                #expect(try await serial(mail) == first)
                try FileManager.default.removeItem(atPath: files.key)
                try FileManager.default.copyItem(atPath: renewed.key, toPath: files.key)
                reloader.followCertificates()
                #expect(try await serial(mail) != first)
                #expect(try await open.say("NOOP").hasPrefix("250"))
                await open.close()
            }
        }
    }

    @Test func aDataFolderHasOneHost() async throws {
        try await withTemporaryFolder { folder in
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            #expect(HostLock.holder(of: folder) == nil)
            let output = Pipe()
            let other = Process()
            other.executableURL = URL(filePath: "/usr/bin/python3")
            other.arguments = [
                "-c",
                "import fcntl, sys\nf = open(sys.argv[1], 'w')\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint('locked', flush=True)\nsys.stdin.read()",
                "\(folder)/postern.lock",
            ]
            let input = Pipe()
            other.standardInput = input
            other.standardOutput = output
            try other.run()
            _ = output.fileHandleForReading.availableData
            #expect(HostLock.holder(of: folder) == other.processIdentifier)
            let error = #expect(throws: HostError.self) { try HostLock(folder: folder) }
            #expect(error?.description.contains("process \(other.processIdentifier)") == true)
            try input.fileHandleForWriting.close()
            other.waitUntilExit()
            let lock = try HostLock(folder: folder)
            withExtendedLifetime(lock) {}
        }
    }
}
