import SwiftASN1
import X509

/// What a certificate says about its holder: for the links between our hosts the roles matter, and nothing else does.
///
/// A certificate of the internal authority names each role of its host by a URI in the subject's alternative names:
/// `urn:postern:role:mx`. Read this only from certificates whose chain was verified against that authority.
public struct LinkCertificate: Hashable, Sendable {
    /// What stands before the role's name.
    public static let rolePrefix = "urn:postern:role:"

    /// The roles that the certificate names, such as `mx`.
    public let roles: Set<String>
    /// The host names that the certificate names, in lower case.
    public let hostNames: [String]
    /// The subject as text, for evidence only.
    public let subject: String

    /// Reads a certificate.
    /// - Throws: ``TLSFailure`` when it is no readable X.509 certificate.
    public init(derBytes: [UInt8]) throws {
        do {
            let certificate = try Certificate(derEncoded: derBytes)
            subject = "\(certificate.subject)"
            var roles = Set<String>()
            var hostNames = [String]()
            for name in try certificate.extensions.subjectAlternativeNames ?? SubjectAlternativeNames() {
                switch name {
                case .uniformResourceIdentifier(let uri):
                    if uri.hasPrefix(Self.rolePrefix) { roles.insert(String(uri.dropFirst(Self.rolePrefix.count))) }
                case .dnsName(let host): hostNames.append(host.lowercased())
                case .otherName, .rfc822Name, .x400Address, .directoryName, .ediPartyName, .ipAddress, .registeredID: break
                }
            }
            self.roles = roles
            self.hostNames = hostNames
        } catch {
            throw TLSFailure.certificate(error)
        }
    }

    /// The roles that a certificate names; see ``init(derBytes:)``.
    public static func roles(ofDER bytes: [UInt8]) throws -> Set<String> { try LinkCertificate(derBytes: bytes).roles }
}
