import Crypto
import DNS
import FoundationEssentials
import SwiftASN1
import X509

@testable import ACME

/// A certificate authority in memory. It checks each request's signature, nonce, URL and identity, and issues certificates that hold.
final class FakeAuthority {
    static let base = "https://ca.test"
    static let now = Date(timeIntervalSince1970: 1_750_000_000)

    /// What the authority does otherwise than usual.
    struct Moods {
        var isExternalAccountRequired = false
        var badNonces = 0
        var failures = 0
        /// How often an authorization and an order are still pending or processing.
        var pendingPolls = 0
        var retryAfter: String?
        var challengeError: String?
        var offeredKinds = ["http-01", "tls-alpn-01", "dns-01"]
        var isProvenAlready = false
        var isReplacementRefused = false
        var certificateKey: P256.Signing.PrivateKey?
        var certificateNames: [String]?
        var extraAuthorization: String?
        var finalizeAnswerLost = false
        var hasRenewalInformation = true
        var token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
    }

    var moods = Moods()
    private let rootKey = P256.Signing.PrivateKey()
    private(set) var nonces: Set<String> = []
    private var nonceCount = 0
    /// The accounts' keys as JWK texts.
    var accounts: [String: String] = [:]
    private(set) var contacts: [String] = []
    private var names: [String] = []
    private var proven: Set<String> = []
    private var polls = 0
    private var certificate: String?
    private var hasFinalized = false
    private(set) var log: [String] = []
    private(set) var lastOrder: JSONValue?
    private(set) var revoked: [String] = []
    /// What is wrong with the requests; nothing, in the end.
    private(set) var faults: [String] = []

    func answer(_ request: ACMERequest) -> ACMEResponse {
        let path = String(request.url.dropFirst(Self.base.utf8.count))
        log.append("\(request.method.rawValue) \(path)")
        if !request.headers.contains(ACMEHeader("User-Agent", "Postern")) { faults.append("no User-Agent") }
        if moods.failures > 0 {
            moods.failures -= 1
            return ACMEResponse(status: 503, headers: moods.retryAfter.map { [ACMEHeader("Retry-After", $0)] } ?? [])
        }
        var response: ACMEResponse
        switch (request.method, path) {
        case (.get, "/dir"): return directory
        case (.head, "/nonce"): response = ACMEResponse(status: 200)
        case (.get, _) where path.hasPrefix("/ari/"):
            return json(
                200, "{\"suggestedWindow\":{\"start\":\"2025-07-01T00:00:00Z\",\"end\":\"2025-07-03T00:00:00+00:00\"}}", [ACMEHeader("retry-after", "3600")])
        case (.post, _): response = signed(request, path)
        default: response = problem(405, "malformed", "method")
        }
        nonceCount += 1
        let nonce = Base64URL.encode(Array("nonce \(nonceCount)".utf8))
        nonces.insert(nonce)
        response.headers.append(ACMEHeader("Replay-Nonce", nonce))
        return response
    }

    private var directory: ACMEResponse {
        let terms =
            "\"termsOfService\":\"https://ca.test/terms\",\"caaIdentities\":[\"CA.test\"],\"externalAccountRequired\":\(moods.isExternalAccountRequired)"
        let renewal = moods.hasRenewalInformation ? "\"renewalInfo\":\"https://ca.test/ari\"," : ""
        return json(
            200,
            "{\"newNonce\":\"https://ca.test/nonce\",\"newAccount\":\"https://ca.test/account\",\"newOrder\":\"https://ca.test/order\",\(renewal)"
                + "\"revokeCert\":\"https://ca.test/revoke\",\"keyChange\":\"https://ca.test/key\",\"xyz\":\"a random member\",\"meta\":{\(terms)}}")
    }

    private func json(_ status: Int, _ text: String, _ headers: [ACMEHeader] = []) -> ACMEResponse {
        ACMEResponse(status: status, headers: [ACMEHeader("Content-Type", "application/json")] + headers, body: Array(text.utf8))
    }

