import ACME
import Crypto
import DNS
import DNSUpdate
public import FoundationEssentials
public import Logging
import MailMessage
import NIOCore
import NIOPosix
import UnboundDNS
import X509

/// Has the certificate of the section `certificate` from an authority, renews it in time, and changes its key without a moment in which no
/// TLSA record names it. What to say to the authority, and when, is decided by the target `ACME`; here it is done.
public struct CertificateKeeper: Sendable {
    let configuration: Configuration
    let settings: Configuration.ACMESettings
    let files: CertificateFiles
    let challenges: ChallengeFolder
    let transport: any ACMETransport
    let resolver: any DNS.Resolver
    let updater: (any ZoneUpdating)?
    let group: any EventLoopGroup
    /// Whether a host runs that answers challenges; a command answers them itself otherwise.
    ///
    /// The host itself must not ask for its own lock: the kernel gives a lock up when its process closes any descriptor of the file.
    let isServed: @Sendable () -> Bool
    let now: @Sendable () -> Date
    let logger: Logger

    /// What was found or done, for an operator.
    public struct Report: Codable, Sendable {
        /// The names of the certificate in use.
        public var names: [String] = []
        /// When it ends.
        public var notAfter: Date?
        /// When it is renewed.
        public var renewal: Date?
        /// The reason of the authority, where it wants it renewed early.
        public var explanation: String?
        /// The account's URL.
        public var account: String?
        /// SHA-256 of the key in hexadecimal digits: what TLSA records 3 1 1 have to say.
        public var keyDigests: [String] = []
        /// Where the rollover of the key stands.
        public var rollover: String = "none"
        /// Failures one after the other.
        public var failures = 0
        /// What failed last.
        public var lastError: String?
        /// What was done just now.
        public var done: [String] = []
    }

    /// - Parameter updater: another one than the configuration's, for tests.
    init?(
        _ configuration: Configuration, transport: any ACMETransport, resolver: any DNS.Resolver, group: any EventLoopGroup,
        updater: (any ZoneUpdating)? = nil,
        isServed: @escaping @Sendable () -> Bool, now: @escaping @Sendable () -> Date, logger: Logger
    ) throws {
        guard let settings = configuration.acme, let files = CertificateFiles(configuration) else { return nil }
        self.configuration = configuration
        self.settings = settings
        self.files = files
        self.transport = transport
        self.resolver = resolver
        self.group = group
        self.isServed = isServed
        self.now = now
        self.logger = logger
        challenges = ChallengeFolder(dataFolder: configuration.dataFolder)
        self.updater = try updater ?? ZoneUpdater(configuration, group: group)
    }

    /// Makes a keeper for a command, with a resolver of its own.
    /// - Throws: an error that says what is missing in the configuration.
    public static func make(_ configuration: Configuration, logger: Logger) throws -> CertificateKeeper {
        let resolver = try UnboundResolver(configuration: .init(configuration.resolver))
        return try make(
            configuration, resolver: resolver, isServed: { HostLock.holder(of: configuration.dataFolder) != nil }, logger: logger)
    }

    /// Makes the keeper of a host that runs, or of a command.
    static func make(
        _ configuration: Configuration, resolver: any DNS.Resolver, isServed: @escaping @Sendable () -> Bool, logger: Logger
    ) throws -> CertificateKeeper {
        let group = MultiThreadedEventLoopGroup.singleton
        let transport = try ACMEConnection(resolver: resolver, authorityFile: configuration.acme?.directoryAuthority, group: group)
        guard
            let keeper = try CertificateKeeper(
                configuration, transport: transport, resolver: resolver, group: group, isServed: isServed, now: { Date.now }, logger: logger)
        else { throw HostError("the configuration has no section acme, or no section certificate") }
        return keeper
    }

    // MARK: What is asked for

    /// How things stand.
    public func status() throws -> Report { try report(CertificateState.read(folder: configuration.dataFolder), done: []) }

    /// Renews the certificate, where it is time for it or whoever asks wants it.
    public func renew(force: Bool) async throws -> Report {
        try await locked { state in
            guard let plan = plan(state), !force, try covers() else { return try await obtain(&state, followingKey: false) }
            guard plan.isDue(at: now()) else { return ["not renewed: it isn't time before \(plan.renewal)"] }
            return try await obtain(&state, followingKey: false)
        }
    }

