/// Everything that a Postern process counts and measures. Each stands here once, with its name, its labels and what it means;
/// Documentation/metrics.md is compared with it.
///
/// The counters belong to the process: all its listeners and roles count together.
public enum Metrics {
    /// Connections by protocol.
    public enum Service: Int, MetricLabel {
        case smtp, imap, https
        public var labels: [(name: String, value: String)] { [("protocol", "\(self)")] }
    }

    /// Why a connection was turned away.
    public enum Refusal: Int, MetricLabel {
        case smtpBusy, smtpNetwork, imapBusy, imapNetwork, httpsBusy, httpsNetwork
        public var labels: [(name: String, value: String)] {
            switch self {
            case .smtpBusy: [("protocol", "smtp"), ("reason", "busy")]
            case .smtpNetwork: [("protocol", "smtp"), ("reason", "connections")]
            case .imapBusy: [("protocol", "imap"), ("reason", "busy")]
            case .imapNetwork: [("protocol", "imap"), ("reason", "connections")]
            case .httpsBusy: [("protocol", "https"), ("reason", "busy")]
            case .httpsNetwork: [("protocol", "https"), ("reason", "connections")]
            }
        }
    }

    /// What became of a transaction that a client began.
    public enum TransactionOutcome: Int, MetricLabel {
        case accepted, refused, deferred, abandoned
        public var labels: [(name: String, value: String)] { [("outcome", "\(self)")] }
    }

    /// What became of something that can fail.
    public enum Outcome: Int, MetricLabel {
        case succeeded, failed
        public var labels: [(name: String, value: String)] { [("outcome", "\(self)")] }
        /// From a condition.
        public init(_ succeeded: Bool) { self = succeeded ? .succeeded : .failed }
    }

    /// What became of an attempt to deliver to one recipient.
    public enum DeliveryOutcome: Int, MetricLabel {
        case delivered, deferred, failed
        public var labels: [(name: String, value: String)] { [("outcome", "\(self)")] }
    }

    /// What a session without TLS may mean.
    public enum Downgrade: Int, MetricLabel {
        case suspected
        public var labels: [(name: String, value: String)] { [("verdict", "\(self)")] }
    }

    /// What the DNS answered.
    public enum LookupResult: Int, MetricLabel {
        case records, noData, noSuchName, bogus, timeout, failure
        public var labels: [(name: String, value: String)] { [("result", "\(self)")] }
    }

    /// TLS handshakes.
    public enum Handshake: Int, MetricLabel {
        case serverTLS12, serverTLS13, serverFailed, clientTLS12, clientTLS13, clientFailed
        public var labels: [(name: String, value: String)] {
            switch self {
            case .serverTLS12: [("side", "server"), ("result", "TLSv1.2")]
            case .serverTLS13: [("side", "server"), ("result", "TLSv1.3")]
            case .serverFailed: [("side", "server"), ("result", "failed")]
            case .clientTLS12: [("side", "client"), ("result", "TLSv1.2")]
            case .clientTLS13: [("side", "client"), ("result", "TLSv1.3")]
            case .clientFailed: [("side", "client"), ("result", "failed")]
            }
        }

        /// One that was completed with a version, as ``TLSSummary`` names it.
        public static func completed(isServer: Bool, version: String) -> Handshake {
            let isLatest = version.hasSuffix("1.3")
            return isServer ? (isLatest ? .serverTLS13 : .serverTLS12) : (isLatest ? .clientTLS13 : .clientTLS12)
        }
    }

    /// The groups of key exchanges.
    public enum KeyExchange: Int, MetricLabel {
        case x25519MLKEM768, x25519, secp256r1, secp384r1, other
        public var labels: [(name: String, value: String)] {
            switch self {
            case .x25519MLKEM768: [("group", "X25519MLKEM768")]
            case .x25519: [("group", "x25519")]
            case .secp256r1: [("group", "secp256r1")]
            case .secp384r1: [("group", "secp384r1")]
            case .other: [("group", "other")]
            }
        }

