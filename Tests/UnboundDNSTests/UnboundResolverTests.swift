import DNS
import Foundation
import Testing
import UnboundDNS

/// The resolver against real name servers.
@Suite(InternetRunning(), .timeLimit(.minutes(5))) struct UnboundResolverTests {
    private func lookup(_ resolver: UnboundResolver, _ text: String, _ type: DNSRecordType) async throws -> DNSAnswer {
        try await resolver.lookup(text == "." ? .root : try DomainName(text), type)
    }

    private func failure(_ resolver: UnboundResolver, _ text: String, _ type: DNSRecordType) async throws -> DNSError? {
        let name = try DomainName(text)
        do {
            let answer = try await resolver.lookup(name, type)
            Issue.record("\(text) \(type) gave \(answer)")
            return nil
        } catch { return error }
    }

    // MARK: - Answers

    @Test func secureRecordsOfEveryType() async throws {
        let resolver = try InternetRunning.internet.resolver()
        let mail = try DomainName("mail.kartapuce.test")
        let cases: [(String, DNSRecordType, [DNSRecordData])] = [
            ("mail.kartapuce.test", .a, [.address(.v4(0xC000_0201))]), ("mail.kartapuce.test", .aaaa, [.address(.v6(0x2001_0DB8_0000_0000, 1))]),
            ("kartapuce.test", .mx, [.mx(preference: 10, exchange: mail), .mx(preference: 20, exchange: try DomainName("mail.plain.test"))]),
            ("kartapuce.test", .txt, [.txt(Array("v=spf1 -all".utf8))]), ("octets.kartapuce.test", .txt, [.txt([97, 0, 255])]),
            ("null.kartapuce.test", .mx, [.mx(preference: 0, exchange: .root)]),
            ("_25._tcp.mail.kartapuce.test", .tlsa, [.tlsa(usage: 3, selector: 1, matching: 1, data: Array(repeating: 0xAB, count: 32))]),
            ("_imaps._tcp.kartapuce.test", .srv, [.srv(priority: 0, weight: 1, port: 993, target: mail)]),
            ("kartapuce.test", .ns, [.name(try DomainName("ns.kartapuce.test"))]), ("www.kartapuce.test", .cname, [.name(mail)]),
        ]
        for (text, type, records) in cases {
            let answer = try await lookup(resolver, text, type)
            #expect(Set(answer.records) == Set(records) && answer.records.count == records.count, "\(text) \(type)")
            #expect(answer.outcome == .records && answer.security == .secure && answer.canonicalName == nil, "\(text) \(type)")
            #expect((1...60).contains(answer.timeToLive))
        }
        #expect(try await lookup(resolver, ".", .soa).security == .secure)
        resolver.shutdown()
    }

    @Test func aliases() async throws {
        let resolver = try InternetRunning.internet.resolver()
        let secure = try await lookup(resolver, "www.kartapuce.test", .a)
        #expect(secure.canonicalName?.ascii == "mail.kartapuce.test" && secure.security == .secure && secure.records.count == 1)
        // A signed alias into an unsigned zone: the whole is insecure.
        let insecure = try await lookup(resolver, "away.kartapuce.test", .a)
        #expect(insecure.canonicalName?.ascii == "mail.plain.test" && insecure.security == .insecure && insecure.outcome == .records)
        #expect(try await lookup(resolver, "nowhere.kartapuce.test", .a).outcome == .nonexistentDomain)
        #expect(try await lookup(resolver, "www.kartapuce.test", .txt).outcome == .noData)
        resolver.shutdown()
    }

    @Test func unsignedZonesAreInsecure() async throws {
        let resolver = try InternetRunning.internet.resolver()
        let answer = try await lookup(resolver, "mail.plain.test", .a)
        #expect(answer.outcome == .records && answer.security == .insecure)
        #expect(try await lookup(resolver, "gone.plain.test", .a).security == .insecure)
        resolver.shutdown()
    }

    @Test(arguments: ["kartapuce.test", "nsec3.test", "plain.test"])
    func absence(_ zone: String) async throws {
        let resolver = try InternetRunning.internet.resolver()
        let expected: DNSSECStatus = zone == "plain.test" ? .insecure : .secure
        let gone = try await lookup(resolver, "gone.\(zone)", .a)
        #expect(gone.outcome == .nonexistentDomain && gone.records.isEmpty && gone.security == expected)
        let none = try await lookup(resolver, "mail.\(zone)", .srv)
        #expect(none.outcome == .noData && none.records.isEmpty && none.security == expected)
        resolver.shutdown()
    }

    /// RFC 4592, with the proof that no nearer name exists (RFC 4035 §5.3.4).
    @Test func wildcards() async throws {
        let resolver = try InternetRunning.internet.resolver()
        let any = try await lookup(resolver, "any.wild.kartapuce.test", .mx)
        #expect(any.outcome == .records && any.security == .secure)
        #expect(try await lookup(resolver, "any.wild.kartapuce.test", .a).outcome == .noData)
        #expect(try await lookup(resolver, "there.wild.kartapuce.test", .mx).outcome == .noData)
        #expect(try await lookup(resolver, "below.there.wild.kartapuce.test", .mx).outcome == .nonexistentDomain)
        resolver.shutdown()
    }

    /// Ten thousand octets don't fit into a datagram: the answer is truncated, and asked for again over TCP (RFC 7766 §5).
    @Test func largeAnswersComeOverTCP() async throws {
        let resolver = try InternetRunning.internet.resolver()
        let answer = try await lookup(resolver, "large.kartapuce.test", .txt)
        #expect(answer.records.count == 40 && answer.security == .secure)
        let octets = answer.records.reduce(0) { sum, record in if case .txt(let text) = record { sum + text.count } else { sum } }
        #expect(octets > 9600)
        resolver.shutdown()
    }

    @Test func mailRoute() async throws {
        let resolver = try InternetRunning.internet.resolver()
        var generator = SystemRandomNumberGenerator()
        let route = await mailHosts(for: try DomainName("kartapuce.test"), using: resolver, random: &generator)
        guard case .hosts(let hosts) = route.outcome else {
            Issue.record("\(route.outcome)")
            return
        }
        #expect(hosts.map(\.security) == [.secure, .insecure])
        #expect(hosts.map(\.addresses.count) == [2, 1])
        guard case .nullMX = await mailHosts(for: try DomainName("null.kartapuce.test"), using: resolver, random: &generator).outcome else {
            Issue.record("null MX isn't seen")
            return
        }
        resolver.shutdown()
    }

    // MARK: - Failures

    @Test(arguments: ["mail.bogus.test", "mail.tampered.test", "mail.expired.test"])
    func forgeriesAreBogus(_ text: String) async throws {
        let resolver = try InternetRunning.internet.resolver()
        #expect(try await failure(resolver, text, .a)?.code == .bogus)
        // It stays so when the answer comes out of the cache.
        #expect(try await failure(resolver, text, .a)?.code == .bogus)
        // Without a trust anchor nobody could tell.
        let trusting = try InternetRunning.internet.resolver { $0.trustAnchorFile = nil }
        #expect(try await lookup(trusting, text, .a).security == .insecure)
        resolver.shutdown()
        trusting.shutdown()
    }

    @Test func otherRecordsOfATamperedZoneAreGood() async throws {
        let resolver = try InternetRunning.internet.resolver()
        #expect(try await lookup(resolver, "tampered.test", .mx).security == .secure)
        resolver.shutdown()
    }

    @Test func serversThatAreDownAreATemporaryFailure() async throws {
        // The library tries for half a minute; most callers have no such patience.
        let resolver = try InternetRunning.internet.resolver { $0.timeout = .seconds(2) }
        let error = try await failure(resolver, "mail.down.test", .a)
        #expect(error?.code == .serverFailure || error?.code == .timeout)
        #expect(error?.name == "mail.down.test" && error?.type == .a)
        // Another zone is none the worse for it.
        #expect(try await lookup(resolver, "mail.kartapuce.test", .a).outcome == .records)
        resolver.shutdown()
    }

    @Test func silenceIsATimeout() async throws {
        let resolver = try InternetRunning.internet.resolver { $0.timeout = .milliseconds(300) }
        let error = try await failure(resolver, "mail.silent.test", .a)
        #expect(error?.code == .timeout && error?.description.contains("no answer") == true)
        resolver.shutdown()
    }

    // MARK: - Threads and lifetimes

    /// If questions held threads, three hundred that are never answered would leave none for one that is.
    @Test func openQuestionsHoldNoThread() async throws {
        let internet = try InternetRunning.internet
        let resolver = try internet.resolver()
        let before = internet.silent.questions
        let unanswered = (0..<300).map { number in
            Task { try await resolver.lookup(try DomainName("h\(number).silent.test"), .a) }
        }
        try await internet.silent.wait(forMoreThan: before)
        for number in 0..<50 { #expect(try await lookup(resolver, "h\(number).wild.kartapuce.test", .mx).outcome == .records) }
        for task in unanswered { task.cancel() }
        for task in unanswered { await #expect(throws: DNSError.self) { try await task.value } }
        resolver.shutdown()
    }

    @Test func cancellationEndsTheWait() async throws {
        let internet = try InternetRunning.internet
        let resolver = try internet.resolver { $0.timeout = .seconds(3600) }
        let before = internet.silent.questions
        let task = Task { try await resolver.lookup(try DomainName("cancel.silent.test"), .a) }
        try await internet.silent.wait(forMoreThan: before)
        task.cancel()
        let error = await #expect(throws: DNSError.self) { try await task.value }
        #expect(error?.code == .timeout && error?.reason.contains("cancelled") == true)
        // Cancelled before it was asked.
        let early = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await resolver.lookup(try DomainName("mail.silent.test"), .a)
        }
        early.cancel()
        await #expect(throws: DNSError.self) { try await early.value }
        #expect(try await lookup(resolver, "mail.kartapuce.test", .a).outcome == .records)
        resolver.shutdown()
    }

    @Test func shutdownWithOpenQuestions() async throws {
        let internet = try InternetRunning.internet
        for _ in 0..<10 {
            let resolver = try internet.resolver { $0.timeout = .seconds(3600) }
            let before = internet.silent.questions
            let open = (0..<50).map { number in Task { try await resolver.lookup(try DomainName("s\(number).silent.test"), .a) } }
            try await internet.silent.wait(forMoreThan: before)
            resolver.shutdown()
            for task in open {
                let error = await #expect(throws: DNSError.self) { try await task.value }
                #expect(error?.code == .serverFailure && error?.reason.contains("shut down") == true)
            }
            #expect(try await failure(resolver, "mail.kartapuce.test", .a)?.reason.contains("shut down") == true)
            resolver.shutdown()
        }
    }

    @Test func manyAtOnceAreAllAnswered() async throws {
        let resolver = try InternetRunning.internet.resolver()
        let outcomes = try await withThrowingTaskGroup(of: DNSAnswer.Outcome.self) { group in
            for number in 0..<400 {
                group.addTask { try await resolver.lookup(try DomainName("m\(number % 200).wild.kartapuce.test"), .mx).outcome }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.count == 400 && outcomes.allSatisfy { $0 == .records })
        resolver.shutdown()
    }

    // MARK: - Proof that validation works

    @Test func validationIsProven() async throws {
        let resolver = try InternetRunning.internet.resolver()
        let secure = try DomainName("kartapuce.test")
        guard case .proven(let both) = await resolver.proveValidation(secure: secure, bogus: try DomainName("bogus.test")),
            case .proven(let root) = await resolver.proveValidation(secure: nil, bogus: nil)
        else {
            Issue.record("not proven")
            return
        }
        #expect(both.contains("kartapuce.test") && both.contains("bogus.test") && root.contains("root"))
        resolver.shutdown()
    }

    @Test func validationThatDoesNotWorkIsNotProven() async throws {
        let internet = try InternetRunning.internet
        let (secure, bogus) = (try DomainName("kartapuce.test"), try DomainName("bogus.test"))
        func reason(_ resolver: UnboundResolver, _ secure: DomainName?, _ bogus: DomainName?) async -> String? {
            defer { resolver.shutdown() }
            if case .notProven(let reason) = await resolver.proveValidation(secure: secure, bogus: bogus) { return reason }
            return nil
        }
        let blind = try internet.resolver { $0.trustAnchorFile = nil }
        #expect(await reason(blind, secure, bogus)?.contains("without proof") == true)
        // The anchor is another root's: nothing can be validated.
        let astray = try internet.resolver {
            $0.trustAnchorFile = nil
            $0.trustAnchors = [". IN DS 12345 13 2 \(String(repeating: "ab", count: 32))"]
        }
        #expect(await reason(astray, secure, bogus)?.contains("can't be validated") == true)
        #expect(await reason(try internet.resolver(), try DomainName("plain.test"), nil)?.contains("without proof") == true)
        #expect(await reason(try internet.resolver(), secure, try DomainName("plain.test"))?.contains("was taken") == true)
        func impatient() throws -> UnboundResolver { try internet.resolver { $0.timeout = .seconds(2) } }
        #expect(await reason(try impatient(), secure, try DomainName("down.test"))?.contains("should be bogus") == true)
        #expect(await reason(try impatient(), try DomainName("down.test"), nil)?.contains("can't be validated") == true)
    }

    // MARK: - Configuration

    @Test func faultsOfTheConfigurationAreNamed() throws {
        let internet = try InternetRunning.internet
        func message(_ change: (inout UnboundResolver.Configuration) -> Void) -> String {
            do {
                try internet.resolver(change).shutdown()
                return ""
            } catch { return "\(error)" }
        }
        #expect(message { $0.trustAnchorFile = "/nowhere/root.key" }.contains("/nowhere/root.key"))
        #expect(message { $0.rootHintsFile = "/nowhere/root.hints" }.contains("/nowhere/root.hints"))
        #expect(message { $0.options.append(("no-such-option:", "1")) }.contains("no-such-option"))
        #expect(message { $0.forwarders = ["not an address"] }.contains("not an address"))
    }
}