    /// Begins a rollover of the key, or goes on with the one that is under way.
    public func rollOver() async throws -> Report {
        try await locked { state in
            var done: [String] = []
            guard updater != nil, !settings.tlsa.isEmpty else { throw CertificateRefusal("a rollover needs acme.tlsa and the name server that takes updates") }
            guard var rollover = state.rollover else { throw CertificateRefusal("there is no certificate yet whose key could be changed; renew first") }
            if rollover.isSettled {
                files.removeFollowing()
                let next = try KeyDigest.octets(files.following().publicKey)
                guard rollover.begin(next: next, timeToLive: UInt32(settings.tlsaTimeToLiveSeconds)) else {
                    throw CertificateRefusal("the next key is the present one")
                }
                state.rollover = rollover
                try state.write(folder: configuration.dataFolder)
                done.append("made the next key")
            }
            return try await done + step(&state)
        }
    }

    /// Calls a rollover off, while the next key isn't in use.
    public func cancelRollover() async throws -> Report {
        try await locked { state in
            guard var rollover = state.rollover, rollover.cancel() else { throw CertificateRefusal("there is no rollover that could still be called off") }
            state.rollover = rollover
            state.switchedAt = nil
            try state.write(folder: configuration.dataFolder)
            files.removeFollowing()
            return try await ["called the rollover off"] + step(&state)
        }
    }

    /// What is to be done on a host that serves: asked from time to time.
    func tick() async -> Report? {
        do {
            return try await locked { state in
                if let next = state.nextAttempt, next > now() { return [] }
                // A rollover that can't go on must not keep the certificate from being renewed.
                var done: [String] = []
                var obstacle: (any Error)?
                do { done = try await step(&state) } catch let error as CancellationError { throw error } catch {
                    logger.error("the rollover of the key can't go on", metadata: ["error": "\(error)"])
                    obstacle = error
                }
                await askForWindow(&state)
                if try plan(state)?.isDue(at: now()) ?? true || !covers() { done += try await obtain(&state, followingKey: false) }
                // What was refused is tried again at the next look; what failed, later and later.
                if let obstacle, !(obstacle is CertificateRefusal) { throw obstacle }
                (state.failures, state.nextAttempt) = (0, nil)
                state.lastError = obstacle.map { "\($0)" }
                return done
            }
        } catch let refusal as CertificateRefusal {
            logger.info("nothing is done about the certificate now", metadata: ["reason": "\(refusal)"])
            return nil
        } catch is CancellationError {
            return nil
        } catch {
            logger.error("the certificate isn't renewed", metadata: ["error": "\(error)"])
            return nil
        }
    }

    // MARK: Steps

    /// One job at a time; what fails is remembered.
    private func locked(_ body: (inout CertificateState) async throws -> [String]) async throws -> Report {
        let lock = try CertificateLock(folder: configuration.dataFolder)
        defer { withExtendedLifetime(lock) {} }
        var state = try CertificateState.read(folder: configuration.dataFolder)
        try files.finishInstallation()
        do {
            let done = try await body(&state)
            for line in done { logger.notice("certificate: \(line)") }
            try state.write(folder: configuration.dataFolder)
            return try report(state, done: done)
        } catch let refusal as CertificateRefusal {
            // What was asked for can't be; that says nothing about the authority.
            try state.write(folder: configuration.dataFolder)
            throw refusal
        } catch is CancellationError {
            // This process ends; the next one goes on at once.
            try state.write(folder: configuration.dataFolder)
            throw CancellationError()
        } catch {
            state.failures += 1
            state.lastError = String("\(error)".prefix(1000))
            let wait = (error as? ACMEError)?.retryAfterSeconds.map(TimeInterval.init)
            let plan = plan(state) ?? RenewalPlan(notBefore: now(), notAfter: now() + 90 * 86_400, jitter: 0)
            state.nextAttempt = now() + max(wait ?? 0, plan.retryDelay(failures: state.failures, at: now()))
            try state.write(folder: configuration.dataFolder)
            throw error
        }
    }

    private func plan(_ state: CertificateState) -> RenewalPlan? {
        files.chain().map {
            // What was said of another certificate says nothing: a crash may have come between this one and the note of it.
            let information = state.informationOf == RenewalInformation.identifier(of: $0.leaf) ? state.information : nil
            return RenewalPlan(notBefore: $0.leaf.notValidBefore, notAfter: $0.leaf.notValidAfter, information: information, jitter: state.jitter)
        }
    }

    /// Whether the certificate in use has the names that are wanted.
    private func covers() throws -> Bool { files.chain().map { $0.names == Set(settings.names.map(\.description)) } ?? false }

