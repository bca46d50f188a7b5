internal import FoundationEssentials

/// Why a text holds no certificates.
public struct PEMError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The line, from 1.
    public var line: Int
    /// In words.
    public var reason: String

    public var description: String { "line \(line): \(reason) (RFC 7468 §5)" }
}

/// Certificates as PEM (RFC 7468 §5), the octets of each in the order of the text.
public enum PEMCertificates {
    /// The most octets of a text.
    public static let textLimit = 16 << 20

    /// Reads certificates. Text around them, and parts of other kinds, are passed over (RFC 7468 §2).
    /// - Throws: ``PEMError``.
    public static func parse(_ octets: [UInt8], limit: Int = 10_000) throws(PEMError) -> [[UInt8]] {
        guard octets.count <= textLimit else { throw PEMError(line: 1, reason: "the text has more than \(textLimit) octets") }
        var certificates: [[UInt8]] = []
        var body: [UInt8]?
        var number = 0
        for var line in octets.split(separator: 0x0A, omittingEmptySubsequences: false) {
            number += 1
            while let last = line.last, last == 0x0D || last == 0x20 || last == 0x09 { line.removeLast() }
            if line.elementsEqual(begin) || line.elementsEqual(oldBegin) {
                guard body == nil else { throw PEMError(line: number, reason: "a certificate begins within another") }
                guard certificates.count < limit else { throw PEMError(line: number, reason: "there are more than \(limit) certificates") }
                body = []
            } else if line.elementsEqual(end) || line.elementsEqual(oldEnd) {
                guard let text = body, let der = Data(base64Encoded: Data(text)), !der.isEmpty else {
                    throw PEMError(line: number, reason: "the certificate that ends here isn't written in Base64")
                }
                certificates.append(Array(der))
                body = nil
            } else if body != nil {
                body?.append(contentsOf: line.drop { $0 == 0x20 || $0 == 0x09 })
            }
        }
        guard body == nil else { throw PEMError(line: number, reason: "a certificate has no end") }
        return certificates
    }

    private static let begin = Array("-----BEGIN CERTIFICATE-----".utf8)
    private static let end = Array("-----END CERTIFICATE-----".utf8)
    private static let oldBegin = Array("-----BEGIN X509 CERTIFICATE-----".utf8)
    private static let oldEnd = Array("-----END X509 CERTIFICATE-----".utf8)
}
