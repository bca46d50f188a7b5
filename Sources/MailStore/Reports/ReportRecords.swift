import Crypto
public import FoundationEssentials
public import MailMessage

/// What a report is about. The numbers stand in the store and never change.
public enum ReportKind: Int, Sendable, Codable, CaseIterable {
    /// A day of mail under a domain's DMARC policy (RFC 9990).
    case aggregate = 1
    /// A single message: a complaint, or a failed authentication (RFC 5965, RFC 9991).
    case feedback = 2
    /// A day of TLS sessions (RFC 8460).
    case tls = 3
}

/// Days of UTC, counted from 1970-01-01: the period of a report.
public enum ReportDay {
    static let seconds = 86_400

    /// The day that a time belongs to.
    public static func containing(_ time: Date) -> Int { Int((time.timeIntervalSince1970 / Double(seconds)).rounded(.down)) }
    /// Its first and its last second, since 1970.
    public static func bounds(_ day: Int) -> (begin: Int, end: Int) { (day * seconds, (day + 1) * seconds - 1) }
}

/// Something that was seen and goes into the report of its day. Entries with everything in common but the count are one row.
public struct ReportEntry: Sendable, Hashable {
    public var kind: ReportKind
    /// The day, as ``ReportDay`` counts.
    public var day: Int
    /// Whom the report is for.
    public var domain: String
    /// Where the domain wants its reports, as it says it; the latest word of a day counts.
    public var destinations: String
    /// What one report has one of; other sections of a day are other reports. Opaque here.
    public var section: [UInt8]
    /// The row itself; opaque here.
    public var payload: [UInt8]
    public var count: Int

    public init(kind: ReportKind, day: Int, domain: String, destinations: String, section: [UInt8], payload: [UInt8], count: Int = 1) {
        self.kind = kind
        self.day = day
        self.domain = domain
        self.destinations = destinations
        self.section = section
        self.payload = payload
        self.count = count
    }

    var digest: [UInt8] {
        var hash = SHA256()
        hash.update(data: section)
        hash.update(data: [0])
        hash.update(data: payload)
        return Array(hash.finalize().prefix(16))
    }
}

/// A report on one message, to be sent at once.
public struct SingleReport: Sendable, Hashable {
    public var day: Int
    public var domain: String
    public var destinations: String
    /// Opaque here.
    public var payload: [UInt8]
    /// Unique among all reports.
    public var identity: String

    public init(day: Int, domain: String, destinations: String, payload: [UInt8], identity: String) {
        self.day = day
        self.domain = domain
        self.destinations = destinations
        self.payload = payload
        self.identity = identity
    }
}

/// How much is kept: senders of mail choose what makes rows different.
public struct ReportAccountLimits: Sendable, Hashable {
    /// Rows of one domain and day.
    public var rowsPerDomain = 10_000
    /// Rows of a day.
    public var rowsPerDay = 200_000
    /// Reports on single messages for one domain and day.
    public var singlesPerDomain = 10
    /// Reports on single messages of a day.
    public var singlesPerDay = 100
    public init() {}
}

/// What became of entries.
public struct ReportAccountOutcome: Sendable, Hashable {
    public var counted = 0
    /// Over the limits; the report says how many.
    public var dropped = 0
    public var singles = 0
    /// Reports on single messages that the limits kept from being made.
    public var suppressedSingles = 0
    public init() {}
}

/// A report that is to be sent, or was.
public struct OutgoingReport: Sendable, Hashable {
    public enum State: Int, Sendable, Codable {
        case pending = 0
        case sent = 1
        /// Nobody may get it, or it can't be made.
        case discarded = 2
    }
    /// Given by the store; 0 for one that was only looked at.
    public var id: Int64
    public var kind: ReportKind
    public var day: Int
    public var domain: String
    public var destinations: String
    public var section: [UInt8]
    /// Of a report on one message, or what is sent as it is. Opaque here.
    public var payload: [UInt8]
    /// The Report-ID; unique among all.
    public var identity: String
    /// Whether another report on the same day, domain and section was made before.
    public var isSupplement: Bool
    /// Messages that the limits kept out.
    public var dropped: Int
    public var attempts: Int

    /// A part of this report that goes another way.
    public func part(_ identity: String, to destination: String, payload: [UInt8]) -> OutgoingReport {
        var part = self
        part.id = 0
        part.identity = identity
        part.destinations = destination
        part.payload = payload
        part.attempts = 0
        return part
    }
}

/// A report that came, or a row of the list of them.
public struct StoredReport: Sendable, Hashable {
    public var id: Int64
    public var kind: ReportKind
    /// Who made it, as it says.
    public var organization: String
    /// Its own identity, by which it is recognised when it comes again.
    public var identity: String
    /// The domain that it is about.
    public var domain: String
    /// The author's domain of the mail that brought it.
    public var sender: String
    /// Whether DMARC passed for the mail that brought it.
    public var isProven: Bool
    /// The period, in seconds since 1970.
    public var begin: Int
    public var end: Int
    public var received: Date
    public var trace: TraceID
    /// The report; opaque here.
    public var payload: [UInt8]

    public init(
        id: Int64 = 0, kind: ReportKind, organization: String, identity: String, domain: String, sender: String, isProven: Bool, begin: Int, end: Int,
        received: Date, trace: TraceID, payload: [UInt8]
    ) {
        self.id = id
        self.kind = kind
        self.organization = organization
        self.identity = identity
        self.domain = domain
        self.sender = sender
        self.isProven = isProven
        self.begin = begin
        self.end = end
        self.received = received
        self.trace = trace
        self.payload = payload
    }
}

/// How many octets of received reports are kept.
public struct StoredReportLimits: Sendable, Hashable {
    public var octets = 1 << 30
    /// Of reports in mail that DMARC doesn't prove: strangers must not take the room of the others.
    public var unprovenOctets = 256 << 20
    public init() {}
}

/// What became of a report that came.
public enum StoredReportOutcome: String, Sendable {
    case stored
    /// It is there already.
    case duplicate
    /// There is no room.
    case full
}
