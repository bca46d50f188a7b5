import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore

/// A zone with key records.
func keyZone(_ keys: [String: String]) throws -> ZoneResolver {
    var zone = ZoneResolver()
    for (name, text) in keys { zone.add(try DomainName(name), .txt, .txt(Array(text.utf8))) }
    return zone
}

/// Verifies a message with keys.
func verifyDKIM(
    _ octets: [UInt8], _ keys: [String: String], at time: Date = Date(timeIntervalSince1970: 1_700_000_000), limits: DKIMLimits = DKIMLimits()
) async throws -> [DKIMEvaluation] {
    let message = ByteBuffer(bytes: octets)
    let verifier = DKIMVerifier(resolver: try keyZone(keys), limits: limits)
    return try await verifier.verify(header: HeaderSection(parsing: message), content: BufferedContent(message), at: time)
}