    /// The rollover's next steps, as far as they go now.
    private func step(_ state: inout CertificateState) async throws -> [String] {
        var done: [String] = []
        while var rollover = state.rollover {
            switch rollover.action(at: now()) {
            case .none: return done
            case .wait(let until):
                return done + ["the rollover waits until \(until): copies of the old records have to die out"]
            case .publish:
                // Deliberate: one lifetime more before the old record goes, so that the host has taken the new key up in any case.
                if rollover.state == .withdrawing, let switched = state.switchedAt {
                    let end = switched + TimeInterval(rollover.timeToLive)
                    guard now() >= end else { return done + ["the old key's record stays until \(end)"] }
                }
                try await publish(rollover.digests)
                if rollover.state == .withdrawing {
                    rollover.withdrawn()
                    state.switchedAt = nil
                    files.removeFollowing()
                    done.append("withdrew the record of the key that isn't used any more")
                } else {
                    rollover.published(at: now())
                    done.append("published the records of both keys")
                }
                state.rollover = rollover
            case .switchCertificate:
                rollover.switching(at: now())
                state.rollover = rollover
                try state.write(folder: configuration.dataFolder)
                if try isInUse(rollover.other) {
                    // A crash came between the new key's first use and its note.
                    state.rollover?.switched()
                    state.switchedAt = now()
                } else {
                    done += try await obtain(&state, followingKey: true)
                }
            }
            try state.write(folder: configuration.dataFolder)
        }
        return done
    }

    /// Whether certificate and key are those of a digest.
    private func isInUse(_ digest: [UInt8]?) throws -> Bool {
        guard let chain = files.chain() else { return false }
        let key = try files.certificateKey().publicKey
        return try chain.leaf.publicKey == key && KeyDigest.octets(key) == digest
    }

    /// Orders a certificate and puts it into use.
    private func obtain(_ state: inout CertificateState, followingKey: Bool) async throws -> [String] {
        let key = try followingKey ? files.following() : files.certificateKey()
        if followingKey, try KeyDigest.octets(key.publicKey) != state.rollover?.other {
            throw CertificateRefusal("the next key isn't the one whose record was published: it was removed or replaced; restore acme/next-key.pem")
        }
        if state.directory != settings.directory {
            state.accountURL = nil
            state.directory = settings.directory
        }
        try await checkCAA(state)
        let replaces = files.chain().flatMap { RenewalInformation.identifier(of: $0.leaf) }
        let request = ACMEOrderRequest(names: settings.names, key: key, challenge: settings.challenge, replaces: replaces)
        let client = try await run(.order(request), &state)
        guard case .certificate(let chain) = client else { throw HostError("the order came to no certificate") }
        try files.install(chain, withFollowingKey: followingKey)
        state.failures = 0
        state.lastError = nil
        state.nextAttempt = nil
        (state.informationOf, state.information, state.nextQuestion) = (nil, nil, nil)
        state.lastSuccess = now()
        state.jitter = Double.random(in: 0..<1)
        var done = ["have a certificate for \(chain.names.sorted().joined(separator: ", ")) until \(chain.leaf.notValidAfter)"]
        if followingKey {
            state.rollover?.switched()
            state.switchedAt = now()
        } else {
            let digest = try KeyDigest.octets(key.publicKey)
            if state.rollover?.current != digest {
                state.rollover = KeyRollover(current: digest, timeToLive: UInt32(settings.tlsaTimeToLiveSeconds))
            }
            if !settings.tlsa.isEmpty, let digests = state.rollover?.digests {
                try await publish(digests)
                done.append("published TLSA records")
            }
        }
        return done
    }

    private func publish(_ digests: [[UInt8]]) async throws {
        guard let updater, !settings.tlsa.isEmpty else { return }
        let records = digests.map { UpdateRecordData.tlsa(usage: 3, selector: 1, matching: 1, data: $0) }
        let changes = settings.tlsa.flatMap {
            UpdateMessage.replacing($0, .tlsa, with: records, timeToLive: UInt32(settings.tlsaTimeToLiveSeconds))
        }
        try await updater.update(changes, at: now())
    }

