public import FoundationEssentials
public import MailMessage
public import SMTP

/// One thing that was done for a message, on one host.
public struct JourneyEvent: Sendable, Hashable, Codable {
    public var trace: TraceID
    public var time: Date
    /// The host's name, such as `mail.kartapuce.test`.
    public var host: String
    /// The role in which it was done: `mx`, `relay`, `submission`, `store`, `internal`.
    public var role: String
    /// How long it took, in seconds.
    public var seconds: Double?
    public var operation: Operation

    public init(trace: TraceID, time: Date, host: String, role: String, seconds: Double? = nil, operation: Operation) {
        self.trace = trace
        self.time = time
        self.host = host
        self.role = role
        self.seconds = seconds
        self.operation = operation
    }

    /// What was done. Each case is one typed piece of evidence; a case is only ever added, its fields only ever extended by optionals.
    /// Behind a reference: events are handed on and collected many times before they are written.
    public indirect enum Operation: Sendable, Hashable, Codable {
        /// A client connected to one of our listeners.
        case connected(Connected)
        /// A TLS session was established, with a client or with a peer.
        case secured(Secured)
        /// The protection of the way to another organisation's host was judged by the policies that apply.
        case protected(Protected)
        /// AUTH ended.
        case authenticated(Authenticated)
        /// A command of the transaction and the reply to it; `peer` is the other side, `outbound` says who spoke the command.
        case exchanged(Exchanged)
        /// A DNS question and its answer.
        case resolved(Resolved)
        /// What the message's header says of itself.
        case described(Described)
        /// A check gave evidence.
        case checked(Checked)
        /// What DMARC came to, where the author's domain asks for reports.
        case judged(Judged)
        /// What the policy decided for a recipient, or for all.
        case decided(Decided)
        /// The message is on durable storage.
        case committed(Committed)
        /// A recipient was expanded or rewritten, or routed.
        case routed(Routed)
        /// A delivery attempt to a target ended; the exchanges stand before it.
        case attempted(Attempted)
        /// The message is in a mailbox.
        case delivered(Delivered)
        /// A notification (DSN) was made.
        case notified(Notified)
        /// An operator or a rule held, released, retried or deleted it.
        case queued(Queued)
        /// The client left before the message was complete, or lost the connection.
        case abandoned(Abandoned)
    }