    func problem(_ status: Int, _ kind: String, _ detail: String) -> ACMEResponse {
        json(status, "{\"type\":\"urn:ietf:params:acme:error:\(kind)\",\"detail\":\"\(detail)\"}")
    }

    /// RFC 8555 §6.2: everything that a server checks.
    private func signed(_ request: ACMERequest, _ path: String) -> ACMEResponse {
        guard let body = try? JSONReader.value(request.body).object, body.count == 3, let protected = body["protected"]?.string,
            let payload = body["payload"]?.string, let signature = Base64URL.decode(body["signature"]?.string ?? ""),
            let header = try? JSONReader.value(Base64URL.decode(protected) ?? []).object
        else {
            faults.append("no JWS: \(path)")
            return problem(400, "malformed", "no JWS")
        }
        if header["alg"]?.string != "ES256" || header["url"]?.string != request.url { faults.append("alg or url: \(path)") }
        guard let nonce = header["nonce"]?.string, nonces.remove(nonce) != nil else {
            faults.append("nonce: \(path)")
            return problem(400, "badNonce", "unknown")
        }
        if moods.badNonces > 0 {
            moods.badNonces -= 1
            return problem(400, "badNonce", "try again")
        }
        let jwk: JSONValue
        if let kid = header["kid"]?.string {
            guard header["jwk"] == nil else { return problem(400, "malformed", "kid and jwk") }
            guard let key = accounts[kid], let value = try? JSONReader.value(Array(key.utf8)) else { return problem(400, "accountDoesNotExist", "unknown") }
            jwk = value
        } else {
            jwk = header["jwk"] ?? .null
        }
        guard Self.isValid(signature, "\(protected).\(payload)", jwk) else {
            faults.append("signature: \(path)")
            return problem(400, "malformed", "signature")
        }
        let value = payload.isEmpty ? nil : try? JSONReader.value(Base64URL.decode(payload) ?? [])
        return handle(path, value, jwk)
    }

    private static func isValid(_ signature: [UInt8], _ text: String, _ jwk: JSONValue) -> Bool {
        guard let x = Base64URL.decode(jwk.object?["x"]?.string ?? ""), let y = Base64URL.decode(jwk.object?["y"]?.string ?? ""),
            let key = try? P256.Signing.PublicKey(rawRepresentation: x + y), let code = try? P256.Signing.ECDSASignature(rawRepresentation: signature)
        else { return false }
        return key.isValidSignature(code, for: Array(text.utf8))
    }

    private func handle(_ path: String, _ payload: JSONValue?, _ jwk: JSONValue) -> ACMEResponse {
        switch path {
        case "/account": return account(payload, jwk)
        case "/order": return order(payload)
        case "/key": return keyChange(payload, jwk)
        case "/revoke":
            let text = payload?.object?["certificate"]?.string ?? ""
            if revoked.contains(text) { return problem(400, "alreadyRevoked", "already") }
            revoked.append(text)
            return ACMEResponse(status: 200)
        case "/finalize": return finalize(payload)
        case "/orders/1":
            if payload != nil { faults.append("POST-as-GET with a payload") }
            polls += 1
            return json(200, orderText(status), moods.retryAfter.map { [ACMEHeader("Retry-After", $0)] } ?? [])
        case "/certificate":
            return ACMEResponse(
                status: 200,
                headers: [
                    ACMEHeader("content-type", "application/pem-certificate-chain"), ACMEHeader("link", "<https://ca.test/dir>;rel=\"index\""),
                    ACMEHeader("Link", "<https://ca.test/certificate/2>;rel=\"alternate\""),
                ], body: Array((certificate ?? "").utf8))
        default:
            if path.hasPrefix("/accounts/") {
                contacts = payload?.object?["contact"]?.array?.compactMap(\.string) ?? contacts
                return json(200, "{\"status\":\"\(payload?.object?["status"]?.string ?? "valid")\"}")
            }
            if path.hasPrefix("/authorizations/") { return authorization(String(path.dropFirst(16))) }
            if path.hasPrefix("/challenges/") {
                if payload?.object != [:] { faults.append("a challenge's answer isn't {}") }
                proven.insert(String(path.dropFirst(12)))
                polls = 0
                return json(200, "{\"status\":\"processing\"}")
            }
            return problem(404, "malformed", "nothing there")
        }
    }

