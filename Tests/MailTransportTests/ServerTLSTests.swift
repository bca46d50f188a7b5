import Foundation
import MailMessage
import MailTesting
import MailTransport
import NIOCore
import NIOSSL
import SASL
import SMTP
import Testing

@Suite(.timeLimit(.minutes(1))) struct ServerTLSTests {
    let certificates: ServerTestCertificates
    let tls: TLSServerContext

    init() throws {
        certificates = try ServerTestCertificates()
        let files = try certificates.issue("mail.kartapuce.test")
        tls = try TLSServerContext(certificateFile: files.certificate, keyFile: files.key, audience: .internet)
    }

    @Test func startTLSForgetsWhatWasSaid() async throws {
        let service = ServerRecordingService()
        try await withServer(SMTPServerConfiguration(hostname: "mail.kartapuce.test", security: .startTLS), service: service, tls: tls) { _, port in
            let client = try await ServerTestClient(port: port)
            _ = await client.reply()
            try await client.send("EHLO x.test\r\n")
            #expect(await client.reply().contains("250-STARTTLS"))
            #expect(try await client.say("MAIL FROM:<a@x.test>").hasPrefix("250"))
            #expect(try await client.say("STARTTLS").hasPrefix("220"))
            try await client.startTLS(TLSClientContext.opportunistic().context)
            #expect(try await client.say("MAIL FROM:<a@x.test>").hasPrefix("503 5.5.1"))
            try await client.send("EHLO x.test\r\n")
            #expect(await !client.reply().contains("250-STARTTLS"))
            for line in ["MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA"] { _ = try await client.say(line) }
            #expect(try await client.say("x\r\n.") == "250 2.0.0 Taken")
            #expect(try await client.say("QUIT").hasPrefix("221"))
        }
        let summary = try #require(service.seen.messages.first?.transaction.session.tls)
        #expect(summary.version == "TLSv1.3")
        #expect(summary.cipher.hasPrefix("TLS_"))
        #expect(summary.group == "X25519MLKEM768")
        #expect(summary.verification == .none)
        #expect(summary.peerRoles.isEmpty)
        #expect(service.seen.abandoned == ["STARTTLS"])
    }

    @Test func octetsBeforeTheHandshakeAreRefused() async throws {
        let service = ServerRecordingService()
        try await withServer(SMTPServerConfiguration(hostname: "mail.kartapuce.test", security: .startTLS), service: service, tls: tls) { _, port in
            let client = try await ServerTestClient(port: port)
            _ = await client.reply()
            _ = try await client.say("EHLO x.test")
            try await client.send("STARTTLS\r\nMAIL FROM:<attacker@gmail.test>\r\n")
            #expect(await client.reply().first?.hasPrefix("554 5.5.0") == true)
            #expect(await client.reply().isEmpty)
            // In a packet of its own it meets the handshake, and ends it.
            let second = try await ServerTestClient(port: port)
            _ = await second.reply()
            _ = try await second.say("EHLO x.test")
            #expect(try await second.say("STARTTLS").hasPrefix("220"))
            try await second.send("MAIL FROM:<attacker@gmail.test>\r\n")
            for line in await second.reply() { #expect(!line.hasPrefix("250")) }
        }
        #expect(await eventually { service.seen.summaries.count == 2 })
        #expect(service.seen.summaries.allSatisfy { $0.messagesAccepted == 0 })
        #expect(service.seen.summaries.contains { $0.reason == "octets in clear after STARTTLS" })
    }

    @Test func implicitTLSServes() async throws {
        let service = ServerRecordingService()
        try await withServer(SMTPServerConfiguration(hostname: "mail.kartapuce.test", security: .implicit), service: service, tls: tls) { _, port in
            let verified = try TLSClientContext.verified(additionalAuthorityFiles: [certificates.authorityFile])
            let halfOpen = try await ServerTestClient(port: port)
            let client = try await ServerTestClient(port: port, tls: TLSClientContext.opportunistic().context)
            #expect(await client.reply().first?.hasPrefix("220") == true)
            #expect(verified.verification == .verified)
            await halfOpen.close()
        }
        #expect(service.seen.sessions.first?.tls?.version == "TLSv1.3")
    }

    /// A session of TLS 1.2 with these suites, in this order.
    /// - Returns: the suite; `nil` without a session.
    private func suite(_ audience: TLSServerContext.Audience, _ suites: String) async throws -> String? {
        let service = ServerRecordingService()
        let files = try certificates.issue("mx.kartapuce.test")
        let tls = try TLSServerContext(certificateFile: files.certificate, keyFile: files.key, audience: audience)
        try await withServer(SMTPServerConfiguration(hostname: "mx.kartapuce.test", security: .implicit), service: service, tls: tls) { _, port in
            var old = TLSConfiguration.makeClientConfiguration()
            old.certificateVerification = .none
            old.maximumTLSVersion = .tlsv12
            old.cipherSuites = suites
            let client = try await ServerTestClient(port: port, tls: NIOSSLContext(configuration: old))
            _ = await client.reply()
            await client.close()
        }
        return service.seen.sessions.first?.tls?.cipher
    }

    @Test func theServerChoosesTheSuite() async throws {
        for suites in ["ECDHE+CHACHA20:ECDHE+AESGCM", "ECDHE+AESGCM:ECDHE+CHACHA20"] {
            #expect(try await suite(.clients, suites)?.contains("_AES_128_GCM_") == true)
            #expect(try await suite(.internet, suites)?.contains("_AES_128_GCM_") == true)
        }
    }

    @Test func weakSuitesAreForOldMTAsOnlyAndComeLast() async throws {
        let weak = "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
        #expect(try await suite(.clients, weak) == nil)
        #expect(try await suite(.internet, weak)?.hasSuffix("_CBC_SHA") == true)
        #expect(try await suite(.internet, weak + ":ECDHE+CHACHA20")?.contains("CHACHA20") == true)
    }

    @Test func linksWantACertificateAndItsRolesCount() async throws {
        let service = ServerRecordingService()
        let files = try certificates.issue("imap.kartapuce.test", roles: ["store"])
        let link = try TLSServerContext(
            certificateFile: files.certificate, keyFile: files.key, audience: .link(authorityFile: certificates.authorityFile))
        let configuration = SMTPServerConfiguration(hostname: "imap.kartapuce.test", security: .implicit, acceptsTraces: true)
        let trace = TraceID.random()
        try await withServer(configuration, service: service, tls: link) { _, port in
            let peer = try certificates.issue("mail.kartapuce.test", roles: ["mx"])
            let ours = try TLSClientContext.link(
                certificateFile: peer.certificate, keyFile: peer.key, authorityFile: certificates.authorityFile)
            let client = try await ServerTestClient(port: port, tls: ours.context)
            _ = await client.reply()
            try await client.send("EHLO mail.kartapuce.test\r\n")
            #expect(await client.reply().last == "250 XTRACE")
            #expect(try await client.say("MAIL FROM:<a@x.test> XTRACE=\(trace)").hasPrefix("250"))
            for line in ["RCPT TO:<b@x.test>", "DATA", "x\r\n."] { _ = try await client.say(line) }

            // Without a role: served, but nothing is believed.
            let nobody = try certificates.issue("other.kartapuce.test")
            let roleless = try TLSClientContext.link(
                certificateFile: nobody.certificate, keyFile: nobody.key, authorityFile: certificates.authorityFile)
            let second = try await ServerTestClient(port: port, tls: roleless.context)
            _ = await second.reply()
            _ = try await second.say("EHLO other.kartapuce.test")
            #expect(try await second.say("MAIL FROM:<a@x.test> XTRACE=\(trace)").hasPrefix("555 5.5.4"))

            // Without a certificate, and with a stranger's: no session.
            let bare = try await ServerTestClient(port: port, tls: TLSClientContext.opportunistic().context)
            #expect(await bare.reply().isEmpty)
            let foreign = try ServerTestCertificates()
            let stranger = try foreign.issue("mail.kartapuce.test", roles: ["mx"])
            let forged = try TLSClientContext.link(
                certificateFile: stranger.certificate, keyFile: stranger.key, authorityFile: certificates.authorityFile)
            let third = try await ServerTestClient(port: port, tls: forged.context)
            #expect(await third.reply().isEmpty)
        }
        let message = try #require(service.seen.messages.first)
        #expect(message.transaction.trace == trace)
        #expect(message.transaction.session.tls?.peerRoles == ["mx"])
        #expect(message.transaction.session.tls?.verification == .verified)
        #expect(service.seen.messages.count == 1)
        #expect(service.seen.summaries.contains { $0.reason.hasPrefix("TLS handshake failed") })
    }

    /// Who connects to a TLS port and says nothing has less time than who has said EHLO.
    @Test func aHandshakeThatStandsStillEnds() async throws {
        let service = ServerRecordingService()
        let certificate = try certificates.issue("mail.kartapuce.test")
        let tls = try TLSServerContext(certificateFile: certificate.certificate, keyFile: certificate.key, audience: .clients)
        let configuration = SMTPServerConfiguration(hostname: "mail.kartapuce.test", security: .implicit)
        try await withServer(
            configuration, service: service, tls: tls, change: { $0.handshakeTimeout = .milliseconds(200) },
            body: { server, port in
                let silent = try await ServerTestClient(port: port)
                #expect(await silent.reply().isEmpty)
                #expect(await eventually { server.openSessions == 0 })
            })
    }

    @Test func certificatesAreReadAgain() throws {
        let first = try certificates.issue("mail.kartapuce.test")
        let context = try TLSServerContext(certificateFile: first.certificate, keyFile: first.key, audience: .clients)
        let before = context.endPointBinding(serverName: nil)
        #expect(before.count == 32)
        let second = try certificates.issue("mail.kartapuce.test")
        try FileManager.default.removeItem(atPath: first.certificate)
        #expect(throws: TLSFailure.self) { try context.reload() }
        #expect(context.endPointBinding(serverName: nil) == before)
        try FileManager.default.removeItem(atPath: first.key)
        try FileManager.default.copyItem(atPath: second.certificate, toPath: first.certificate)
        try FileManager.default.copyItem(atPath: second.key, toPath: first.key)
        try context.reload()
        #expect(context.endPointBinding(serverName: nil) != before)
    }

    @Test func eachNameHasItsCertificate() async throws {
        let further = try [certificates.issue("mta-sts.kartapuce.test"), certificates.issue("*.gmail.test")]
        let files = try certificates.issue("mail.kartapuce.test")
        let tls = try TLSServerContext(
            certificateFile: files.certificate, keyFile: files.key, further: further.map { .init(certificate: $0.certificate, key: $0.key) },
            audience: .internet)
        let leaves = try ([files.certificate] + further.map(\.certificate)).map { try #require(NIOSSLCertificate.fromPEMFile($0).first).toDERBytes() }
        let service = ServerRecordingService()
        let configuration = SMTPServerConfiguration(hostname: "mail.kartapuce.test", security: .implicit)
        let expected = [
            ("mail.kartapuce.test", 0), ("MTA-STS.kartapuce.test", 1), ("mta-sts.gmail.test", 2), ("a.b.gmail.test", 0), ("other.test", 0), (nil, 0),
        ]
        try await withServer(configuration, service: service, tls: tls) { _, port in
            for (name, index) in expected {
                let client = try await ServerTestClient(port: port, tls: TLSClientContext.opportunistic().context, serverName: name)
                #expect(await client.reply().first?.hasPrefix("220") == true)
                #expect(await client.peerCertificate() == leaves[index], "\(name ?? "none")")
                #expect(try tls.endPointBinding(serverName: name) == TLSServerContext.endPointBinding(derBytes: leaves[index]))
                await client.close()
            }
        }
        #expect(Set(service.seen.sessions.map { $0.tls?.serverName }) == Set(expected.map(\.0)))
    }

    @Test func aPairThatDoesNotFitIsRefusedAtOnce() throws {
        let first = try certificates.issue("mail.kartapuce.test")
        let second = try certificates.issue("mta-sts.kartapuce.test")
        #expect(throws: TLSFailure.self) {
            try TLSServerContext(
                certificateFile: first.certificate, keyFile: first.key, further: [.init(certificate: second.certificate, key: first.key)],
                audience: .clients)
        }
    }

    @Test func rolesComeFromTheURIsOnly() throws {
        let files = try certificates.issue("mx.kartapuce.test", roles: ["mx", "relay"])
        let certificate = try #require(try NIOSSLCertificate.fromPEMFile(files.certificate).first)
        let link = try LinkCertificate(derBytes: certificate.toDERBytes())
        #expect(link.roles == ["mx", "relay"])
        #expect(link.hostNames == ["mx.kartapuce.test"])
        #expect(throws: TLSFailure.self) { try LinkCertificate.roles(ofDER: [0x30, 0x00]) }
    }
}

@Suite(.timeLimit(.minutes(1))) struct ServerAuthenticationOverTLSTests {
    @Test func passwordsAndSCRAMWorkOverTLS() async throws {
        let certificates = try ServerTestCertificates()
        let files = try certificates.issue("msa.kartapuce.test")
        let tls = try TLSServerContext(certificateFile: files.certificate, keyFile: files.key, audience: .clients)
        let verifier = try SCRAMVerifier(password: "secret", salt: [1, 2, 3, 4, 5, 6, 7, 8], iterations: 4096)
        let service = ServerRecordingService(verifiers: ["bob": verifier])
        let configuration = SMTPServerConfiguration(hostname: "msa.kartapuce.test", authentication: .required, security: .implicit)
        try await withServer(configuration, service: service, tls: tls) { _, port in
            let context = try TLSClientContext.opportunistic().context
            let plain = try await ServerTestClient(port: port, tls: context)
            _ = await plain.reply()
            _ = try await plain.say("EHLO bob.kartapuce.test")
            #expect(try await plain.say("AUTH PLAIN \(Base64.encode(Array("\0bob\0wrong".utf8)))").hasPrefix("535 5.7.8"))
            #expect(try await plain.say("AUTH PLAIN \(Base64.encode(Array("\0bob\0secret".utf8)))").hasPrefix("235 2.7.0"))
            for line in ["MAIL FROM:<bob@kartapuce.test>", "RCPT TO:<tom@gmail.test>", "DATA", "x\r\n."] { _ = try await plain.say(line) }

            let bound = try await ServerTestClient(port: port, tls: context)
            _ = await bound.reply()
            _ = try await bound.say("EHLO bob.kartapuce.test")
            var client = SASLClient(
                mechanism: .scramSHA256Plus, username: "bob", password: "secret", channelBinding: .tlsServerEndPoint(tls.endPointBinding(serverName: nil)),
                nonce: "clientnonce")
            var reply = try await bound.say("AUTH SCRAM-SHA-256-PLUS \(Base64.encode(client.initialResponse() ?? []))")
            for _ in 0..<2 {
                let challenge = try #require(Base64.decode(reply.dropFirst(4)), "\(reply)")
                reply = try await bound.say(Base64.encode(try client.respond(to: challenge)))
            }
            #expect(reply.hasPrefix("235 2.7.0"))
            #expect(client.hasVerifiedServer)
        }
        #expect(service.seen.authentications.map(\.1.code).sorted() == [235, 235, 535])
        #expect(service.seen.messages.first?.transaction.session.authenticatedUser == "bob")
        #expect(service.seen.messages.first?.transaction.session.protocolName(usesSMTPUTF8: false) == "ESMTPSA")
    }
}
