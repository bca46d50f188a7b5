import FoundationEssentials

extension ACMEClient {
    /// Reads the answer to a signed request, and says what comes next.
    mutating func receive(_ response: ACMEResponse, to exchange: Exchange, at time: Date) throws(ACMEError) -> ACMEStep {
        if let step = try recover(response, exchange, at: time) { return step }
        if let step = try forgive(response, exchange, at: time) { return step }
        guard try isSuccess(response, at: time) else { throw ACMEError(.refused, "the server fails", problem: problem(response)) }
        progressed()
        switch exchange {
        case .newAccount: return try accountAnswered(response)
        case .updateContacts, .changeKey, .revoke, .deactivate: return finish(outcome(exchange))
        case .renewalInformation:
            return finish(
                .renewalInformation(
                    try RenewalInformation(json(response, "the renewal information"), retryAfterSeconds: response.retryAfterSeconds(at: time), limits: limits)))
        case .newOrder: return try orderAnswered(response)
        case .authorization: return try authorizationAnswered(response)
        case .answer:
            order.index += 1
            if order.index < order.challenges.count { return try next(.answer) }
            order.index = 0
            order.pollCount = 0
            return try next(.pollAuthorization)
        case .pollAuthorization: return try authorizationPolled(response, at: time)
        case .pollOrder, .finalize, .pollFinalized: return try orderPolled(response, exchange, at: time)
        case .certificate: return try certificateAnswered(response, at: time)
        }
    }

    private func outcome(_ exchange: Exchange) -> ACMEOutcome {
        switch exchange {
        case .changeKey: .keyChanged
        case .revoke: .revoked
        case .deactivate: .deactivated
        default: .account(url: account.url ?? "")
        }
    }

    /// Refusals that say that what is wanted is so already, or in another way.
    private mutating func forgive(_ response: ACMEResponse, _ exchange: Exchange, at time: Date) throws(ACMEError) -> ACMEStep? {
        guard (400..<500).contains(response.status) else { return nil }
        let problem = problem(response)
        switch (exchange, problem.kind) {
        // RFC 8555 §7.6: revoked is revoked.
        case (.revoke, .alreadyRevoked): return finish(.revoked)
        // RFC 9773 §5: the order is worth more than the hint what it replaces.
        case (.newOrder, .alreadyReplaced) where !order.isReplacementRefused, (.newOrder, .malformed) where isReplacing:
            order.isReplacementRefused = true
            return try next(.newOrder)
        // A finalization that got lost on the way back was taken (RFC 8555 §7.4); the order says how it stands.
        case (.finalize, .orderNotReady): return try poll(.pollFinalized, response, at: time)
        // A challenge that was answered already and is valid now can't be answered again; the authorization says how it stands.
        case (.answer, .malformed):
            order.index += 1
            if order.index < order.challenges.count { return try next(.answer) }
            order.index = 0
            return try next(.pollAuthorization)
        default: return nil
        }
    }

    private var isReplacing: Bool {
        guard case .order(let request) = job else { return false }
        return request.replaces != nil && directory?.renewalInfo != nil && !order.isReplacementRefused
    }

    private mutating func accountAnswered(_ response: ACMEResponse) throws(ACMEError) -> ACMEStep {
        guard let location = response.value("location") else {
            throw ACMEError(.protocolViolation, "the server made an account without saying where (RFC 8555 §7.3)")
        }
        // An account that its owner or the server closed is answered with 401 (RFC 8555 §7.3.6); some servers tell its status instead.
        let status = try ACMEMembers(json(response, "the account"), "the account", limits: limits).members["status"]?.string
        guard status == nil || status == "valid" else {
            throw ACMEError(.refused, "the account is \(status?.prefix(40) ?? "") at the authority (RFC 8555 §7.1.6)")
        }
        account.url = try ACMEMembers.url(location, "the account's address", limits: limits)
        if let exchange = jobExchange { return try next(exchange) }
        // RFC 8555 §7.3.1: an account that was there already keeps its contacts.
        return response.status == 200 && !account.contacts.isEmpty ? try next(.updateContacts) : finish(outcome(.newAccount))
    }

    private mutating func orderAnswered(_ response: ACMEResponse) throws(ACMEError) -> ACMEStep {
        guard case .order(let request) = job, let location = response.value("location") else {
            throw ACMEError(.protocolViolation, "the server made an order without saying where (RFC 8555 §7.4)")
        }
        let order = try ACMEOrder(json(response, "the order"), limits: limits)
        guard Set(order.names) == Set(request.names) else {
            throw ACMEError(.protocolViolation, "the server made an order for other names: \(order.names.map(\.description).joined(separator: ", "))")
        }
        self.order.url = try ACMEMembers.url(location, "the order's address", limits: limits)
        self.order.finalize = order.finalize
        self.order.authorizations = order.authorizations
        self.order.index = 0
        switch order.status {
        // RFC 8555 §7.1.6: an order whose names are all proven is ready at once.
        case .ready: return try next(.finalize)
        case .invalid: throw ACMEError(.orderFailed, "the order is invalid", problem: order.error)
        case .pending, .processing, .valid:
            return self.order.authorizations.isEmpty ? try next(.pollOrder) : try next(.authorization)
        }
    }