    private func account(_ payload: JSONValue?, _ jwk: JSONValue) -> ACMEResponse {
        let members = payload?.object ?? [:]
        if let known = accounts.first(where: { $0.value == jwk.text }) {
            return json(200, "{\"status\":\"valid\"}", [ACMEHeader("Location", known.key)])
        }
        guard members["termsOfServiceAgreed"]?.bool == true else { return problem(403, "userActionRequired", "terms") }
        if moods.isExternalAccountRequired, members["externalAccountBinding"]?.object == nil { return problem(403, "externalAccountRequired", "bind") }
        contacts = members["contact"]?.array?.compactMap(\.string) ?? []
        let url = "https://ca.test/accounts/\(accounts.count + 1)"
        accounts[url] = jwk.text
        return json(201, "{\"status\":\"valid\"}", [ACMEHeader("Location", url)])
    }

    private func keyChange(_ payload: JSONValue?, _ jwk: JSONValue) -> ACMEResponse {
        let body = payload?.object ?? [:]
        guard let protected = body["protected"]?.string, let inner = body["payload"]?.string, let signature = Base64URL.decode(body["signature"]?.string ?? ""),
            let header = try? JSONReader.value(Base64URL.decode(protected) ?? []).object, header["nonce"] == nil,
            header["url"]?.string == "https://ca.test/key",
            let new = header["jwk"], Self.isValid(signature, "\(protected).\(inner)", new),
            let change = try? JSONReader.value(Base64URL.decode(inner) ?? []).object, change["oldKey"] == jwk, let account = change["account"]?.string,
            accounts[account] == jwk.text
        else { return problem(400, "malformed", "key change") }
        accounts[account] = new.text
        return ACMEResponse(status: 200)
    }

    private func order(_ payload: JSONValue?) -> ACMEResponse {
        lastOrder = payload
        if moods.isReplacementRefused, payload?.object?["replaces"] != nil { return problem(409, "alreadyReplaced", "replaced") }
        names = (payload?.object?["identifiers"]?.array ?? []).compactMap { $0.object?["value"]?.string }
        if moods.isProvenAlready { proven = Set(names) }
        return json(201, orderText(moods.isProvenAlready ? "ready" : "pending"), [ACMEHeader("Location", "https://ca.test/orders/1")])
    }

    private var status: String {
        if hasFinalized { return polls > moods.pendingPolls ? "valid" : "processing" }
        return polls > moods.pendingPolls ? "ready" : "pending"
    }

    private func orderText(_ status: String) -> String {
        let identifiers = names.map { "{\"type\":\"dns\",\"value\":\"\($0)\"}" }.joined(separator: ",")
        let authorizations = (names + (moods.extraAuthorization.map { [$0] } ?? [])).map { "\"https://ca.test/authorizations/\($0)\"" }.joined(separator: ",")
        let certificate = status == "valid" ? ",\"certificate\":\"https://ca.test/certificate\"" : ""
        return "{\"status\":\"\(status)\",\"identifiers\":[\(identifiers)],\"authorizations\":[\(authorizations)],"
            + "\"finalize\":\"https://ca.test/finalize\"\(certificate)}"
    }

