import Crypto
import DNS
import FoundationEssentials
import Journeys
import MailAuthentication
import MailMessage
import MailStore
import NIOCore
import NIOPosix
import PosternMetrics

/// Reads what comes to the addresses for reports, and keeps the reports in it. Everything in them was written by strangers.
struct ReportReception: Sendable {
    let addresses: Set<EmailAddress>
    let domains: [DomainName]
    let spool: SpoolStore
    let capsules: CapsuleReader
    let now: @Sendable () -> Date

    /// How much of a report that comes by mail is read. A day of a large sender has some thousand records.
    static let limits: ReportLimits = {
        var limits = ReportLimits()
        limits.inputOctets = 25 << 20
        limits.outputOctets = 32 << 20
        limits.records = 50_000
        limits.feedbackFields = 200
        return limits
    }()

    func takes(_ address: EmailAddress) -> Bool { addresses.contains(address.lowercased) }

    /// Reads a message.
    /// - Returns: what its journey says of it.
    /// - Throws: where the store can't be written, or the message can't be read now.
    func take(_ message: SpooledMessage) async throws -> JourneyEvent.Checked {
        let result = try await read(message)
        Metrics.reportsReceived.add(result.metric)
        return .init(check: "report", result: result.word, explanation: result.explanation)
    }

    private struct Result {
        var word: String
        var metric: Metrics.ReportReceived
        var explanation: String

        static func refused(_ explanation: String) -> Result { Result(word: "refused", metric: .refused, explanation: explanation) }
    }

    private func read(_ message: SpooledMessage) async throws -> Result {
        guard message.content.byteCount <= Self.limits.inputOctets else {
            return .refused("the message has more than \(Self.limits.inputOctets) octets")
        }
        let octets = try await message.content.read(0..<message.content.byteCount)
        let author = try await author(octets, message.content)
        let received: ReceivedReport
        do {
            // Decompression and XML take their time: not on a thread that others wait for.
            received = try await NIOThreadPool.singleton.runIfActive { try ReportMail.find(in: octets, limits: Self.limits) }
        } catch let error as ReportError where error.code == .noReport {
            return Result(word: "none", metric: .none, explanation: "\(error), and nobody reads this address as mail unless a mailbox has it")
        } catch let error as ReportError {
            return .refused("\(error.code.rawValue): \(error)")
        }
        var stored = StoredReport(
            kind: .aggregate, organization: "", identity: "", domain: "", sender: author.domain, isProven: author.isProven, begin: 0, end: 0,
            received: now(), trace: message.trace, payload: [])
        let metric: Metrics.ReportReceived
        do {
            metric = try fill(&stored, received)
        } catch let error as ReportError {
            return .refused("\(error.code.rawValue): \(error)")
        } catch {
            return .refused("\(error)")
        }
        guard stored.domain.isEmpty || isOurs(stored.domain) else { return .refused("it is about \(stored.domain), which is none of our domains") }
        let name = "\(metric), \(stored.organization), \(stored.identity), on \(stored.domain.isEmpty ? "a message" : stored.domain)"
        let proof = author.isProven ? "DMARC proves \(author.domain)" : "nothing proves who sent it"
        switch try await spool.keep(stored) {
        case .stored: return Result(word: "stored", metric: metric, explanation: "\(name); \(proof)")
        case .duplicate: return Result(word: "duplicate", metric: .duplicate, explanation: "\(name): it is there already")
        case .full: return .refused("\(name): there is no room for more reports\(author.isProven ? "" : " that nothing proves")")
        }
    }

    private func isOurs(_ text: String) -> Bool {
        guard let domain = try? DomainName(text) else { return false }
        return domains.contains { domain.isEqualOrSubdomain(of: $0) }
    }

    private func fill(_ stored: inout StoredReport, _ received: ReceivedReport) throws -> Metrics.ReportReceived {
        func encode(_ value: some Encodable) throws -> [UInt8] {
            guard let octets = ReportForm.encode(value) else { throw HostError("it can't be written as JSON") }
            return octets
        }
        switch received {
        case .dmarcAggregate(let report):
            stored.organization = report.metadata.organizationName
            stored.identity = report.metadata.reportID
            stored.domain = report.policy.domain.lowercased()
            stored.begin = report.metadata.begin
            stored.end = report.metadata.end
            stored.payload = try encode(report)
            return .aggregate
        case .tls(let json):
            let report = try TLSReport(parsing: json)
            stored.kind = .tls
            stored.organization = String(report.organization.prefix(Self.limits.nameOctets))
            stored.identity = String(report.identifier.prefix(Self.limits.nameOctets))
            stored.domain = (report.policies.first?.policy.domain ?? "").lowercased()
            stored.begin = JourneyTime.parse(report.dateRange.start).map { Int($0.timeIntervalSince1970) } ?? 0
            stored.end = JourneyTime.parse(report.dateRange.end).map { Int($0.timeIntervalSince1970) } ?? Int(stored.received.timeIntervalSince1970)
            stored.payload = try encode(report)
            return .tls
        case .feedback(let report):
            stored.kind = .feedback
            stored.organization = String((report.reportingMTA ?? report.userAgent ?? "").prefix(Self.limits.nameOctets))
            stored.domain = String((report.reportedDomains.first ?? "").prefix(255)).lowercased()
            stored.payload = try encode(report)
            // Such reports have no identity: the same one is the same octets.
            stored.identity = HexDigits.text(Array(SHA256.hash(data: stored.payload)))
            stored.end = Int(stored.received.timeIntervalSince1970)
            stored.begin = stored.end
            return .feedback
        }
    }

    /// Who sent the mail: what the edge found out, or what From says.
    private func author(_ octets: ByteBuffer, _ content: any MessageContent) async throws -> (domain: String, isProven: Bool) {
        let header = HeaderSection(parsing: octets)
        if let field = header.first(named: AuthenticationCapsule.fieldName) {
            do {
                let capsule = try await capsules.open(field, of: content, at: now())
                if let from = capsule.headerFrom, capsule.author == .report || capsule.dmarc == DMARCResult.pass.rawValue { return (from, true) }
            } catch is CapsuleReader.Doubt {
                // Then nothing is proven.
            }
        }
        let author = try? DMARCAuthor(message: octets)
        return (author?.domain.ascii ?? "", false)
    }
}