        /// The one of a group, as ``TLSSummary`` names it.
        public static func of(_ group: String?) -> KeyExchange {
            switch group {
            case "X25519MLKEM768": .x25519MLKEM768
            case "x25519": .x25519
            case "secp256r1": .secp256r1
            case "secp384r1": .secp384r1
            default: .other
            }
        }
    }

    /// What became of a message that a report is to tell of.
    public enum ReportEntry: Int, MetricLabel {
        case counted, dropped
        public var labels: [(name: String, value: String)] { [("outcome", "\(self)")] }
    }

    /// What became of a report that was made.
    public enum ReportSent: Int, MetricLabel {
        case aggregateSent, aggregateDiscarded, failureSent, failureDiscarded, tlsSent, tlsDiscarded
        public var labels: [(name: String, value: String)] {
            switch self {
            case .aggregateSent: [("kind", "aggregate"), ("outcome", "sent")]
            case .aggregateDiscarded: [("kind", "aggregate"), ("outcome", "discarded")]
            case .failureSent: [("kind", "failure"), ("outcome", "sent")]
            case .failureDiscarded: [("kind", "failure"), ("outcome", "discarded")]
            case .tlsSent: [("kind", "tls"), ("outcome", "sent")]
            case .tlsDiscarded: [("kind", "tls"), ("outcome", "discarded")]
            }
        }
    }

    /// What came to an address for reports.
    public enum ReportReceived: Int, MetricLabel {
        case aggregate, feedback, tls, duplicate, refused, none
        public var labels: [(name: String, value: String)] { [("result", "\(self)")] }
    }

    /// What the daily check of our domains found, by its weight.
    public enum PostureFinding: Int, MetricLabel {
        case good, info, unknown, warning, error
        public var labels: [(name: String, value: String)] { [("severity", "\(self)")] }
    }

    /// How the DNS differs from the configuration.
    public enum DNSDrift: Int, MetricLabel {
        case missing, surplus
        public var labels: [(name: String, value: String)] { [("kind", "\(self)")] }
    }

    /// Whether signed answers of the DNS are told from wrong ones.
    public enum Validation: Int, MetricLabel {
        case works, broken
        public var labels: [(name: String, value: String)] { [("state", "\(self)")] }
    }

    public static let connections = Count<Service>("postern_connections_total", "Connections that were served.")
    public static let openConnections = Count<Service>("postern_connections_open", isGauge: true, "Connections that are open.")
    public static let refusedConnections = Count<Refusal>(
        "postern_connections_refused_total", "Connections turned away: the process is busy or stops, or there are too many connections.")
    public static let authentications = Count<Outcome>("postern_authentications_total", "Logins by SMTP and IMAP.")
    public static let transactions = Count<TransactionOutcome>(
        "postern_smtp_transactions_total", "Messages that clients sent, by what they were told; abandoned: the transaction ended before the message did.")
    public static let acceptance = Histogram(
        "postern_smtp_accept_seconds", "From the last octet of a message to the reply: checks, and the commit to disk.")
    public static let deliveries = Count<DeliveryOutcome>("postern_deliveries_total", "Attempts to deliver, one for each recipient.")
    public static let deliverySeconds = Histogram("postern_delivery_seconds", "How long an attempt took, DNS and connection included.")
    public static let lookups = Count<LookupResult>("postern_dns_lookups_total", "Questions to the DNS, cache included.")
    public static let downgrades = Count<Downgrade>(
        "postern_downgrades_total", "Sessions with hosts that always had TLS before and had none.")
    public static let lookupSeconds = Histogram("postern_dns_lookup_seconds", "How long an answer of the DNS took, cache included.")
    public static let handshakes = Count<Handshake>("postern_tls_handshakes_total", "TLS handshakes of SMTP and IMAP.")
    public static let keyExchanges = Count<KeyExchange>(
        "postern_tls_key_exchanges_total", "Completed TLS handshakes of SMTP and IMAP by the group of their key exchange.")