    public struct Connected: Sendable, Hashable, Codable {
        public var listener: String
        public var client: String
        public var clientPort: Int
        public var server: String
        public var serverPort: Int
        /// The proxy that handed the connection on, and whose word the addresses are.
        public var proxy: String?
        public init(listener: String, client: String, clientPort: Int, server: String, serverPort: Int, proxy: String? = nil) {
            self.listener = listener
            self.client = client
            self.clientPort = clientPort
            self.server = server
            self.serverPort = serverPort
            self.proxy = proxy
        }
    }
    public struct Secured: Sendable, Hashable, Codable {
        public var peer: String
        public var version: String
        public var cipher: String
        /// The group of the key exchange: `X25519MLKEM768`.
        public var group: String?
        /// `none`, `unverified`, `verified`.
        public var verification: String
        public var peerSubject: String?
        public var peerRoles: [String]
        public init(
            peer: String, version: String, cipher: String, group: String? = nil, verification: String, peerSubject: String?, peerRoles: [String]
        ) {
            self.peer = peer
            self.version = version
            self.cipher = cipher
            self.group = group
            self.verification = verification
            self.peerSubject = peerSubject
            self.peerRoles = peerRoles
        }
    }
    /// The receipt of how well one hop to another organisation's host was protected.
    public struct Protected: Sendable, Hashable, Codable {
        /// The host with its address.
        public var peer: String
        /// The domain that the mail is for.
        public var nextHop: String
        /// Who wanted so much of TLS: `dane`, `mta-sts`, `requiretls`, `local`, `opportunistic`.
        public var source: String
        /// How much there had to be: `none`, `opportunistic`, `encrypted`, `authenticated`.
        public var level: String
        public var encrypted: Bool
        /// Whether it is known that the host is the one that the domain means.
        public var authenticated: Bool
        /// `TLSv1.3`.
        public var version: String?
        /// `TLS_AES_128_GCM_SHA256`.
        public var cipher: String?
        /// The group of the key exchange: `X25519MLKEM768`.
        public var group: String?
        /// What DNSSEC says of the way to the host's name: `secure`, `insecure`.
        public var dnssec: String?
        /// The certificates that the host sent, its own first.
        public var chain: [String]
        /// Each check with its result.
        public var checks: [String]
        /// How the policies led to this.
        public var steps: [String]
        /// What a report to the domain calls the failure (RFC 8460 §4.3); `nil` for a session that satisfied its policy.
        public var failure: String?
        /// What follows: `proceed`, `retry`, `refuse`.
        public var verdict: String
        /// Why the message doesn't go there.
        public var reason: String?
        /// What a report will tell of the session.
        public var tlsReport: SessionReport?
        public init(
            peer: String, nextHop: String, source: String, level: String, encrypted: Bool, authenticated: Bool, version: String?, cipher: String?,
            group: String?, dnssec: String?, chain: [String], checks: [String], steps: [String], failure: String?, verdict: String, reason: String?,
            tlsReport: SessionReport? = nil
        ) {
            self.peer = peer
            self.nextHop = nextHop
            self.source = source
            self.level = level
            self.encrypted = encrypted
            self.authenticated = authenticated
            self.version = version
            self.cipher = cipher
            self.group = group
            self.dnssec = dnssec
            self.chain = chain
            self.checks = checks
            self.steps = steps
            self.failure = failure
            self.verdict = verdict
            self.reason = reason
            self.tlsReport = tlsReport
        }
    }
    public struct Authenticated: Sendable, Hashable, Codable {
        public var user: String
        public var mechanism: String
        public var succeeded: Bool
        public init(user: String, mechanism: String, succeeded: Bool) {
            self.user = user
            self.mechanism = mechanism
            self.succeeded = succeeded
        }
    }
    public struct Exchanged: Sendable, Hashable, Codable {
        public var peer: String
        public var outbound: Bool
        public var command: String
        public var reply: SMTPReply
        public init(peer: String, outbound: Bool, command: String, reply: SMTPReply) {
            self.peer = peer
            self.outbound = outbound
            self.command = command
            self.reply = reply
        }
    }
    public struct Resolved: Sendable, Hashable, Codable {
        public var name: String
        public var type: String
        /// `records`, `noData`, `nonexistentDomain`, or the error's code.
        public var outcome: String
        public var records: [String]
        /// `secure`, `insecure`, `bogus`, or `unknown` where there was no answer.
        public var security: String
        public init(name: String, type: String, outcome: String, records: [String], security: String) {
            self.name = name
            self.type = type
            self.outcome = outcome
            self.records = records
            self.security = security
        }
    }
    public struct Described: Sendable, Hashable, Codable {
        public var messageID: String?
        public var from: String?
        public var subject: String?
        public var byteCount: Int
        public var sha256: String
        public init(messageID: String?, from: String?, subject: String?, byteCount: Int, sha256: String) {
            self.messageID = messageID
            self.from = from
            self.subject = subject
            self.byteCount = byteCount
            self.sha256 = sha256
        }
    }
    public struct Checked: Sendable, Hashable, Codable {
        public var check: String
        public var result: String
        public var explanation: String
        public init(check: String, result: String, explanation: String) {
            self.check = check
            self.result = result
            self.explanation = explanation
        }
    }
    public struct Decided: Sendable, Hashable, Codable {
        /// `nil`: for the whole message.
        public var recipient: String?
        /// `accept`, `reject`, `tempfail`.
        public var verdict: String
        public var reason: String
        public var reply: SMTPReply?
        public init(recipient: String?, verdict: String, reason: String, reply: SMTPReply?) {
            self.recipient = recipient
            self.verdict = verdict
            self.reason = reason
            self.reply = reply
        }
    }
    public struct Committed: Sendable, Hashable, Codable {
        public var queueID: String
        public var byteCount: Int
        public var recipients: [String]
        public init(queueID: String, byteCount: Int, recipients: [String]) {
            self.queueID = queueID
            self.byteCount = byteCount
            self.recipients = recipients
        }
    }
    public struct Routed: Sendable, Hashable, Codable {
        public var recipient: String
        public var destination: String
        public var reason: String
        public init(recipient: String, destination: String, reason: String) {
            self.recipient = recipient
            self.destination = destination
            self.reason = reason
        }
    }
    public struct Attempted: Sendable, Hashable, Codable {
        public var queueID: String
        public var recipient: String
        public var destination: String
        public var host: String?
        public var address: String?
        /// `delivered`, `deferred`, `failed`.
        public var result: String
        public var reply: SMTPReply
        public var isLocal: Bool
        public var attempt: Int
        public var nextAttempt: Date?
        public var failures: [String]
        public init(
            queueID: String, recipient: String, destination: String, host: String?, address: String?, result: String, reply: SMTPReply,
            isLocal: Bool, attempt: Int, nextAttempt: Date?, failures: [String]
        ) {
            self.queueID = queueID
            self.recipient = recipient
            self.destination = destination
            self.host = host
            self.address = address
            self.result = result
            self.reply = reply
            self.isLocal = isLocal
            self.attempt = attempt
            self.nextAttempt = nextAttempt
            self.failures = failures
        }
    }
    public struct Delivered: Sendable, Hashable, Codable {
        public var recipient: String
        public var user: String
        public var mailbox: String
        public var uid: UInt32
        public var uidValidity: UInt32
        public var isDuplicate: Bool
        public init(recipient: String, user: String, mailbox: String, uid: UInt32, uidValidity: UInt32, isDuplicate: Bool) {
            self.recipient = recipient
            self.user = user
            self.mailbox = mailbox
            self.uid = uid
            self.uidValidity = uidValidity
            self.isDuplicate = isDuplicate
        }
    }
    public struct Notified: Sendable, Hashable, Codable {
        /// `failure`, `delay`, `success`, `relayed`.
        public var kind: String
        public var recipient: String
        /// Who was told; `nil` when nobody may be told.
        public var notified: String?
        /// The journey of the notification.
        public var notificationTrace: TraceID?
        public var reason: String
        public init(kind: String, recipient: String, notified: String?, notificationTrace: TraceID?, reason: String) {
            self.kind = kind
            self.recipient = recipient
            self.notified = notified
            self.notificationTrace = notificationTrace
            self.reason = reason
        }
    }
    public struct Queued: Sendable, Hashable, Codable {
        /// `held`, `released`, `retried`, `deleted`, `expired`.
        public var action: String
        public var queueID: String
        public var reason: String
        public init(action: String, queueID: String, reason: String) {
            self.action = action
            self.queueID = queueID
            self.reason = reason
        }
    }
    public struct Abandoned: Sendable, Hashable, Codable {
        public var reason: String
        public init(reason: String) { self.reason = reason }
    }
}
