/// How the local-part of an address becomes a selector (draft-brand-indicators-for-message-identification-12 §4.5).
public enum BIMILocalPart {
    /// The local-part in its normal form; `nil` where it can't be a selector.
    ///
    /// What follows a plus sign goes; underscores, periods and hyphens that stand together become one hyphen; none stays at an end.
    public static func selector(_ localPart: String) -> String? {
        var result: [UInt8] = []
        for octet in localPart.utf8 {
            if octet == UInt8(ascii: "+") { break }
            if octet == UInt8(ascii: "_") || octet == UInt8(ascii: ".") || octet == UInt8(ascii: "-") {
                if let last = result.last, last != UInt8(ascii: "-") { result.append(UInt8(ascii: "-")) }
            } else {
                guard isSelectorOctet(octet), result.count < 64 else { return nil }
                result.append(octet)
            }
        }
        if result.last == UInt8(ascii: "-") { result.removeLast() }
        guard (1...63).contains(result.count) else { return nil }
        // The selector's case doesn't count.
        return String(decoding: result, as: UTF8.self).lowercased()
    }

    /// Whether a selector made of a local-part begins with one of a record's prefixes; it always does where there is none.
    static func matches(_ selector: String, _ prefixes: [String]) -> Bool {
        prefixes.isEmpty || prefixes.contains { selector.hasPrefix($0) }
    }

    /// A letter, a digit or a hyphen.
    static func isSelectorOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
        default: false
        }
    }
}
