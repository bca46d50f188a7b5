import CLibIDN2

/// A domain name in its ASCII form, in lower case, without the final dot (RFC 1035 §2.3.1, RFC 5890 §2.3.2.1).
///
/// Labels may begin with an underscore, as service names do (RFC 8552).
public struct DomainName: Hashable, Sendable {
    /// The name as A-labels, for example `xn--caf-dma.test`; the root is the empty string.
    public let ascii: String

    /// Takes a name that is known to be valid and in lower case.
    init(unchecked ascii: String) { self.ascii = ascii }

    /// The root of the DNS.
    public static let root = DomainName(unchecked: "")

    /// The octets of the longest text that is looked at: 253 octets of A-labels are never that long as U-labels.
    private static let textLimit = 1024

    /// Reads a name of A-labels or U-labels; a final dot is dropped.
    ///
    /// U-labels are mapped and checked. A-labels are taken as they stand: the DNS has names that no U-label leads to.
    /// - Throws: ``DomainNameError`` for what can't be a name (RFC 1035 §2.3.4, RFC 5891 §4).
    public init(_ text: some StringProtocol) throws(DomainNameError) { try self.init(String(text)) }

    /// As ``init(_:)-(StringProtocol)``.
    public init(_ text: String) throws(DomainNameError) {
        // Most names come in their final form.
        if Self.isFinal(text.utf8Span.span) {
            ascii = text
            return
        }
        guard text.utf8.count <= Self.textLimit else {
            throw DomainNameError(.tooLong, String(decoding: text.utf8.prefix(64), as: UTF8.self) + "…")
        }
        var name = text
        // A NUL would end the text early for the C library.
        guard !name.utf8.contains(0) else { throw DomainNameError(.invalidCharacter, name) }
        if !name.utf8.allSatisfy({ $0 < 0x80 }) { name = try Self.convert(name) }
        if name.hasSuffix(".") { name.removeLast() }
        guard !name.isEmpty else { throw DomainNameError(.empty, text) }
        let ascii = name.lowercased()
        guard ascii.utf8.count <= 253 else { throw DomainNameError(.tooLong, ascii) }
        for label in ascii.split(separator: ".", omittingEmptySubsequences: false) {
            guard !label.isEmpty else { throw DomainNameError(.emptyLabel, ascii) }
            guard label.utf8.count <= 63 else { throw DomainNameError(.labelTooLong, ascii) }
            guard label.utf8.allSatisfy(Self.isLabelOctet), !label.hasPrefix("-"), !label.hasSuffix("-") else {
                throw DomainNameError(.invalidCharacter, ascii)
            }
        }
        self.ascii = ascii
    }

    /// The octets of a name that is in its final form already; `nil` for all others.
    package init?(final octets: Span<UInt8>) {
        guard Self.isFinal(octets), let text = try? UTF8Span(validating: octets) else { return nil }
        ascii = String(copying: text)
    }

    /// A name that is only asked for: the DNS carries any octet in a label (RFC 2181 §11), and names made of other people's words have them.
    ///
    /// ASCII without controls is taken but for the backslash, which would begin an escape.
    /// - Throws: ``DomainNameError`` for empty and overlong labels and names, and other octets.
    public static func question(_ text: String) throws(DomainNameError) -> DomainName {
        if let name = try? DomainName(text) { return name }
        var name = text
        if name.hasSuffix(".") { name.removeLast() }
        guard !name.isEmpty else { throw DomainNameError(.empty, text) }
        guard name.utf8.count <= 253 else { throw DomainNameError(.tooLong, String(decoding: text.utf8.prefix(64), as: UTF8.self) + "…") }
        let ascii = name.lowercased()
        for label in ascii.split(separator: ".", omittingEmptySubsequences: false) {
            guard !label.isEmpty else { throw DomainNameError(.emptyLabel, ascii) }
            guard label.utf8.count <= 63 else { throw DomainNameError(.labelTooLong, ascii) }
            guard label.utf8.allSatisfy({ (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "\\") }) else {
                throw DomainNameError(.invalidCharacter, ascii)
            }
        }
        return DomainName(unchecked: ascii)
    }

    /// Whether octets are a valid name in lower case, without a final dot.
    private static func isFinal(_ octets: Span<UInt8>) -> Bool {
        guard octets.count <= 253 else { return false }
        var label = 0
        var last = UInt8(ascii: ".")
        for index in octets.indices {
            let octet = octets[index]
            if octet == UInt8(ascii: ".") {
                guard label > 0, last != UInt8(ascii: "-") else { return false }
                label = 0
            } else {
                guard isLabelOctet(octet), label < 63, label > 0 || octet != UInt8(ascii: "-") else { return false }
                label += 1
            }
            last = octet
        }
        return label > 0 && last != UInt8(ascii: "-")
    }

