public import FoundationEssentials

/// When a certificate is renewed: a third of its lifetime before its end, or when its authority says (RFC 9773).
public struct RenewalPlan: Hashable, Sendable, Codable {
    /// When it began to hold.
    public var notBefore: Date
    /// When it ends.
    public var notAfter: Date
    /// What the authority says, where it says something.
    public var information: RenewalInformation?
    /// A number from 0 up to, but without, 1, which stays the same for this certificate: it spreads the renewals of many hosts.
    public var jitter: Double

    /// How much of the lifetime is left at the renewal.
    public static let remainingShare = 1.0 / 3
    /// Over how much of the lifetime renewals are spread, towards the earlier.
    public static let spreadShare = 1.0 / 30

    /// Puts a plan together.
    public init(notBefore: Date, notAfter: Date, information: RenewalInformation? = nil, jitter: Double) {
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.information = information
        self.jitter = jitter.isFinite ? min(max(jitter, 0), 0.999_999) : 0
    }

    /// The time from which on it is renewed.
    ///
    /// RFC 9773 §4.2: a time chosen evenly from the window; one that has passed means now. A window that begins only where a tenth of
    /// the lifetime is left isn't waited for: there would be no time left for a failure.
    public var renewal: Date {
        let lifetime = max(notAfter.timeIntervalSince(notBefore), 0)
        if let information {
            let chosen = information.start.addingTimeInterval(information.end.timeIntervalSince(information.start) * jitter)
            return min(chosen, notAfter.addingTimeInterval(-lifetime / 10))
        }
        return notAfter.addingTimeInterval(-lifetime * (Self.remainingShare + Self.spreadShare * jitter))
    }

    /// Whether it is time.
    public func isDue(at time: Date) -> Bool { time >= renewal }

    /// How long to wait after failures, one after the other: an hour, doubled up to a day, and never past a quarter of what is left.
    public func retryDelay(failures: Int, at time: Date) -> TimeInterval {
        let doubled = 3600 * Double(1 << min(max(failures - 1, 0), 5))
        let left = max(notAfter.timeIntervalSince(time), 0)
        return max(min(doubled, 86_400, left / 4), 600)
    }
}