    /// Looks at one authorization, and goes on to the next; after the last one, what is to be proven is known.
    private mutating func authorizationAnswered(_ response: ACMEResponse) throws(ACMEError) -> ACMEStep {
        guard case .order(let request) = job else { throw ACMEError(.driverFailed, "no order") }
        let authorization = try ACMEAuthorization(json(response, "an authorization"), limits: limits)
        // Deliberate: a proof is given for names that were ordered only, and once each: it is a proof to whoever asks.
        guard request.names.contains(authorization.name), order.seen.insert(authorization.name).inserted else {
            throw ACMEError(.protocolViolation, "the server asks for a proof for \(authorization.name), which wasn't ordered, or asks twice")
        }
        switch authorization.status {
        case .valid: break
        case .pending: try choose(authorization, request.challenge)
        case .invalid, .deactivated, .expired, .revoked: throw failure(of: authorization)
        }
        order.index += 1
        if order.index < order.authorizations.count { return try next(.authorization) }
        order.index = 0
        order.isAnswering = true
        order.pollCount = 0
        return order.tasks.isEmpty ? try next(.pollOrder) : provision(order.tasks)
    }

    private mutating func choose(_ authorization: ACMEAuthorization, _ kind: ACMEChallengeKind) throws(ACMEError) {
        let name = authorization.name
        guard let challenge = authorization.challenges.first(where: { $0.kind == kind.rawValue }) else {
            let offered = authorization.challenges.map { String($0.kind.prefix(40)) }.joined(separator: ", ")
            throw ACMEError(.noSuchChallenge, "the authority takes no \(kind.rawValue), but \(offered)", name: name.domain)
        }
        guard let token = challenge.token, ACMEChallengeTask.isToken(token) else {
            throw ACMEError(.protocolViolation, "a challenge without a token of 128 bits in base64url (RFC 8555 §8.1)", name: name.domain)
        }
        guard challenge.status != .invalid else { throw failure(of: authorization) }
        order.tasks.append(
            ACMEChallengeTask(name: name.domain, kind: kind, token: token, keyAuthorization: account.key.authorization(token: token)))
        order.challenges.append((challenge.url, try order.authorizationURL(), name))
    }

    private func failure(of authorization: ACMEAuthorization) -> ACMEError {
        let problem = authorization.challenges.compactMap(\.error).first
        let state = authorization.status == .pending ? "invalid" : authorization.status.rawValue
        return ACMEError(.authorizationFailed, "the proof for this name is \(state)", problem: problem, name: authorization.name.domain)
    }

    private mutating func authorizationPolled(_ response: ACMEResponse, at time: Date) throws(ACMEError) -> ACMEStep {
        let authorization = try ACMEAuthorization(json(response, "an authorization"), limits: limits)
        guard order.index < order.challenges.count, authorization.name == order.challenges[order.index].name else {
            throw ACMEError(.protocolViolation, "the server answers with another authorization than was asked for (RFC 8555 §7.5)")
        }
        switch authorization.status {
        case .pending: return try poll(.pollAuthorization, response, at: time)
        case .invalid, .deactivated, .expired, .revoked: throw failure(of: authorization)
        case .valid:
            order.index += 1
            order.pollCount = 0
            return try next(order.index < order.challenges.count ? .pollAuthorization : .pollOrder)
        }
    }

    /// RFC 8555 §7.4: an order that is ready is finalized, one that is valid has a certificate.
    private mutating func orderPolled(_ response: ACMEResponse, _ exchange: Exchange, at time: Date) throws(ACMEError) -> ACMEStep {
        let order = try ACMEOrder(json(response, "the order"), limits: limits)
        switch order.status {
        case .invalid: throw ACMEError(.orderFailed, "the order is invalid", problem: order.error)
        case .valid:
            guard let certificate = order.certificate else {
                throw ACMEError(.protocolViolation, "the order is valid without a certificate (RFC 8555 §7.4)")
            }
            self.order.certificate = certificate
            return try next(.certificate)
        case .ready where exchange == .pollOrder:
            self.order.pollCount = 0
            return try next(.finalize)
        case .pending, .ready, .processing:
            return try poll(exchange == .pollOrder ? .pollOrder : .pollFinalized, response, at: time)
        }
    }

    /// RFC 8555 §7.5.1: asks again, when the server says.
    private mutating func poll(_ exchange: Exchange, _ response: ACMEResponse, at time: Date) throws(ACMEError) -> ACMEStep {
        order.pollCount += 1
        let seconds = response.retryAfterSeconds(at: time) ?? limits.pollSeconds
        guard order.pollCount <= limits.pollLimit, seconds <= limits.retryAfterLimitSeconds else {
            let name = exchange == .pollAuthorization ? order.challenges[order.index].name.domain : nil
            throw ACMEError(.orderFailed, "the server wasn't ready after \(order.pollCount) questions", name: name, retryAfterSeconds: seconds)
        }
        return wait(seconds: seconds, then: exchange)
    }

    private mutating func certificateAnswered(_ response: ACMEResponse, at time: Date) throws(ACMEError) -> ACMEStep {
        guard case .order(let request) = job else { throw ACMEError(.driverFailed, "no order") }
        let kind = response.value("content-type")?.prefix { $0 != ";" }.trimmed.lowercased()
        guard kind == "application/pem-certificate-chain", let text = String(validating: response.body, as: UTF8.self) else {
            throw ACMEError(.wrongCertificate, "the certificate comes as “\(kind?.prefix(80) ?? "")” (RFC 8555 §7.4.2)")
        }
        let alternates = response.links("alternate").prefix(limits.chainLimit).filter { (try? ACMEMembers.url($0, "a chain", limits: limits)) != nil }
        let chain = try CertificateChain(pem: text, alternates: alternates, limits: limits)
        try chain.check(request.names, key: request.key, at: time)
        return finish(.certificate(chain))
    }
}