    /// Counts a TLS handshake that was completed.
    public static func countHandshake(isServer: Bool, version: String, group: String?) {
        handshakes.add(.completed(isServer: isServer, version: version))
        keyExchanges.add(.of(group))
    }
    public static let commits = Count<Outcome>("postern_store_commits_total", "Transactions of the stores.")
    public static let commitSeconds = Histogram("postern_store_commit_seconds", "How long a transaction took, with its sync to disk.")
    public static let commitJobs = Histogram(
        "postern_store_commit_jobs", bounds: Histogram.jobs, scale: 1, "How many changes went into one transaction.")
    public static let commands = Count<Outcome>("postern_imap_commands_total", "IMAP commands of logged-in users; failed: NO or BAD.")
    public static let commandSeconds = Histogram("postern_imap_command_seconds", "How long an IMAP command took, its answer written.")
    public static let reloads = Count<Outcome>("postern_reloads_total", "Reloads of the configuration.")

    public static let reportEntries = Count<ReportEntry>(
        "postern_report_messages_total", "Messages that came and that DMARC reports tell of; dropped: there were too many different ones.")
    public static let reportSessions = Count<ReportEntry>(
        "postern_report_sessions_total", "Sessions with other organisations' hosts that reports on TLS tell of; dropped: there were too many different ones.")
    public static let reportsSent = Count<ReportSent>(
        "postern_reports_sent_total", "Reports that were made; discarded: nobody may get them, or takes them.")
    public static let reportsReceived = Count<ReportReceived>(
        "postern_reports_received_total", "Messages to the addresses for reports, by what was in them; none: no report.")

    public static let postureFindings = Count<PostureFinding>(
        "postern_posture_findings", isGauge: true, "What the last daily check of our domains found.")
    public static let dnsDrift = Count<DNSDrift>(
        "postern_dns_drift_records", isGauge: true, "Records that the DNS lacks, or has beside, compared with the configuration at the last daily check.")

    public static let validation = Count<Validation>(
        "postern_dnssec_validation", isGauge: true, "1 at what the last proof of DNSSEC validation came to; there is one at the start and each hour.")

    public static let build = Reading("postern_build_info", "1; the label says which Postern this is.")
    public static let queueRecipients = Reading("postern_queue_recipients", "Recipients in the queue, by state.")
    public static let queueOldest = Reading("postern_queue_oldest_seconds", "Age of the oldest message that waits; 0 when none does.")
    public static let storageAlarm = Reading("postern_storage_alarm", "1 while nothing can be stored.")
    public static let storageFailures = Reading("postern_storage_failures_total", isCounter: true, "Changes that could not be stored.")
    public static let storageFree = Reading("postern_storage_free_bytes", "Space that is left on the data folder's file system.")
    public static let storageLog = Reading("postern_storage_log_bytes", "Size of the databases' write-ahead logs.")
    public static let memoryUsed = Reading("postern_memory_budget_used_bytes", "What sessions and messages hold of the memory budget.")
    public static let memoryLimit = Reading("postern_memory_budget_bytes", "limits.memoryBudget.")
    public static let certificateExpiry = Reading("postern_certificate_expiry_seconds", "When a certificate in use expires, as seconds since 1970.")
    public static let resident = Reading("process_resident_memory_bytes", "Resident memory of the process.")
    public static let descriptors = Reading("process_open_fds", "Open file descriptors.")
    public static let descriptorLimit = Reading("process_max_fds", "File descriptors that the process may have.")
    public static let cpu = Reading("process_cpu_seconds_total", isCounter: true, "CPU time of the process.")
    public static let start = Reading("process_start_time_seconds", "When the process began, as seconds since 1970.")

    /// What keeps its own values.
    public static let counted: [any Instrument] = [
        connections, openConnections, refusedConnections, authentications, transactions, acceptance, deliveries, deliverySeconds, downgrades, lookups,
        lookupSeconds, handshakes, keyExchanges, commits, commitSeconds, commitJobs, commands, commandSeconds, reloads, reportEntries, reportSessions,
        reportsSent, reportsReceived, postureFindings, dnsDrift, validation,
    ]
    /// What is asked for.
    public static let read: [Reading] = [
        build, queueRecipients, queueOldest, storageAlarm, storageFailures, storageFree, storageLog, memoryUsed, memoryLimit, certificateExpiry,
        resident, descriptors, descriptorLimit, cpu, start,
    ]
    /// All of them.
    public static var all: [any Instrument] { counted + read }
}
