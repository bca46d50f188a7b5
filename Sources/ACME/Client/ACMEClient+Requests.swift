extension ACMEClient {
    /// RFC 8555 §6.1: both are sent always.
    static let commonHeaders = [ACMEHeader("User-Agent", "Postern"), ACMEHeader("Accept-Language", "en")]

    func get(_ url: String) -> ACMERequest { ACMERequest(method: .get, url: url, headers: Self.commonHeaders, body: []) }

    func renewalInformationURL(_ directory: ACMEDirectory) throws(ACMEError) -> String {
        guard case .renewalInformation(let identifier) = job, let base = directory.renewalInfo else {
            throw ACMEError(.notOffered, "the authority doesn't say when to renew (RFC 9773 §3)")
        }
        // RFC 9773 §4.1: the identifier is one more part of the path.
        return base + (base.hasSuffix("/") ? "" : "/") + identifier
    }

    /// A signed request for an exchange.
    func request(_ exchange: Exchange, nonce: String, directory: ACMEDirectory) throws(ACMEError) -> ACMERequest {
        let (url, payload) = try target(exchange, directory)
        let identity: SignedBody.Identity
        if exchange == .newAccount {
            identity = .key
        } else {
            guard let account = account.url else { throw ACMEError(.driverFailed, "no account yet") }
            identity = .account(account)
        }
        let body = try SignedBody.sign(payload, url: url, nonce: nonce, identity: identity, key: account.key)
        var headers = Self.commonHeaders + [ACMEHeader("Content-Type", "application/jose+json")]
        if exchange == .certificate { headers.append(ACMEHeader("Accept", "application/pem-certificate-chain")) }
        return ACMERequest(method: .post, url: url, headers: headers, body: Array(body.utf8))
    }

    /// The URL and what is sent there; no payload is POST-as-GET.
    private func target(_ exchange: Exchange, _ directory: ACMEDirectory) throws(ACMEError) -> (String, JSONValue?) {
        switch exchange {
        case .newAccount: return (directory.newAccount, try newAccount(directory))
        case .updateContacts: return (account.url ?? "", .object(["contact": .array(account.contacts.map(JSONValue.string))]))
        case .newOrder: return (directory.newOrder, newOrder(directory))
        case .authorization, .pollAuthorization: return (try order.authorizationURL(), nil)
        case .answer: return (try order.challengeURL(), .object([:]))
        case .pollOrder, .pollFinalized: return (order.url, nil)
        case .finalize: return (order.finalize, .object(["csr": .string(Base64URL.encode(try signingRequest()))]))
        case .certificate: return (order.certificate, nil)
        case .changeKey: return try keyChange(directory)
        case .revoke: return try revocation(directory)
        case .deactivate: return (account.url ?? "", .object(["status": .string("deactivated")]))
        case .renewalInformation: throw ACMEError(.driverFailed, "renewal information is asked for without a signature (RFC 9773 §4.1)")
        }
    }

    /// RFC 8555 §7.3. A key that has an account already gets that one.
    private func newAccount(_ directory: ACMEDirectory) throws(ACMEError) -> JSONValue {
        var members: [String: JSONValue] = [:]
        if let terms = directory.termsOfService {
            guard account.isAgreedToTerms else {
                throw ACMEError(.termsNotAgreed, "the authority's terms have to be agreed to first: \(terms.prefix(200)) (RFC 8555 §7.3.3)")
            }
            members["termsOfServiceAgreed"] = .bool(true)
        }
        if !account.contacts.isEmpty { members["contact"] = .array(account.contacts.map(JSONValue.string)) }
        if let external = account.external {
            members["externalAccountBinding"] = try SignedBody.binding(external, key: account.key, url: directory.newAccount)
        } else if directory.isExternalAccountRequired {
            throw ACMEError(
                .externalAccountRequired, "the authority makes accounts for its customers only; set the identifier and secret that it gave (RFC 8555 §7.3.4)")
        }
        return .object(members)
    }

    private func newOrder(_ directory: ACMEDirectory) -> JSONValue {
        guard case .order(let request) = job else { return .object([:]) }
        var members: [String: JSONValue] = [
            "identifiers": .array(request.names.map { .object(["type": .string("dns"), "value": .string($0.description)]) })
        ]
        // RFC 9773 §5: to servers that know it only.
        if let replaces = request.replaces, directory.renewalInfo != nil, !order.isReplacementRefused { members["replaces"] = .string(replaces) }
        return .object(members)
    }

    private func signingRequest() throws(ACMEError) -> [UInt8] {
        guard case .order(let request) = job else { throw ACMEError(.driverFailed, "no order") }
        return try SigningRequest.octets(request.names, key: request.key)
    }

    /// RFC 8555 §7.3.5: the new key signs that it takes the account over, and the old one that it lets it.
    private func keyChange(_ directory: ACMEDirectory) throws(ACMEError) -> (String, JSONValue) {
        guard case .changeKey(let key) = job, let url = directory.keyChange, let account = account.url else {
            throw ACMEError(.notOffered, "the authority doesn't change keys of accounts (RFC 8555 §7.3.5)")
        }
        let payload: JSONValue = .object(["account": .string(account), "oldKey": self.account.key.publicJWK])
        let inner = try SignedBody.sign(payload, url: url, nonce: nil, identity: .key, key: key)
        return (url, try JSONReader.value(Array(inner.utf8)))
    }

    /// RFC 8555 §7.6.
    private func revocation(_ directory: ACMEDirectory) throws(ACMEError) -> (String, JSONValue) {
        guard case .revoke(let chain, let reason) = job, let url = directory.revokeCertificate else {
            throw ACMEError(.notOffered, "the authority doesn't revoke (RFC 8555 §7.6)")
        }
        return (
            url, .object(["certificate": .string(Base64URL.encode(try chain.leafOctets)), "reason": .number(String(reason.rawValue))])
        )
    }
}
