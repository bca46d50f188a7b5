public import FoundationEssentials

/// One job at a certificate authority (RFC 8555), without I/O: it says what to send and is told what came back.
///
/// ```
/// begin → directory → nonce → [account] → job's own requests → finished
///   order: newOrder → each authorization → provision → each challenge → authorizations until valid
///          → order until ready → finalize → order until valid → certificate
/// ```
///
/// Each request costs one nonce, and each answer brings the next. A nonce that isn't taken, a busy or failing server and a lost
/// connection are answered by asking again, so often as ``ACMELimits`` say; everything else that isn't foreseen ends the job.
public struct ACMEClient: Sendable {
    /// What is asked.
    enum Exchange: Hashable, Sendable {
        case newAccount
        case updateContacts
        case newOrder
        case authorization
        case answer
        case pollAuthorization
        case pollOrder
        case finalize
        case pollFinalized
        case certificate
        case changeKey
        case revoke
        case renewalInformation
        case deactivate
    }

    private enum State: Sendable {
        case idle
        case awaitingDirectory(then: Exchange?)
        case awaitingNonce(then: Exchange)
        case awaiting(Exchange)
        case waiting(then: Exchange?)
        case provisioning
        case ended
    }

    let directoryURL: String
    let limits: ACMELimits
    /// The account; its URL comes with the first answer about it.
    public internal(set) var account: ACMEAccount
    /// What the authority offers, once it is known.
    public private(set) var directory: ACMEDirectory?
    let job: ACMEJob
    var order = OrderProgress()
    private var state = State.idle
    private var nonce: String?
    private var badNonceCount = 0
    private var failureCount = 0
    /// Whether the account's URL was found to be unknown, and the account looked for by its key.
    private var hasLookedForAccount = false

    /// Takes a job.
    /// - Parameters:
    ///   - directory: the URL of the authority's directory.
    ///   - account: the account; where it has no URL, it is made or found first.
    public init(directory: String, account: ACMEAccount, job: ACMEJob, limits: ACMELimits = ACMELimits()) throws(ACMEError) {
        directoryURL = try ACMEMembers.url(directory, "the directory's address", limits: limits)
        self.account = account
        self.job = job
        self.limits = limits
        if case .order(let request) = job { try Self.check(request, limits: limits) }
    }

    private static func check(_ request: ACMEOrderRequest, limits: ACMELimits) throws(ACMEError) {
        guard (1...limits.nameLimit).contains(request.names.count), Set(request.names).count == request.names.count else {
            throw ACMEError(.invalidInput, "an order has 1 to \(limits.nameLimit) names, each once, and not \(request.names.count)")
        }
        // RFC 8555 §8.3 and RFC 8737 §3 speak of one host; that a whole zone is somebody's shows only in the zone.
        guard request.challenge == .dns01 || !request.names.contains(where: \.isWildcard) else {
            throw ACMEError(.invalidInput, "a wildcard is proven by dns-01 only, and not by \(request.challenge.rawValue) (RFC 8555 §8.4)")
        }
    }

    // MARK: What the driver calls

    /// The first step.
    public mutating func begin() -> ACMEStep {
        guard case .idle = state else { return fail(ACMEError(.driverFailed, "a job begins once")) }
        state = .awaitingDirectory(then: firstExchange)
        return .send(get(directoryURL))
    }

    /// The answer to the request that was sent last.
    public mutating func receive(_ response: ACMEResponse, at time: Date) -> ACMEStep {
        if let nonce = response.nonce { self.nonce = nonce }
        do throws(ACMEError) {
            guard response.body.count <= limits.bodySizeLimit else {
                throw ACMEError(.limitExceeded, "an answer of \(response.body.count) octets; \(limits.bodySizeLimit) are taken")
            }
            switch state {
            case .awaitingDirectory(let exchange):
                guard try isSuccess(response, at: time) else { return again(response, at: time) }
                let directory = try ACMEDirectory(json(response, "the directory"), limits: limits)
                self.directory = directory
                guard let exchange else { return finish(.directory(directory)) }
                return try next(exchange)
            case .awaitingNonce(let exchange):
                guard try isSuccess(response, at: time) else { return again(response, at: time) }
                guard nonce != nil else { throw ACMEError(.protocolViolation, "the server gives no nonce (RFC 8555 §7.2)") }
                return try next(exchange)
            case .awaiting(let exchange): return try receive(response, to: exchange, at: time)
            case .idle, .waiting, .provisioning, .ended: throw ACMEError(.driverFailed, "an answer that nobody waits for")
            }
        } catch { return fail(error) }
    }

    /// The last request wasn't answered: no connection, or it broke.
    public mutating func transportFailed(_ reason: String) -> ACMEStep {
        failureCount += 1
        guard failureCount <= limits.serverFailureLimit, let exchange = pending else {
            return fail(ACMEError(.driverFailed, "the server can't be reached: \(reason)"))
        }
        return wait(seconds: limits.pollSeconds << min(failureCount, 5), then: exchange)
    }

    /// The time is over that ``ACMEStep/wait(seconds:)`` asked for.
    public mutating func resume() -> ACMEStep {
        guard case .waiting(let exchange) = state else { return fail(ACMEError(.driverFailed, "nothing waits for a time")) }
        guard let exchange, directory != nil else {
            state = .awaitingDirectory(then: exchange)
            return .send(get(directoryURL))
        }
        do { return try next(exchange) } catch { return fail(error) }
    }

    /// The challenges are set up, and whoever looks sees them.
    public mutating func provisioned() -> ACMEStep {
        guard case .provisioning = state else { return fail(ACMEError(.driverFailed, "no challenge is waited for")) }
        do { return try next(.answer) } catch { return fail(error) }
    }