    /// Whether the authority would be let issue. One that doesn't say its name in CAA records can't be asked about.
    private func checkCAA(_ state: CertificateState) async throws {
        guard settings.checksCAA else { return }
        var copy = state
        guard case .directory(let directory) = try await run(.directory, &copy), !directory.caaIdentities.isEmpty else { return }
        let check = CAACheck(identities: directory.caaIdentities, accountURL: state.accountURL, challenge: settings.challenge)
        for name in settings.names {
            let evaluation = await check.evaluate(name, resolver: resolver)
            logger.debug("CAA", metadata: ["name": "\(name)", "result": "\(evaluation.result.rawValue)", "reason": "\(evaluation.reason)"])
            guard evaluation.isIssuanceExpected else {
                throw HostError("\(name) isn't ordered, because the authority wouldn't issue: \(evaluation.reason); see acme.checksCAA")
            }
        }
    }

    /// RFC 9773: asks when to renew, as often as the authority wants to be asked. An authority that doesn't say is no failure.
    private func askForWindow(_ state: inout CertificateState) async {
        guard let chain = files.chain(), let identifier = RenewalInformation.identifier(of: chain.leaf) else { return }
        if state.informationOf != identifier { (state.informationOf, state.information, state.nextQuestion) = (identifier, nil, nil) }
        if let next = state.nextQuestion, next > now() { return }
        state.nextQuestion = now() + 21_600
        do {
            guard case .renewalInformation(let information) = try await run(.renewalInformation(identifier), &state) else { return }
            state.information = information
            state.nextQuestion = now() + TimeInterval(information.retryAfterSeconds)
        } catch {
            logger.debug("the authority doesn't say when to renew", metadata: ["error": "\(error)"])
        }
    }

    // MARK: The authority

    /// Runs a job to its end: sends, waits and sets challenges up as the client says.
    private func run(_ job: ACMEJob, _ state: inout CertificateState) async throws -> ACMEOutcome {
        var account = ACMEAccount(
            key: try files.account(), url: state.accountURL, contacts: settings.contacts, isAgreedToTerms: settings.agreesToTerms)
        if let identifier = settings.externalIdentifier, let file = settings.externalSecretFile {
            guard let secret = FileManager.default.contents(atPath: file).flatMap({ String(validating: $0, as: UTF8.self) }) else {
                throw HostError("acme.externalSecretFile: \(file) can't be read")
            }
            account.external = try ExternalAccount(identifier: identifier, encodedSecret: secret)
        }
        var client = try ACMEClient(directory: settings.directory, account: account, job: job)
        var stand: ChallengeStand?
        do {
            let outcome = try await run(&client, &stand)
            await stand?.remove()
            if let url = client.account.url { state.accountURL = url }
            return outcome
        } catch {
            await stand?.remove()
            // An account that was made stays made, whatever came of the order.
            if let url = client.account.url { state.accountURL = url }
            throw error
        }
    }

    private func run(_ client: inout ACMEClient, _ stand: inout ChallengeStand?) async throws -> ACMEOutcome {
        var step = client.begin()
        while true {
            try Task.checkCancellation()
            switch step {
            case .send(let request):
                do throws(ACMETransportFailure) {
                    let response = try await transport.send(request)
                    logger.debug("ACME", metadata: ["request": "\(request.method.rawValue) \(request.url)", "status": "\(response.status)"])
                    step = client.receive(response, at: now())
                } catch {
                    logger.debug("ACME", metadata: ["request": "\(request.method.rawValue) \(request.url)", "error": "\(error)"])
                    step = client.transportFailed("\(error)")
                }
            case .wait(let seconds):
                try await Task.sleep(for: .seconds(seconds))
                step = client.resume()
            case .provision(let tasks):
                let made = ChallengeStand(keeper: self, tasks: tasks)
                stand = made
                try await made.put(isServed: isServed())
                step = client.provisioned()
            case .finished(let outcome): return outcome
            case .failed(let error): throw error
            }
        }
    }

    private func report(_ state: CertificateState, done: [String]) throws -> Report {
        let chain = files.chain()
        let plan = plan(state)
        var report = Report()
        report.names = chain?.names.sorted() ?? []
        report.notAfter = chain?.leaf.notValidAfter
        report.renewal = plan?.renewal
        report.explanation = state.information?.explanation
        report.account = state.accountURL
        report.keyDigests = (state.rollover?.digests ?? []).map(HexDigits.text)
        report.failures = state.failures
        report.lastError = state.lastError
        report.done = done
        report.rollover =
            switch state.rollover?.state {
            case .settled, nil: "none"
            case .publishing: "publishing both records"
            case .waiting: "waiting for copies of the old records to die out"
            case .switching: "having a certificate for the new key"
            case .withdrawing: "withdrawing the old key's record"
            }
        return report
    }
}

/// Something that can't be done as it was asked for, and is no failure of the authority's.
struct CertificateRefusal: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
