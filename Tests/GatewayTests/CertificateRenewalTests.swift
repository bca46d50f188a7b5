import ACME
import Crypto
import DNS
import Foundation
import MailTesting
import MailTransport
import NIOPosix
import Synchronization
import Testing
import TransportSecurity

@testable import Gateway

/// A host that runs has its certificate renewed by itself when the time has come, and its key changed, whatever fails or ends between (checklist of gateways,
/// A16). Time is the test's.
@Suite(.serialized, .timeLimit(.minutes(2))) struct CertificateRenewalTests {
    private static let day = 86_400.0
    private static let timeToLive = 3600.0

    /// A host that serves, with its authority and its zone.
    private struct Stand {
        var mail: TestHost
        var clock: TestClock
        var authority: RenewalAuthority
        var zone: RenewalZone
        var reloader: Reloader
        /// How often somebody asked for the time: the service does at each look.
        var questions: @Sendable () -> Int
        var keeper: CertificateKeeper

        /// The certificate of a new session.
        func served() async throws -> [UInt8] {
            let client = try await session()
            let certificate = try await certificate(client)
            await client.close()
            return certificate
        }

        func session() async throws -> ServerTestClient {
            let client = try await ServerTestClient(port: try mail.port(.smtp))
            _ = await client.reply()
            _ = try await client.say("STARTTLS")
            // The test's time isn't that of the TLS library, which would refuse certificates of tomorrow.
            try await client.startTLS(TLSClientContext.opportunistic().context)
            try await client.send("EHLO client.gmail.test\r\n")
            _ = await client.reply()
            return client
        }

        func certificate(_ client: ServerTestClient) async throws -> [UInt8] { try #require(await client.peerCertificate()) }

        /// Waits until the service has looked again, from the beginning of a look to its end.
        func looks(_ count: Int = 3) async throws {
            let before = questions()
            // The clock is asked several times in a look, and by nobody else; each look that does nothing asks it at least once.
            #expect(await eventually { questions() >= before + 6 * count })
        }

        /// Runs the service, as another process would after this one's end.
        func running(_ body: () async throws -> Void) async throws {
            let reloader = reloader
            let service = CertificateService(
                keeper: keeper, installed: { reloader.followCertificates() }, interval: .milliseconds(5), firstWait: .milliseconds(5))
            let task = Task { try await service.run() }
            let result: Result<Void, any Error>
            do { result = .success(try await body()) } catch { result = .failure(error) }
            task.cancel()
            _ = await task.result
            try result.get()
        }

        var state: CertificateState { get throws { try CertificateState.read(folder: mail.host.configuration.dataFolder) } }
        var renewal: Date { get throws { try #require(try keeper.status().renewal) } }
        /// Whether the key that sessions see is named by a record.
        func isNamed() async throws -> Bool { zone.digests.contains(Array(SHA256.hash(data: CertificateRenewalTests.key(try await served())))) }
    }

    private func stand(tlsa: Bool = false, _ body: (Stand) async throws -> Void) async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp]) { configuration in
                var acme = Configuration.ACMESettings()
                acme.directory = "https://ca.test/dir"
                acme.agreesToTerms = true
                acme.names = [try CertificateName("mail.kartapuce.test")]
                acme.checksCAA = false
                acme.tlsaTimeToLiveSeconds = Int(Self.timeToLive)
                if tlsa { acme.tlsa = [try DomainName("_25._tcp.mail.kartapuce.test")] }
                configuration.acme = acme
            } _: { mail in
                let clock = house.clock
                let counter = Counter()
                let now: @Sendable () -> Date = {
                    counter.add()
                    return clock.now
                }
                let authority = RenewalAuthority { clock.now }
                let zone = RenewalZone()
                let keeper = try #require(
                    try CertificateKeeper(
                        mail.host.configuration, transport: authority, resolver: house.resolver, group: MultiThreadedEventLoopGroup.singleton, updater: zone,
                        isServed: { true }, now: now, logger: TestHouse.quiet))
                let configuration = mail.host.configuration
                let stand = Stand(
                    mail: mail, clock: clock, authority: authority, zone: zone, reloader: mail.reloader { configuration }, questions: { counter.value },
                    keeper: keeper)
                // The first certificate, as an operator has it with `postern acme renew`.
                _ = try await keeper.renew(force: true)
                stand.reloader.followCertificates()
                try await body(stand)
            }
        }
    }

    private final class Counter: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock { $0 } }
        func add() { count.withLock { $0 += 1 } }
    }

    private static func key(_ certificate: [UInt8]) -> [UInt8] { PeerCertificate(octets: certificate).subjectPublicKeyInfo }

    private func set(_ clock: TestClock, to time: Date) { clock.advance(by: time.timeIntervalSince(clock.now)) }

    @Test func aHostRenewsWhenTheTimeHasComeAndDropsNoSession() async throws {
        try await stand { stand in
            let first = try await stand.served()
            let open = try await stand.session()
            let end = try #require(try stand.keeper.status().notAfter)
            // A third of the lifetime is left, and up to a thirtieth more.
            let renewal = try stand.renewal
            #expect((30 * Self.day...33 * Self.day).contains(end.timeIntervalSince(renewal)))
            try await stand.running {
                set(stand.clock, to: renewal - 1)
                try await stand.looks()
                #expect(stand.authority.orders == 1)
                set(stand.clock, to: renewal)
                #expect(await eventually { stand.authority.orders == 2 })
                #expect(try await eventually { try await stand.served() != first })
                // What is open goes on with what it began with.
                #expect(try await open.say("NOOP").hasPrefix("250"))
                #expect(try await stand.certificate(open) == first)
                // The key stays, so that TLSA records hold.
                #expect(Self.key(try await stand.served()) == Self.key(first))
                #expect(try stand.renewal > stand.clock.now + 50 * Self.day)
                try await stand.looks()
                #expect(stand.authority.orders == 2)
            }
            await open.close()
        }
    }

    @Test func theAuthoritysWishIsFollowed() async throws {
        try await stand { stand in
            let start = stand.clock.now + 10 * Self.day
            stand.authority.setWindow(start, start + Self.day)
            try await stand.running {
                #expect(try await eventually { try stand.state.information != nil })
                set(stand.clock, to: start - 1)
                try await stand.looks()
                #expect(stand.authority.orders == 1)
                set(stand.clock, to: start + Self.day)
                #expect(await eventually { stand.authority.orders == 2 })
            }
        }
    }

    /// A crash between a new certificate and the note of it must not order one more: what the authority said was said of the old one.
    @Test func whatWasSaidOfAnotherCertificateIsNotBelieved() async throws {
        try await stand { stand in
            var state = try stand.state
            state.information = RenewalInformation(start: stand.clock.now - 2 * Self.day, end: stand.clock.now - Self.day)
            state.informationOf = "AQID.AQAB"
            state.nextQuestion = stand.clock.now + Self.day
            try state.write(folder: stand.mail.host.configuration.dataFolder)
            try await stand.running {
                try await stand.looks()
                #expect(stand.authority.orders == 1)
            }
        }
    }

    @Test func anAuthorityThatIsDownIsAskedLaterAndLater() async throws {
        try await stand { stand in
            stand.authority.setDown(true)
            set(stand.clock, to: try stand.renewal)
            try await stand.running {
                #expect(try await eventually { try stand.state.failures == 1 })
                let requests = stand.authority.requests
                try await stand.looks()
                #expect(stand.authority.requests == requests)
                let next = try #require(try stand.state.nextAttempt)
                #expect(next.timeIntervalSince(stand.clock.now) == 3600)
                set(stand.clock, to: next)
                #expect(try await eventually { try stand.state.failures == 2 })
                #expect(try #require(try stand.state.nextAttempt).timeIntervalSince(stand.clock.now) == 7200)
                stand.authority.setDown(false)
                set(stand.clock, to: stand.clock.now + 7200)
                #expect(await eventually { stand.authority.orders == 2 })
                #expect(try await eventually { try stand.state.failures == 0 })
            }
        }
    }

    // MARK: The key

    /// Whatever ends or fails between, the rollover goes on by itself after a start, and at no time is a key in use that no record names.
    @Test func aRolloverThatWasInterruptedGoesOnByItself() async throws {
        try await stand(tlsa: true) { stand in
            let old = try await stand.served()
            #expect(try await stand.isNamed() && stand.zone.digests.count == 1)
            // The change is made, the answer is lost, and the process ends.
            stand.zone.set(.answerLost)
            await #expect(throws: HostError.self) { try await stand.keeper.rollOver() }
            #expect(stand.zone.digests.count == 2)
            #expect(try stand.state.rollover?.state == .publishing)
            stand.zone.set(.done)
            set(stand.clock, to: try #require(try stand.state.nextAttempt))
            // The next process publishes once more, and waits.
            try await stand.running {
                #expect(try await eventually { if case .waiting = try stand.state.rollover?.state { true } else { false } })
                // What failed before is over.
                #expect(try await eventually { try stand.state.failures == 0 && stand.state.lastError == nil })
                set(stand.clock, to: stand.clock.now + 2 * Self.timeToLive - 1)
                try await stand.looks()
                #expect(stand.authority.orders == 1 && stand.zone.digests.count == 2)
                #expect(try await stand.isNamed())
            }
            // It ends, too, and the authority is down when the next one begins.
            stand.authority.setDown(true)
            set(stand.clock, to: stand.clock.now + 1)
            try await stand.running {
                #expect(try await eventually { try stand.state.failures > 0 })
                let requests = stand.authority.requests
                try await stand.looks()
                // Nobody asks at each look.
                #expect(stand.authority.requests == requests)
                #expect(try await stand.served() == old && stand.zone.digests.count == 2)
            }
            stand.authority.setDown(false)
            set(stand.clock, to: try #require(try stand.state.nextAttempt))
            try await stand.running {
                #expect(try await eventually { Self.key(try await stand.served()) != Self.key(old) })
                // Both keys are named until nobody has a session that began with the old one any more.
                #expect(try await stand.isNamed() && stand.zone.digests.count == 2)
                #expect(try await eventually { try stand.state.rollover?.state == .withdrawing })
                try await stand.looks()
                #expect(stand.zone.digests.count == 2)
            }
            set(stand.clock, to: stand.clock.now + Self.timeToLive)
            try await stand.running {
                try await stand.looks()
                #expect(try await eventually { try stand.state.rollover?.isSettled ?? false })
                #expect(try await stand.isNamed() && stand.zone.digests.count == 1)
                #expect(stand.authority.orders == 2)
            }
        }
    }

    /// A rollover that can't go on is no reason to let the certificate end.
    @Test(arguments: [true, false]) func aRolloverThatCannotGoOnKeepsNothingFromBeingRenewed(isKeyLost: Bool) async throws {
        try await stand(tlsa: true) { stand in
            let first = try await stand.served()
            _ = try await stand.keeper.rollOver()
            if isKeyLost {
                try FileManager.default.removeItem(atPath: "\(stand.mail.host.configuration.dataFolder)/acme/next-key.pem")
            } else {
                stand.authority.setDown(true)
            }
            set(stand.clock, to: try stand.renewal - 2 * Self.day)
            try await stand.running {
                try await stand.looks()
                #expect(stand.authority.orders == 1)
                stand.authority.setDown(false)
                set(stand.clock, to: try stand.renewal + Self.day)
                #expect(await eventually { stand.authority.orders >= 2 })
                #expect(try await eventually { try await stand.served() != first })
                #expect(try await stand.isNamed())
            }
        }
    }
}
