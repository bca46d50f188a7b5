internal import FoundationEssentials

/// The fields that a receiver writes for mail programs, and removes wherever others wrote them
/// (draft-brand-indicators-for-message-identification-12 §5.6, §7.8).
public enum BIMIFields {
    /// The names of the fields that never come in from outside.
    public static let ownNames = ["BIMI-Location", "BIMI-Indicator", "BIMI-Logo-Preference"]

    /// The field BIMI-Indicator with its line end, folded at 76 columns (RFC 5322 §2.1.1).
    static func indicator(_ svg: [UInt8]) -> String {
        let text = Array(Data(svg).base64EncodedString().utf8)
        var result = Array("BIMI-Indicator:".utf8)
        result.reserveCapacity(text.count + text.count / 20 + 32)
        var index = 0
        while index < text.count {
            let end = min(index + 72, text.count)
            result += [0x0D, 0x0A, 0x20]
            result += text[index..<end]
            index = end
        }
        result += [0x0D, 0x0A]
        return String(decoding: result, as: UTF8.self)
    }

    /// A tag whose URI is too long for a line is folded inside (RFC 6376 §3.2 has folds in values; readers take them out of URIs).
    static func folded(_ tag: String) -> String {
        let octets = Array(tag.utf8)
        guard octets.count > 900 else { return tag }
        return stride(from: 0, to: octets.count, by: 900).map { String(decoding: octets[$0..<min($0 + 900, octets.count)], as: UTF8.self) }
            .joined(separator: "\r\n ")
    }
}
