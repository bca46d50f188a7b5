import Crypto
import FoundationEssentials
import SwiftASN1
public import X509

/// What the authority issued: the certificate, and those that lead to one that clients know.
public struct CertificateChain: Sendable, Hashable {
    /// The certificates, that of the names first.
    public let certificates: [Certificate]
    /// Where other chains of the same certificate can be had (RFC 8555 §7.4.2).
    public let alternates: [String]

    /// Reads a chain in PEM (RFC 8555 §9.1): certificates and nothing else, each the issuer of the one before.
    public init(pem: String, alternates: [String] = [], limits: ACMELimits = ACMELimits()) throws(ACMEError) {
        let documents: [PEMDocument]
        do {
            documents = try PEMDocument.parseMultiple(pemString: pem)
        } catch {
            throw ACMEError(.wrongCertificate, "the certificate's text is no PEM: \(error) (RFC 8555 §9.1)")
        }
        guard (1...limits.chainLimit).contains(documents.count) else {
            throw ACMEError(.wrongCertificate, "a chain of \(documents.count) certificates; 1 to \(limits.chainLimit) are taken")
        }
        var certificates: [Certificate] = []
        for document in documents {
            do {
                certificates.append(try Certificate(pemDocument: document))
            } catch {
                throw ACMEError(.wrongCertificate, "a part of the chain is no certificate: \(error) (RFC 8555 §9.1)")
            }
        }
        for (certificate, issuer) in zip(certificates, certificates.dropFirst()) {
            guard certificate.issuer == issuer.subject, issuer.publicKey.isValidSignature(certificate.signature, for: certificate) else {
                throw ACMEError(.wrongCertificate, "the chain is broken: “\(issuer.subject)” didn't sign “\(certificate.subject)” (RFC 8555 §9.1)")
            }
        }
        self.certificates = certificates
        self.alternates = alternates
    }

    /// The certificate of the names.
    public var leaf: Certificate { certificates[0] }

    /// The chain in PEM, as this library writes it: nothing of a stranger's text gets into the file.
    public var pem: String {
        get throws(ACMEError) {
            do {
                return try certificates.map { try $0.serializeAsPEM().pemString + "\n" }.joined()
            } catch {
                throw ACMEError(.wrongCertificate, "the certificate can't be written: \(error)")
            }
        }
    }

    /// The names in the certificate, as they stand there.
    public var names: Set<String> {
        let names = (try? leaf.extensions.subjectAlternativeNames) ?? nil
        return Set((names ?? SubjectAlternativeNames()).compactMap { if case .dnsName(let name) = $0 { name.lowercased() } else { nil } })
    }

    /// Whether it is what was ordered.
    func check(_ wanted: [CertificateName], key: Certificate.PrivateKey, at time: Date) throws(ACMEError) {
        guard leaf.publicKey == key.publicKey else {
            throw ACMEError(.wrongCertificate, "the certificate has another key than the one it was ordered for")
        }
        let expected = Set(wanted.map(\.description))
        guard names == expected else {
            throw ACMEError(
                .wrongCertificate,
                "the certificate is for \(names.sorted().joined(separator: ", ")), and not for \(expected.sorted().joined(separator: ", "))")
        }
        guard leaf.notValidAfter > time, leaf.notValidAfter > leaf.notValidBefore else {
            throw ACMEError(.wrongCertificate, "the certificate ended already, at \(leaf.notValidAfter); is this host's clock right?")
        }
    }

    /// The octets of the certificate of the names.
    var leafOctets: [UInt8] {
        get throws(ACMEError) {
            do {
                var serializer = DER.Serializer()
                try serializer.serialize(leaf)
                return serializer.serializedBytes
            } catch {
                throw ACMEError(.wrongCertificate, "the certificate can't be written: \(error)")
            }
        }
    }
}

/// What TLSA records say of a key (RFC 6698 §2.1): usage 3, selector 1, matching type 1. It stays the same as long as the key does.
public enum KeyDigest {
    /// SHA-256 of the public key as certificates have it.
    public static func octets(_ key: Certificate.PublicKey) throws(ACMEError) -> [UInt8] {
        do {
            var serializer = DER.Serializer()
            try serializer.serialize(key)
            return Array(SHA256.hash(data: serializer.serializedBytes))
        } catch {
            throw ACMEError(.invalidInput, "the key can't be written: \(error)")
        }
    }
}