    private func authorization(_ name: String) -> ACMEResponse {
        let isProven = proven.contains(name)
        if isProven { polls += 1 }
        let isDone = isProven && polls > moods.pendingPolls
        let status = isDone ? (moods.challengeError == nil ? "valid" : "invalid") : "pending"
        let error = status == "invalid" ? ",\"error\":{\"type\":\"urn:ietf:params:acme:error:\(moods.challengeError ?? "")\",\"detail\":\"no\\nway\"}" : ""
        let challenges = moods.offeredKinds.map {
            "{\"type\":\"\($0)\",\"url\":\"https://ca.test/challenges/\(name)\",\"status\":\"\(status)\",\"token\":\"\(moods.token)\"\(error)}"
        }.joined(separator: ",")
        let wildcard = name.hasPrefix("*.")
        if isDone { polls = 0 }
        return json(
            200,
            "{\"status\":\"\(status)\",\"identifier\":{\"type\":\"dns\",\"value\":\"\(wildcard ? String(name.dropFirst(2)) : name)\"},"
                + "\"challenges\":[\(challenges)]\(wildcard ? ",\"wildcard\":true" : "")}",
            moods.retryAfter.map { [ACMEHeader("Retry-After", $0)] } ?? [])
    }

    private func finalize(_ payload: JSONValue?) -> ACMEResponse {
        if hasFinalized { return problem(403, "orderNotReady", "again") }
        guard let octets = Base64URL.decode(payload?.object?["csr"]?.string ?? ""),
            let request = try? CertificateSigningRequest(derEncoded: octets), request.publicKey.isValidSignature(request.signature, for: request)
        else {
            faults.append("CSR")
            return problem(400, "badCSR", "signature")
        }
        hasFinalized = true
        polls = 0
        certificate = try? issue(request)
        if certificate == nil { faults.append("no certificate") }
        if moods.finalizeAnswerLost {
            moods.finalizeAnswerLost = false
            return ACMEResponse(status: 502)
        }
        return json(
            200, orderText(moods.pendingPolls > 0 ? "processing" : "valid"), moods.retryAfter.map { [ACMEHeader("Retry-After", $0)] } ?? [])
    }

    private func issue(_ request: CertificateSigningRequest) throws -> String {
        let root = try DistinguishedName { CommonName("Fake root") }
        let extensions = try request.attributes.first { $0.oid == .CSRAttributes.extensionRequest }.map { try ExtensionRequest($0).extensions }
        let names = try extensions?.subjectAlternativeNames ?? SubjectAlternativeNames()
        let wanted = moods.certificateNames.map { SubjectAlternativeNames($0.map { .dnsName($0) }) } ?? names
        func make(_ subject: DistinguishedName, _ key: Certificate.PublicKey, isAuthority: Bool) throws -> String {
            try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(bytes: [0x87, 1]), publicKey: key, notValidBefore: Self.now - 3600,
                notValidAfter: Self.now + 90 * 86_400, issuer: root, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
                extensions: isAuthority
                    ? try Certificate.Extensions { Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0)) }
                    : try Certificate.Extensions {
                        wanted
                        AuthorityKeyIdentifier(keyIdentifier: [0x69, 0x88, 0x5B])
                    },
                issuerPrivateKey: Certificate.PrivateKey(rootKey)
            ).serializeAsPEM().pemString + "\n"
        }
        let key = moods.certificateKey.map { Certificate.PublicKey($0.publicKey) } ?? request.publicKey
        return try make(DistinguishedName(), key, isAuthority: false) + make(root, Certificate.PublicKey(rootKey.publicKey), isAuthority: true)
    }
}

/// What happened between a client and the authority.
struct Dialogue {
    var outcome: ACMEOutcome?
    var error: ACMEError?
    var waits: [Int] = []
    var tasks: [ACMEChallengeTask] = []
    var client: ACMEClient

    /// Runs a job to its end.
    init(
        _ job: ACMEJob, at authority: FakeAuthority, account: ACMEAccount, limits: ACMELimits = ACMELimits(),
        change: (ACMERequest, ACMEResponse) -> ACMEResponse? = { $1 }
    ) throws {
        client = try ACMEClient(directory: "https://ca.test/dir", account: account, job: job, limits: limits)
        var step = client.begin()
        for _ in 0..<500 {
            switch step {
            case .send(let request):
                if let response = change(request, authority.answer(request)) {
                    step = client.receive(response, at: FakeAuthority.now)
                } else {
                    step = client.transportFailed("broken")
                }
            case .wait(let seconds):
                waits.append(seconds)
                step = client.resume()
            case .provision(let tasks):
                self.tasks = tasks
                step = client.provisioned()
            case .finished(let outcome):
                self.outcome = outcome
                return
            case .failed(let error):
                self.error = error
                return
            }
        }
        error = ACMEError(.limitExceeded, "the dialogue has no end")
    }
}