    /// The driver gives up.
    public mutating func abandon(_ reason: String) -> ACMEStep { fail(ACMEError(.driverFailed, reason)) }

    // MARK: Steps

    /// The exchange that a new try begins with; `.some(nil)` for the directory alone.
    private var pending: Exchange?? {
        switch state {
        case .awaitingDirectory(let exchange): .some(exchange)
        case .awaitingNonce(let exchange), .awaiting(let exchange): .some(exchange)
        case .idle, .waiting, .provisioning, .ended: nil
        }
    }

    private var firstExchange: Exchange? {
        switch job {
        case .directory: nil
        case .renewalInformation: .renewalInformation
        case .account: account.url == nil ? .newAccount : .updateContacts
        case .order, .changeKey, .revoke, .deactivateAccount: account.url == nil ? .newAccount : jobExchange
        }
    }

    /// What the job begins with, once there is an account.
    var jobExchange: Exchange? {
        switch job {
        case .order: .newOrder
        case .changeKey: .changeKey
        case .revoke: .revoke
        case .deactivateAccount: .deactivate
        case .account, .directory, .renewalInformation: nil
        }
    }

    /// Sends a request, or first for a nonce.
    mutating func next(_ exchange: Exchange) throws(ACMEError) -> ACMEStep {
        guard let directory else { throw ACMEError(.driverFailed, "no directory yet") }
        if exchange == .renewalInformation {
            state = .awaiting(exchange)
            return .send(get(try renewalInformationURL(directory)))
        }
        guard let nonce else {
            state = .awaitingNonce(then: exchange)
            return .send(ACMERequest(method: .head, url: directory.newNonce, headers: Self.commonHeaders, body: []))
        }
        // RFC 8555 §6.5: once each.
        self.nonce = nil
        state = .awaiting(exchange)
        return .send(try request(exchange, nonce: nonce, directory: directory))
    }

    mutating func wait(seconds: Int, then exchange: Exchange?) -> ACMEStep {
        state = .waiting(then: exchange)
        return .wait(seconds: max(seconds, 1))
    }

    mutating func provision(_ tasks: [ACMEChallengeTask]) -> ACMEStep {
        state = .provisioning
        return .provision(tasks)
    }

    mutating func finish(_ outcome: ACMEOutcome) -> ACMEStep {
        state = .ended
        return .finished(outcome)
    }

    mutating func fail(_ error: ACMEError) -> ACMEStep {
        state = .ended
        return .failed(error)
    }

    // MARK: Answers that aren't the expected ones

    /// Whether the answer is a success. Failures of the server itself are worth another try.
    /// - Throws: the server's refusal.
    func isSuccess(_ response: ACMEResponse, at time: Date) throws(ACMEError) -> Bool {
        switch response.status {
        case 200..<300: return true
        case 500..<600, 408: return false
        case 400..<500: throw refusal(response, at: time)
        // Deliberate: redirects aren't followed; a signature covers the URL that it was made for (RFC 8555 §6.4).
        default: throw ACMEError(.protocolViolation, "the server answers with the status \(response.status)")
        }
    }

    /// The server's refusal as an error.
    func refusal(_ response: ACMEResponse, at time: Date) -> ACMEError {
        let problem = problem(response)
        let code: ACMEError.Code =
            switch problem.kind {
            case .externalAccountRequired: .externalAccountRequired
            case .userActionRequired: .termsNotAgreed
            default: .refused
            }
        return ACMEError(code, "the certificate authority refuses", problem: problem, retryAfterSeconds: response.retryAfterSeconds(at: time))
    }

    func problem(_ response: ACMEResponse) -> ACMEProblem {
        ACMEProblem(try? JSONReader.value(response.body), status: response.status)
    }

    /// What is done after a refusal that another try can mend; `nil` for the others.
    mutating func recover(_ response: ACMEResponse, _ exchange: Exchange, at time: Date) throws(ACMEError) -> ACMEStep? {
        guard response.status >= 400 else { return nil }
        let problem = problem(response)
        // RFC 8555 §6.5: with the nonce that came with the refusal.
        if problem.kind == .badNonce {
            badNonceCount += 1
            guard badNonceCount <= limits.badNonceLimit else {
                throw ACMEError(.refused, "the server didn't take \(badNonceCount) nonces one after the other", problem: problem)
            }
            return try next(exchange)
        }
        if response.status >= 500 || response.status == 408 { return again(response, at: time) }
        // The account is another server's, or was forgotten: its key finds it, or makes it anew.
        if problem.kind == .accountDoesNotExist, exchange != .newAccount, !hasLookedForAccount {
            hasLookedForAccount = true
            account.url = nil
            return try next(.newAccount)
        }
        return nil
    }

    /// Another try after a failure of the server.
    private mutating func again(_ response: ACMEResponse, at time: Date) -> ACMEStep {
        failureCount += 1
        let seconds = response.retryAfterSeconds(at: time) ?? limits.pollSeconds << min(failureCount, 5)
        guard failureCount <= limits.serverFailureLimit, seconds <= limits.retryAfterLimitSeconds, let exchange = pending else {
            return fail(ACMEError(.refused, "the server fails", problem: problem(response), retryAfterSeconds: response.retryAfterSeconds(at: time)))
        }
        return wait(seconds: seconds, then: exchange)
    }

    /// After an answer that helped on, failures count anew.
    mutating func progressed() {
        badNonceCount = 0
        failureCount = 0
    }

    func json(_ response: ACMEResponse, _ what: String) throws(ACMEError) -> JSONValue {
        do {
            return try JSONReader.value(response.body)
        } catch {
            throw ACMEError(error.code, "\(what) can't be read: \(error.reason)")
        }
    }
}
