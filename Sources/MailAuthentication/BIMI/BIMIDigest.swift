internal import Crypto

/// SHA-256 as text.
enum BIMIDigest {
    /// The digest of octets in hexadecimal digits.
    static func sha256(_ octets: [UInt8]) -> String { hexadecimal(SHA256.hash(data: octets)) }

    static func hexadecimal(_ octets: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: octets.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
