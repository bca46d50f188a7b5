import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore

/// A zone with key records.
func dkimKeyZone(_ keys: [String: String]) throws -> ZoneResolver {
    var zone = ZoneResolver()
    for (name, text) in keys { zone.add(try DomainName(name), .txt, .txt(Array(text.utf8))) }
    return zone
}

/// Verifies a message with keys.
func verifyDKIM(
    _ octets: [UInt8], _ keys: [String: String], at time: Date = Date(timeIntervalSince1970: 1_700_000_000), limits: DKIMLimits = DKIMLimits()
) async throws -> [DKIMEvaluation] {
    let message = ByteBuffer(bytes: octets)
    let verifier = DKIMVerifier(resolver: try dkimKeyZone(keys), limits: limits)
    return try await verifier.verify(header: HeaderSection(parsing: message), content: BufferedContent(message), at: time)
}

/// Keys for tests, made once.
enum DKIMTestKeys {
    static let rsa = makeRSA()

    private static func makeRSA() -> DKIMPrivateKey {
        do { return try DKIMKeyPair.generate() } catch { preconditionFailure("\(error)") }
    }
    static let ed25519 = DKIMKeyPair.generateEd25519()
}

/// The same numbers for the same seed (SplitMix64).
struct DKIMSeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
