import ACME
import Crypto
import DNS
import DNSUpdate
import Foundation
import SwiftASN1
import Synchronization
import X509

@testable import Gateway

/// A certificate authority in memory that knows the names to be proven, and issues certificates for ninety days from its clock on. What it asks of requests is
/// tested in `ACMETests`; here it is there to be asked in time.
final class RenewalAuthority: ACMETransport {
    private struct State {
        var isDown = false
        /// Where the authority says when it wants to be asked.
        var window: (start: Date, end: Date)?
        var orders = 0
        var requests = 0
        var certificate = ""
    }

    private let state = Mutex(State())
    private let rootKey = P256.Signing.PrivateKey()
    private let now: @Sendable () -> Date

    init(now: @escaping @Sendable () -> Date) { self.now = now }

    /// Certificates that were ordered.
    var orders: Int { state.withLock { $0.orders } }
    /// All requests.
    var requests: Int { state.withLock { $0.requests } }

    /// Whether it refuses everything. Deliberate: not 503, which the client tries again a few times by itself, waiting seconds of real time.
    func setDown(_ isDown: Bool) { state.withLock { $0.isDown = isDown } }

    /// Says when certificates are to be renewed (RFC 9773).
    func setWindow(_ start: Date, _ end: Date) { state.withLock { $0.window = (start, end) } }

    func send(_ request: ACMERequest) async throws(ACMETransportFailure) -> ACMEResponse {
        let (isDown, window, number) = state.withLock { state in
            state.requests += 1
            return (state.isDown, state.window, state.requests)
        }
        guard !isDown else { return json(403, #"{"type":"urn:ietf:params:acme:error:unauthorized","detail":"not now"}"#, number) }
        let path = request.url.dropFirst("https://ca.test".count)
        switch path {
        case "/dir":
            let renewal = window == nil ? "" : #","renewalInfo":"https://ca.test/ari""#
            return json(
                200,
                #"{"newNonce":"https://ca.test/nonce","newAccount":"https://ca.test/account","newOrder":"https://ca.test/order","revokeCert":"https://ca.test/r""#
                    + #","keyChange":"https://ca.test/k"\#(renewal)}"#, number)
        case "/nonce": return json(200, "", number)
        case "/account": return json(201, #"{"status":"valid"}"#, number, location: "https://ca.test/accounts/1")
        case "/order":
            state.withLock { $0.orders += 1 }
            return json(201, order("ready"), number, location: "https://ca.test/orders/1")
        case "/finalize":
            do {
                let certificate = try issue(request, number)
                state.withLock { $0.certificate = certificate }
            } catch { throw ACMETransportFailure("\(error)") }
            return json(200, order("valid"), number)
        case "/orders/1": return json(200, order("valid"), number)
        case "/certificate":
            return ACMEResponse(
                status: 200, headers: [ACMEHeader("Content-Type", "application/pem-certificate-chain"), ACMEHeader("Replay-Nonce", Self.nonce(number))],
                body: Array(state.withLock { $0.certificate }.utf8))
        case _ where path.hasPrefix("/ari/"):
            guard let window else { return json(404, "{}", number) }
            let (start, end) = (window.start.formatted(.iso8601), window.end.formatted(.iso8601))
            return json(200, #"{"suggestedWindow":{"start":"\#(start)","end":"\#(end)"}}"#, number)
        default:
            return json(
                200,
                #"{"status":"valid","identifier":{"type":"dns","value":"mail.kartapuce.test"},"challenges":[{"type":"http-01","url":"https://ca.test/c","#
                    + #""status":"valid","token":"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"}]}"#, number)
        }
    }

    private func json(_ status: Int, _ text: String, _ number: Int, location: String? = nil) -> ACMEResponse {
        let headers = [ACMEHeader("Content-Type", "application/json"), ACMEHeader("Replay-Nonce", Self.nonce(number))]
        return ACMEResponse(status: status, headers: headers + (location.map { [ACMEHeader("Location", $0)] } ?? []), body: Array(text.utf8))
    }

    private static func nonce(_ number: Int) -> String { Data("nonce \(number + 1000)".utf8).base64EncodedString().replacing("=", with: "") }

    private func order(_ status: String) -> String {
        let certificate = status == "valid" ? #","certificate":"https://ca.test/certificate""# : ""
        return #"{"status":"\#(status)","identifiers":[{"type":"dns","value":"mail.kartapuce.test"}],"authorizations":["https://ca.test/authorizations/1"],"#
            + #""finalize":"https://ca.test/finalize"\#(certificate)}"#
    }

    private struct NoRequest: Error {}

    private static func decode(_ text: String) -> Data? {
        let plain = text.replacing("-", with: "+").replacing("_", with: "/")
        return Data(base64Encoded: plain + String(repeating: "=", count: (4 - plain.count % 4) % 4))
    }

    private func issue(_ request: ACMERequest, _ number: Int) throws -> String {
        guard let body = try JSONSerialization.jsonObject(with: Data(request.body)) as? [String: String],
            let payload = Self.decode(body["payload"] ?? "").flatMap({ try? JSONSerialization.jsonObject(with: $0) }) as? [String: String],
            let octets = Self.decode(payload["csr"] ?? "")
        else { throw NoRequest() }
        let key = try CertificateSigningRequest(derEncoded: Array(octets)).publicKey
        let root = try DistinguishedName { CommonName("An authority of a test") }
        func make(_ subject: DistinguishedName, _ key: Certificate.PublicKey, _ extensions: Certificate.Extensions) throws -> String {
            try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(bytes: [1, UInt8(number >> 8 & 0xFF), UInt8(number & 0xFF)]), publicKey: key,
                notValidBefore: now(), notValidAfter: now() + 90 * 86_400, issuer: root, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
                extensions: extensions, issuerPrivateKey: Certificate.PrivateKey(rootKey)
            ).serializeAsPEM().pemString + "\n"
        }
        return try make(
            DistinguishedName(), key,
            Certificate.Extensions {
                SubjectAlternativeNames([.dnsName("mail.kartapuce.test")])
                AuthorityKeyIdentifier(keyIdentifier: [1, 2, 3])
            })
            + make(
                root, Certificate.PublicKey(rootKey.publicKey),
                Certificate.Extensions { Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0)) })
    }
}

/// A zone in memory that takes changes.
final class RenewalZone: ZoneUpdating {
    /// What becomes of changes.
    enum Mood { case done, refused, answerLost }

    private struct State {
        var mood = Mood.done
        var digests: Set<[UInt8]> = []
    }
    private let state = Mutex(State())

    /// The digests in the TLSA records.
    var digests: Set<[UInt8]> { state.withLock { $0.digests } }
    func set(_ mood: Mood) { state.withLock { $0.mood = mood } }

    func update(_ changes: [UpdateChange], at time: Date) async throws {
        try state.withLock { state in
            guard state.mood != .refused else { throw HostError("the name server refuses") }
            for change in changes {
                switch change {
                case .deleteRecords(_, .tlsa): state.digests = []
                case .add(_, _, .tlsa(3, 1, 1, let data)): state.digests.insert(data)
                default: throw HostError("this isn't expected: \(change)")
                }
            }
            guard state.mood != .answerLost else { throw HostError("the connection was closed without an answer") }
        }
    }
}
