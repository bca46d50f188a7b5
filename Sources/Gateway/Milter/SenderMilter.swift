import DNS
import FoundationEssentials
import Logging
import MailAuthentication
import MailMessage
import MailTransport
import Milter
import NIOCore
import SMTP
import Synchronization

/// The filter of an MTA that stays where it is: mail from outside is judged, as role `mx` does it, and mail of our own is signed, as role
/// `relay` does it.
final class SenderMilter: MilterService {
    /// What the filter goes by. It can be changed while it serves.
    struct Rules: Sendable {
        var border: HeaderBorder
        /// `nil` where nothing is checked.
        var assessor: SenderAssessor?
        /// The signer of our own mail, and of mail that goes on.
        var signer: OutboundSigner
        var signs: Bool
        var domains: [DomainName]
        var settings: Configuration.MilterSettings
        /// What indicators are fetched by; `nil` where none are looked for.
        var indicators: IndicatorSource?

        init(
            _ configuration: Configuration, _ settings: Configuration.MilterSettings, verifier: SenderVerifier, keys: DKIMKeyFolder.Keys,
            indicators: (source: IndicatorSource, judge: IndicatorJudge)? = nil
        ) {
            border = HeaderBorder(configuration, reservedNames: [SenderMilter.dispositionField])
            assessor =
                configuration.authentication.mode == .off
                ? nil
                : SenderAssessor(
                    verifier: verifier, settings: configuration.authentication, hostname: configuration.hostname, indicators: indicators?.judge,
                    keepsFailures: configuration.reports?.failures.enabled ?? false)
            self.indicators = indicators?.source
            signer = OutboundSigner(
                keys: keys, settings: configuration.signing, domains: configuration.domains)
            signs = configuration.signing.enabled
            domains = configuration.domains
            self.settings = settings
        }
    }

    /// What an MTA adds to mail of our own behind the filter, where it is missing: Sendmail does. (Postfix has done it before.)
    private static let fieldsOfTheMTA: Set<String> = ["Date", "Message-ID"]
    /// The field that tells those who deliver a message that it belongs into the folder for junk.
    static let dispositionField = "Postern-Disposition"

    private let rules: Mutex<Rules>
    /// Counts what was judged; `nil` where nobody reports on it.
    private let ledger: MilterLedger?
    private let now: @Sendable () -> Date
    private let logger: Logger

    init(rules: Rules, ledger: MilterLedger? = nil, now: @escaping @Sendable () -> Date, logger: Logger) {
        self.rules = Mutex(rules)
        self.ledger = ledger
        self.now = now
        self.logger = logger
    }

    /// Changes what messages that are complete from now on are treated by.
    func change(_ rules: Rules) { self.rules.withLock { $0 = rules } }

    /// What indicators are fetched by now.
    var indicators: IndicatorSource? { rules.withLock { $0.indicators } }

    func message(_ message: MilterMessage) async -> MilterVerdict {
        let rules = rules.withLock { $0 }
        var logger = logger
        logger[metadataKey: "mta.queue"] = message.macros.queueID.map { "\($0)" }
        let origin = MilterOrigin(message, internalNetworks: rules.settings.internalNetworks)
        do {
            let head = try await message.content.read(0..<min(message.content.byteCount, SenderVerifier.headerLimit))
            switch origin {
            case .outside(let client): return try await judge(message, head, client, rules, logger)
            case .user, .ownHost: return try await sign(message, head, origin, rules, logger)
            }
        } catch {
            // Not read, or cancelled: the MTA's client comes again.
            logger.error("a message couldn't be checked; it is refused for now", metadata: ["error": "\(error)"])
            return MilterVerdict(.tempFail)
        }
    }

    func changesRefused(_ changes: [MilterChange], session: MilterSessionInfo) async {
        logger.warning(
            "the MTA can't change messages as this filter needs it; look at what it offers to filters",
            metadata: ["mta.queue": "\(session.macros.queueID ?? "")", "changes": "\(changes.count)"])
    }

    // MARK: - Mail from outside

    private func judge(
        _ message: MilterMessage, _ head: ByteBuffer, _ client: SenderClient?, _ rules: Rules, _ logger: Logger
    ) async throws -> MilterVerdict {
        let time = now()
        let clean = CleanedMessage(message.content, head, rules.border)
        var changes = clean.changes
        guard let assessor = rules.assessor else { return MilterVerdict(.continue, changes: changes) }
        let judgement = try await assessor.assess(client, clean.content, at: time)
        let results = judgement.resultsText ?? ""
        func tell(_ decision: String) {
            var metadata: Logger.Metadata = ["results": "\(results)", "decision": "\(decision)"]
            if !clean.removed.isEmpty { metadata["removed"] = "\(clean.removed.joined(separator: ", "))" }
            logger.info("judged a message from outside", metadata: metadata)
            if let ledger, let judged = judgement.reported { ledger.note(judged, to: message.envelope.recipients, at: time) }
        }
        if let refusal = judgement.refusal {
            tell("\(refusal)")
            return MilterVerdict(Self.decision(refusal))
        }
        var fields = ByteBuffer()
        if rules.settings.seals, let results = judgement.results, !message.envelope.recipients.allSatisfy({ rules.isOwn($0) }) {
            let header = HeaderSection(parsing: try await clean.head)
            let seal = try await rules.signer.seal(clean.content, header: header, results: "\(results)", at: time)
            logger.info("sealing a message that goes on", metadata: ["result": "\(seal.result)", "explanation": "\(seal.explanation)"])
            fields.writeImmutableBuffer(seal.fields)
        }
        fields.writeImmutableBuffer(judgement.fields)
        switch (judgement.disposition, rules.settings.quarantine) {
        case (.accept, _): break
        case (.junk, .header): fields.writeString("\(Self.dispositionField): junk\r\n")
        case (.junk, .hold):
            changes += Self.insertions(of: fields)
            tell("hold")
            let reason = judgement.evaluation?.dmarc.reason ?? "its sender isn't proven"
            return MilterVerdict(.quarantine(reason: Self.line("DMARC: \(reason)")), changes: changes)
        }
        changes += Self.insertions(of: fields)
        tell(judgement.disposition.rawValue)
        return MilterVerdict(.continue, changes: changes)
    }

