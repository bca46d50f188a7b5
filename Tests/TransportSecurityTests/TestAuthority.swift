import Crypto
import DNS
import Foundation
import SwiftASN1
import TransportSecurity
import X509

/// Makes chains of certificates: a root, an issuer below it, and servers below that.
struct TestAuthority {
    static let now = Date(timeIntervalSince1970: 1_790_000_000)

    /// A certificate with its key.
    struct Party {
        var certificate: Certificate
        var key: P256.Signing.PrivateKey

        var octets: [UInt8] {
            get throws {
                var serializer = DER.Serializer()
                try serializer.serialize(certificate)
                return serializer.serializedBytes
            }
        }

        func record(_ usage: UInt8, _ selector: UInt8, _ matching: UInt8) throws -> TLSARecord {
            let peer = PeerCertificate(octets: try octets)
            let part = selector == 0 ? peer.octets : peer.subjectPublicKeyInfo
            let data =
                switch matching {
                case 0: part
                case 1: Array(SHA256.hash(data: part))
                default: Array(SHA512.hash(data: part))
                }
            return TLSARecord(usage: usage, selector: selector, matchingType: matching, data: data)
        }
    }

    /// What a certificate is made of.
    struct Wish {
        var commonName: String
        var names: [String] = []
        /// `nil`: no basic constraints; otherwise an authority with this path length.
        var isAuthority = false
        var pathLength: Int?
        var keyUsage: KeyUsage?
        var purposes: [ExtendedKeyUsage.Usage]?
        var constraints: NameConstraints?
        var unknownCritical = false
        var notBefore = TestAuthority.now - 864_000
        var notAfter = TestAuthority.now + 864_000
    }

    static func make(_ wish: Wish, issuer: Party?) throws -> Party {
        let key = P256.Signing.PrivateKey()
        let name = try DistinguishedName { CommonName(wish.commonName) }
        var extensions = Certificate.Extensions()
        if wish.isAuthority {
            try extensions.append(.init(BasicConstraints.isCertificateAuthority(maxPathLength: wish.pathLength), critical: true))
        }
        if let usage = wish.keyUsage { try extensions.append(.init(usage, critical: true)) }
        if let purposes = wish.purposes { try extensions.append(.init(ExtendedKeyUsage(purposes), critical: false)) }
        if let constraints = wish.constraints { try extensions.append(.init(constraints, critical: true)) }
        if !wish.names.isEmpty {
            try extensions.append(.init(SubjectAlternativeNames(wish.names.map { .dnsName($0) }), critical: false))
        }
        if wish.unknownCritical { try extensions.append(.init(oid: [1, 2, 3, 4], critical: true, value: [5, 0])) }
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: wish.notBefore, notValidAfter: wish.notAfter,
            issuer: issuer?.certificate.subject ?? name, subject: name, signatureAlgorithm: .ecdsaWithSHA256, extensions: extensions,
            issuerPrivateKey: .init(issuer?.key ?? key))
        return Party(certificate: certificate, key: key)
    }

    var root: Party
    var issuer: Party
    var server: Party

    init(
        server: Wish = Wish(commonName: "server", names: ["mx.kartapuce.test"]), issuer: Wish = Wish(commonName: "Issuer", isAuthority: true),
        root: Wish = Wish(commonName: "Root", isAuthority: true)
    ) throws {
        self.root = try Self.make(root, issuer: nil)
        self.issuer = try Self.make(issuer, issuer: self.root)
        self.server = try Self.make(server, issuer: self.issuer)
    }

    /// Server, issuer, root.
    var chain: [[UInt8]] { get throws { [try server.octets, try issuer.octets, try root.octets] } }

    var roots: PKIXRoots { get throws { PKIXRoots(certificates: [try root.octets]) } }
}

func name(_ text: String) throws -> DomainName { try DomainName(text) }
