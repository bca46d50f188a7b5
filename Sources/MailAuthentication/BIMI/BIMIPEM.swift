internal import FoundationEssentials

/// Certificates as PEM (RFC 7468 §5): what an Assertion Record's `a=` leads to (draft-fetch-validation-vmc-wchuang-11 §3.3).
enum BIMIPEM {
    enum Failure: Error, Hashable, Sendable {
        /// More than the given number.
        case tooMany
        /// A part without its end, with another end, or with something else than Base64 inside.
        case malformed(line: Int)
        /// Something else than a certificate, such as a private key.
        case otherLabel(String)
    }

    /// The DER octets of the certificates in their order. Text around them is allowed and ignored (RFC 7468 §5.2).
    static func certificates(_ octets: [UInt8], limit: Int) throws(Failure) -> [[UInt8]] {
        var result: [[UInt8]] = []
        var body: [UInt8]?
        var lineNumber = 0
        for line in octets.split(omittingEmptySubsequences: false, whereSeparator: { $0 == 0x0A }) {
            lineNumber += 1
            var line = line
            while let last = line.last, last == 0x0D || last == 0x20 || last == 0x09 { line.removeLast() }
            if line.starts(with: begin) {
                guard body == nil, line.suffix(5).elementsEqual(dashes), line.count >= begin.count + 5 else { throw .malformed(line: lineNumber) }
                let label = line.dropFirst(begin.count).dropLast(5)
                guard label.elementsEqual(Self.label) else { throw .otherLabel(String(decoding: label.prefix(32), as: UTF8.self)) }
                guard result.count < limit else { throw .tooMany }
                body = []
            } else if line.starts(with: end) {
                guard let text = body, line.elementsEqual(end + Self.label + dashes), let der = Data(base64Encoded: Data(text)), !der.isEmpty else {
                    throw .malformed(line: lineNumber)
                }
                result.append(Array(der))
                body = nil
            } else if body != nil {
                body?.append(contentsOf: line)
            }
        }
        guard body == nil else { throw .malformed(line: lineNumber) }
        return result
    }

    private static let begin = Array("-----BEGIN ".utf8)
    private static let end = Array("-----END ".utf8)
    private static let label = Array("CERTIFICATE".utf8)
    private static let dashes = Array("-----".utf8)
}