    /// The MTA is told the reply; one that isn't of SMTP's form becomes the MTA's own.
    private static func decision(_ reply: SMTPReply) -> MilterVerdict.Decision {
        let text = reply.lines.joined(separator: "\n")
        if let status = reply.enhancedStatus, let reply = MilterReply(reply.code, status, text) { return .reply(reply) }
        return reply.isPermanentFailure ? .reject : .tempFail
    }

    /// Printable ASCII on one line: MTAs log it.
    private static func line(_ text: String) -> String {
        String(decoding: text.utf8.prefix(400).map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }

    // MARK: - Mail of our own

    private func sign(
        _ message: MilterMessage, _ head: ByteBuffer, _ origin: MilterOrigin, _ rules: Rules, _ logger: Logger
    ) async throws -> MilterVerdict {
        // Users may write what they like, but not in our name. Hosts of ours may have judged the message before.
        let clean = CleanedMessage(message.content, head, origin == .user ? rules.border : nil)
        var changes = clean.changes
        guard rules.signs else { return MilterVerdict(.continue, changes: changes) }
        let head = try await clean.head
        let signatures = try await rules.signer.sign(
            clean.content, head: head, header: HeaderSection(parsing: head), usesSMTPUTF8: message.envelope.sender.parameter("SMTPUTF8") != nil,
            fieldsAddedLater: Self.fieldsOfTheMTA, at: now())
        changes += Self.insertions(of: signatures.fields)
        var metadata: Logger.Metadata = [
            "origin": "\(origin.name)", "result": "\(signatures.result)", "explanation": "\(signatures.explanation)",
        ]
        if !clean.removed.isEmpty { metadata["removed"] = "\(clean.removed.joined(separator: ", "))" }
        logger.info("signing a message of our own", metadata: metadata)
        return MilterVerdict(.continue, changes: changes)
    }

    /// Puts fields on top in their order: the last one first, as each goes in front of all that are there.
    private static func insertions(of fields: ByteBuffer) -> [MilterChange] {
        HeaderSection(parsing: fields).reversed().compactMap { MilterChange.insertField($0.rawField, at: 0) }
    }
}

extension SenderMilter.Rules {
    func isOwn(_ recipient: MilterPath) -> Bool {
        guard let address = recipient.address, let domain = try? DomainName(address.domain) else {
            // A name without a domain is one of the MTA's own.
            return recipient.address == nil
        }
        return domains.contains(domain)
    }
}

/// Where a message comes from, as an MTA tells it.
enum MilterOrigin: Hashable {
    /// From the internet; without a client where the MTA told of none.
    case outside(SenderClient?)
    /// From a user who authenticated.
    case user
    /// From the MTA's own host, or one of our networks.
    case ownHost

    init(_ message: MilterMessage, internalNetworks: [IPNetwork]) {
        if let user = message.macros.authenticatedUser, !user.isEmpty {
            self = .user
            return
        }
        guard let connection = message.session.client else {
            self = .outside(nil)
            return
        }
        guard let address = connection.address, !internalNetworks.contains(where: { $0.contains(address) }) else {
            self = .ownHost
            return
        }
        let sender = message.envelope.sender
        let mailFrom = sender.address?.description ?? (sender.isNull ? "" : sender.text.filter { $0 != "<" && $0 != ">" })
        self = .outside(SenderClient(address: address, helo: message.session.helo ?? "", mailFrom: mailFrom))
    }

    var name: String {
        switch self {
        case .outside: "outside"
        case .user: "user"
        case .ownHost: "own host"
        }
    }
}

/// A message without fields that only we may write.
struct CleanedMessage {
    let content: any MessageContent
    /// Takes them out at the MTA.
    let changes: [MilterChange]
    /// Which those were, and why.
    let removed: [String]

    init(_ content: any MessageContent, _ head: ByteBuffer, _ border: HeaderBorder?) {
        let header = HeaderSection(parsing: head)
        let removals = border?.removals(in: header) ?? []
        self.content = removals.isEmpty ? content : ExcisedContent(content, without: removals.map(\.range))
        removed = removals.map { "\($0.name) (\($0.reason.rawValue))" }
        // MTAs count the fields of a name, whatever the case of its letters. The last one goes first: whether those that are gone still
        // count doesn't matter then.
        var counts: [String: UInt32] = [:]
        var deletions: [MilterChange] = []
        let places = Set(removals.map(\.index))
        for index in header.indices where !removals.isEmpty {
            let name = header[index].name
            let occurrence = counts[name.lowercased(), default: 0] + 1
            counts[name.lowercased()] = occurrence
            if places.contains(index) { deletions.append(.deleteHeader(name: name, occurrence: occurrence)) }
        }
        changes = deletions.reversed()
    }

    /// As much of the message as may be header.
    var head: ByteBuffer {
        get async throws { try await content.read(0..<min(content.byteCount, SenderVerifier.headerLimit)) }
    }
}
