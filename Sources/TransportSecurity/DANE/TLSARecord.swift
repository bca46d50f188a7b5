internal import Crypto
public import DNS
internal import SwiftASN1
internal import X509

/// A TLSA record (RFC 6698 §2.1): what a server's chain of certificates must match.
public struct TLSARecord: Hashable, Sendable {
    /// What the data stands for (RFC 7218 §2.1), by number: others than ``Usage`` may be published.
    public var usage: UInt8
    /// Which part of a certificate is compared (RFC 7218 §2.2).
    public var selector: UInt8
    /// How it is compared (RFC 7218 §2.3).
    public var matchingType: UInt8
    /// A certificate, a key, or the digest of one.
    public var data: [UInt8]

    /// The most octets of data: a record's size is a number of 16 bits, and three octets stand before the data.
    public static let dataLimit = 65_535 - 3

    /// The usages by their names (RFC 7218 §2.1).
    public enum Usage: UInt8, Hashable, Sendable, CaseIterable {
        case pkixTrustAnchor = 0
        case pkixEndEntity = 1
        case daneTrustAnchor = 2
        case daneEndEntity = 3
    }

    /// Makes a record.
    public init(usage: UInt8, selector: UInt8, matchingType: UInt8, data: [UInt8]) {
        self.usage = usage
        self.selector = selector
        self.matchingType = matchingType
        self.data = data
    }

    /// Takes a record of an answer; `nil` for one of another type.
    public init?(_ data: DNSRecordData) {
        guard case .tlsa(let usage, let selector, let matching, let octets) = data else { return nil }
        self.init(usage: usage, selector: selector, matchingType: matching, data: octets)
    }

    /// Reads the form on the wire (RFC 6698 §2.1); `nil` for fewer than three octets, or more than a record has.
    public init?(wire octets: [UInt8]) {
        guard octets.count >= 3, octets.count <= Self.dataLimit + 3 else { return nil }
        self.init(usage: octets[0], selector: octets[1], matchingType: octets[2], data: Array(octets[3...]))
    }

    /// The form on the wire (RFC 6698 §2.1).
    public var wire: [UInt8] { [usage, selector, matchingType] + data }

    /// Why a record can't be used for SMTP.
    public enum Unusable: Hashable, Sendable, CustomStringConvertible {
        /// PKIX-TA(0) and PKIX-EE(1): which authorities a client trusts, a domain can't know (RFC 7672 §3.1.3).
        case pkixUsage
        /// A usage that isn't known (RFC 6698 §4.1).
        case unknownUsage
        /// A selector that isn't known (RFC 6698 §4.1).
        case unknownSelector
        /// A matching type that isn't known (RFC 6698 §4.1).
        case unknownMatchingType
        /// A digest of another length than its kind has (RFC 7671 §9).
        case digestLength(found: Int, expected: Int)
        /// Data that is no certificate (RFC 6698 §4.1).
        case notACertificate
        /// Data that is no public key (RFC 6698 §4.1).
        case notAKey
        /// There were more records than are looked at.
        case tooMany(limit: Int)

        public var description: String {
            switch self {
            case .pkixUsage: "usages PKIX-TA(0) and PKIX-EE(1) aren't for SMTP (RFC 7672 §3.1.3)"
            case .unknownUsage: "the usage isn't known (RFC 6698 §4.1)"
            case .unknownSelector: "the selector isn't known (RFC 6698 §4.1)"
            case .unknownMatchingType: "the matching type isn't known (RFC 6698 §4.1)"
            case .digestLength(let found, let expected): "the digest has \(found) octets instead of \(expected) (RFC 7671 §9)"
            case .notACertificate: "the data is no certificate (RFC 6698 §4.1)"
            case .notAKey: "the data is no public key (RFC 6698 §4.1)"
            case .tooMany(let limit): "there are more than \(limit) records"
            }
        }
    }

    /// Why the record can't be used for SMTP; `nil` where it can.
    public var unusable: Unusable? {
        switch usage {
        case 2, 3: break
        case 0, 1: return .pkixUsage
        default: return .unknownUsage
        }
        guard selector <= 1 else { return .unknownSelector }
        switch matchingType {
        case 0: return fullDataProblem
        case 1: return data.count == 32 ? nil : .digestLength(found: data.count, expected: 32)
        case 2: return data.count == 64 ? nil : .digestLength(found: data.count, expected: 64)
        default: return .unknownMatchingType
        }
    }

    /// An anchor must be one that signatures can be checked with; a server's own certificate is compared, and nothing else.
    private var fullDataProblem: Unusable? {
        if selector == 0 {
            let isCertificate = DEROctets.subjectPublicKeyInfo(inCertificate: data) != nil
            return isCertificate && (usage == 3 || (try? Certificate(derEncoded: data)) != nil) ? nil : .notACertificate
        }
        let isKey = DEROctets.isSubjectPublicKeyInfo(data[...])
        return isKey && (usage == 3 || (try? Certificate.PublicKey(derEncoded: data)) != nil) ? nil : .notAKey
    }

    /// Whether the data is that of a certificate, or of its key (RFC 6698 §2.1); the usage isn't looked at.
    func matches(_ certificate: PeerCertificate) -> Bool {
        let part = selector == 0 ? certificate.octets : certificate.subjectPublicKeyInfo
        guard !part.isEmpty else { return false }
        return switch matchingType {
        case 0: part == data
        case 1: SHA256.hash(data: part).elementsEqual(data)
        case 2: SHA512.hash(data: part).elementsEqual(data)
        default: false
        }
    }
}

extension TLSARecord: CustomStringConvertible {
    /// The presentation form (RFC 6698 §2.2) without spaces in the data, as reports on TLS want it (RFC 8460 §4.5).
    public var description: String { "\(usage) \(selector) \(matchingType) \(Hexadecimal.text(data))" }
}
