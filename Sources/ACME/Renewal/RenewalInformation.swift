public import FoundationEssentials
import SwiftASN1
public import X509

/// When the authority wants a certificate to be renewed (RFC 9773 §4.2).
public struct RenewalInformation: Hashable, Sendable, Codable {
    /// The window's begin.
    public var start: Date
    /// The window's end.
    public var end: Date
    /// A page that says why, where there is a reason to hurry.
    public var explanation: String?
    /// After how many seconds to ask again (RFC 9773 §4.3.2).
    public var retryAfterSeconds: Int

    /// Puts a window together.
    public init(start: Date, end: Date, explanation: String? = nil, retryAfterSeconds: Int = 21_600) {
        self.start = start
        self.end = end
        self.explanation = explanation
        self.retryAfterSeconds = retryAfterSeconds
    }

    init(_ value: JSONValue, retryAfterSeconds: Int?, limits: ACMELimits) throws(ACMEError) {
        let members = try ACMEMembers(value, "the renewal information", limits: limits)
        let window = members.members["suggestedWindow"]?.object ?? [:]
        guard let start = window["start"]?.string.flatMap(HTTPDate.timestamp), let end = window["end"]?.string.flatMap(HTTPDate.timestamp), start < end
        else { throw ACMEError(.protocolViolation, "the renewal information has no window from a time to a later one (RFC 9773 §4.2)") }
        self.start = start
        self.end = end
        explanation = try members.optionalURL("explanationURL")
        // RFC 9773 §4.3.2: no longer than a day, no shorter than a minute, six hours where nothing is said.
        self.retryAfterSeconds = min(max(retryAfterSeconds ?? 21_600, 60), 86_400)
    }

    /// A certificate's identifier: the key identifier of its authority and its serial number (RFC 9773 §4.1); `nil` without the first.
    public static func identifier(of certificate: Certificate) -> String? {
        guard let authority = try? certificate.extensions.authorityKeyIdentifier?.keyIdentifier else { return nil }
        var serial = Array(certificate.serialNumber.bytes)
        // As DER writes it: no needless zeros, and one before a first bit that would be a sign.
        while serial.count > 1, serial[0] == 0 { serial.removeFirst() }
        if let first = serial.first, first & 0x80 != 0 { serial.insert(0, at: 0) }
        return Base64URL.encode(authority) + "." + Base64URL.encode(serial)
    }
}