    private static func isLabelOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }

    /// IDNA2008 with the non-transitional mapping of UTS #46.
    private static func convert(_ name: String) throws(DomainNameError) -> String {
        var output: UnsafeMutablePointer<CChar>?
        // The library writes a string that it has allocated, or nothing; it is freed below either way.
        let result = unsafe idn2_to_ascii_8z(name, &output, Int32(IDN2_NONTRANSITIONAL.rawValue))
        defer { unsafe idn2_free(output) }
        guard result == IDN2_OK.rawValue, let pointer = unsafe output else { throw DomainNameError(.invalidIDN, name) }
        return unsafe String(cString: pointer)
    }

    /// The name with U-labels, for people. A name that these don't lead back to stays as it is: its A-labels decode to control
    /// characters, or to what looks like another name.
    public var unicode: String {
        var output: UnsafeMutablePointer<CChar>?
        // As above: the library allocates, we free.
        let result = unsafe idn2_to_unicode_8z8z(ascii, &output, 0)
        defer { unsafe idn2_free(output) }
        guard result == IDN2_OK.rawValue, let pointer = unsafe output else { return ascii }
        let text = unsafe String(cString: pointer)
        return (try? DomainName(text)) == self ? text : ascii
    }

    /// The labels, leftmost first.
    public var labels: [Substring] { ascii.utf8.split(separator: UInt8(ascii: ".")).map(Substring.init) }

    /// The name without its leftmost label; `nil` for the root.
    public var parent: DomainName? {
        guard !ascii.isEmpty else { return nil }
        guard let dot = ascii.utf8.firstIndex(of: UInt8(ascii: ".")) else { return .root }
        return DomainName(unchecked: String(ascii[ascii.utf8.index(after: dot)...]))
    }

    /// Whether the name lies below `other`.
    public func isSubdomain(of other: DomainName) -> Bool {
        let (name, end) = (ascii.utf8Span.span, other.ascii.utf8Span.span)
        if end.isEmpty { return !name.isEmpty }
        guard name.count > end.count, name[name.count - end.count - 1] == UInt8(ascii: ".") else { return false }
        let tail = name.extracting(last: end.count)
        for index in end.indices where tail[index] != end[index] { return false }
        return true
    }

    /// Whether the name is `other` or lies below it.
    public func isEqualOrSubdomain(of other: DomainName) -> Bool { self == other || isSubdomain(of: other) }

    /// This name, a label and another name behind each other, such as a selector, `_domainkey` and a domain.
    /// - Parameter label: in lower case.
    /// - Returns: `nil` where that is too long for a name (RFC 1035 §2.3.4), or one of the names is the root.
    public func joined(by label: StaticString, to other: DomainName) -> DomainName? {
        let count = ascii.utf8.count + other.ascii.utf8.count + label.utf8CodeUnitCount + 2
        guard count <= 253, !ascii.isEmpty, !other.ascii.isEmpty else { return nil }
        // Safe: the texts are as long as was counted.
        let name = unsafe String(unsafeUninitializedCapacity: count) { room in
            var filled = 0
            for octet in ascii.utf8 {
                unsafe room[filled] = octet
                filled += 1
            }
            unsafe room[filled] = UInt8(ascii: ".")
            filled += 1
            for index in 0..<label.utf8CodeUnitCount { unsafe room[filled + index] = label.utf8Start[index] }
            filled += label.utf8CodeUnitCount
            unsafe room[filled] = UInt8(ascii: ".")
            filled += 1
            for octet in other.ascii.utf8 {
                unsafe room[filled] = octet
                filled += 1
            }
            return filled
        }
        return DomainName(unchecked: name)
    }

    /// The name with a label in front, such as `_dmarc`.
    /// - Throws: ``DomainNameError`` when the result is no name.
    public func prefixed(with label: String) throws(DomainNameError) -> DomainName {
        try DomainName(ascii.isEmpty ? label : "\(label).\(ascii)")
    }
}

extension DomainName: CustomStringConvertible, Comparable, Codable {
    public var description: String { ascii }

    public static func < (left: DomainName, right: DomainName) -> Bool { left.ascii < right.ascii }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        do {
            self = text.isEmpty ? .root : try DomainName(text)
        } catch {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\(error)")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(ascii)
    }
}

/// Why a text is no domain name.
public struct DomainNameError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The rules that can be broken.
    public enum Code: String, Hashable, Sendable {
        case empty, emptyLabel, tooLong, labelTooLong, invalidCharacter, invalidIDN
    }

    /// Which rule is broken.
    public let code: Code
    /// The text.
    public let text: String

    init(_ code: Code, _ text: String) {
        self.code = code
        self.text = text
    }

    public var description: String {
        switch code {
        case .empty: "a domain name can't be empty (RFC 1035 §2.3.1)"
        case .emptyLabel: "“\(text)” has an empty label (RFC 1035 §2.3.1)"
        case .tooLong: "“\(text)” is longer than 253 octets (RFC 1035 §2.3.4)"
        case .labelTooLong: "“\(text)” has a label of more than 63 octets (RFC 1035 §2.3.4)"
        case .invalidCharacter: "“\(text)” has a character that can't stand there (RFC 1035 §2.3.1)"
        case .invalidIDN: "“\(text)” is no internationalised domain name (RFC 5891 §4)"
        }
    }
}
