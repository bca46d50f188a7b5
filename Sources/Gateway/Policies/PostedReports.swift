import DNS
import FoundationEssentials
import Journeys
import Logging
import MailAuthentication
import MailMessage
import MailStore
import MailTransport
import NIOCore
import NIOPosix

/// Takes reports on TLS that come by HTTPS (RFC 8460 §5.4), and sends them the way that reports by mail go: as a message to the first address for reports.
/// A report is taken when that message is in the spool.
struct PostedReports: Sendable {
    /// The first address for reports.
    let address: EmailAddress
    let domains: [DomainName]
    let hostname: String
    let router: Router
    let spool: any Spool
    let recorder: JourneyRecorder
    let role: Configuration.Role
    let storage: StorageAlarm
    /// How many there were lately: whoever comes without a name doesn't fill the queue.
    let rate: RequestRate
    /// The most of a network in a minute.
    let perMinute: Int
    let now: @Sendable () -> Date
    /// Hands what was stored to the queue.
    let offer: @Sendable (QueuedMessage) -> Void
    let logger: Logger

    /// What a stranger may send without a name: much less than by mail.
    static let limits: ReportLimits = {
        var limits = ReportLimits()
        limits.inputOctets = PolicyService.reportLimit
        limits.outputOctets = 16 << 20
        return limits
    }()

    /// Why a report isn't taken.
    private struct Refusal: Error {
        var status: Int
        var reason: String
    }

    func take(_ request: HTTPSServerRequest) async -> HTTPSServerResponse {
        do {
            let octets = Array(request.body.readableBytesView)
            let isCompressed = request.contentType == "application/tlsrpt+gzip"
            // Decompression takes its time: not on a thread that others wait for.
            let report = try await NIOThreadPool.singleton.runIfActive { try read(octets, isCompressed: isCompressed) }
            try await store(octets, report, request)
            storage.succeeded()
            return HTTPSServerResponse(201, "taken\n")
        } catch let refusal as Refusal {
            await tell(refusal, request)
            return HTTPSServerResponse(refusal.status, refusal.reason + "\n")
        } catch {
            storage.failed(error, doing: "keep a report")
            logger.error("a report that came by HTTPS can't be kept", metadata: ["error": "\(error)"])
            return HTTPSServerResponse(503, "not now\n", retryAfter: 3600)
        }
    }

    private func read(_ octets: [UInt8], isCompressed: Bool) throws -> TLSReport {
        let report: TLSReport
        do {
            guard (ReportArchive.format(of: octets) == .gzip) == isCompressed, case .tls(let json) = try ReportMail.read(file: octets, limits: Self.limits)
            else { throw Refusal(status: 400, reason: "this is no report on TLS of the type that is said") }
            report = try TLSReport(parsing: json)
        } catch let error as ReportError {
            let isTooMuch = [.tooLarge, .growsTooMuch, .tooMany].contains(error.code)
            throw Refusal(status: isTooMuch ? 413 : 400, reason: "this is no report on TLS: \(error.code.rawValue)")
        }
        let names = report.policies.compactMap(\.policy.domain)
        guard names.contains(where: isOurs) else { throw Refusal(status: 400, reason: "this is about none of our domains") }
        return report
    }

    private func isOurs(_ text: String) -> Bool {
        guard let name = try? DomainName(text) else { return false }
        return domains.contains { name.isEqualOrSubdomain(of: $0) }
    }

    private func store(_ octets: [UInt8], _ report: TLSReport, _ request: HTTPSServerRequest) async throws {
        let trace = TraceID.random()
        let time = now()
        let decision: Router.Decision
        switch router.route(address) {
        case .success(let found): decision = found
        case .failure(let refusal): throw HostError("\(address) has no way from here: \(refusal.reply)")
        }
        let message = message(octets, request, trace: trace, at: time)
        var journey = ReceptionJourney(trace: trace, role: role, host: hostname)
        journey.add(connection(request), at: time)
        let name = "\(report.organization.prefix(200)), \(report.identifier.prefix(200))"
        journey.add(
            .checked(.init(check: "report", result: "taken", explanation: "by HTTPS from \(request.client), which proves nothing: \(name)")), at: time)
        journey.add(.routed(.init(recipient: "\(address)", destination: decision.destination.key, reason: decision.reason)), at: time)
        let new = NewSpoolMessage(
            // Nobody is told what became of it.
            trace: trace, envelope: Envelope(reversePath: nil),
            routes: [(EnvelopeRecipient(address: address, notify: .never), decision.destination.key)], prefix: ByteBuffer(), content: BufferedContent(message),
            arrival: time)
        let queued = try await spool.enqueue(new) { [recorder, role, journey, address] id in
            let committed = JourneyEvent.Committed(queueID: "\(id)", byteCount: message.readableBytes, recipients: ["\(address)"])
            return recorder.records(journey.events + [recorder.event(.committed(committed), trace: trace, role: role, at: time)])
        }
        logger.info("report taken by HTTPS", metadata: ["trace": "\(trace)", "queue.id": "\(queued.message.id)", "client": "\(request.client)"])
        offer(queued)
    }

    private func connection(_ request: HTTPSServerRequest) -> JourneyEvent.Operation {
        .connected(
            .init(
                listener: Configuration.Listener.Kind.policy.rawValue, client: "\(request.client)", clientPort: request.clientPort,
                server: "\(request.server)", serverPort: request.serverPort))
    }

    private func tell(_ refusal: Refusal, _ request: HTTPSServerRequest) async {
        var journey = ReceptionJourney(trace: .random(), role: role, host: hostname)
        journey.add(connection(request), at: now())
        journey.add(.checked(.init(check: "report", result: "refused", explanation: "\(refusal.status): \(refusal.reason)")), at: now())
        do {
            try await recorder.log.append(recorder.records(journey.events))
        } catch {
            logger.warning("journey could not be kept", metadata: ["error": "\(error)"])
        }
    }

    /// The report as a message. Its author is this host: who the client is, nothing proves.
    private func message(_ octets: [UInt8], _ request: HTTPSServerRequest, trace: TraceID, at time: Date) -> ByteBuffer {
        var header = HeaderWriter()
        header.addresses("From", [HeaderMailbox(writtenDisplayName: nil, EmailAddress(localPart: "https", domain: hostname))])
        header.addresses("To", [HeaderMailbox(writtenDisplayName: nil, address)])
        header.unstructured("Subject", "Report on TLS by HTTPS from \(request.client)")
        header.date("Date", MessageDate(time))
        header.structured("Message-ID", "<\(trace)@\(hostname)>")
        header.structured("Auto-Submitted", "auto-generated")
        header.structured("MIME-Version", "1.0")
        header.structured("Content-Type", request.contentType ?? "application/octet-stream")
        header.structured("Content-Transfer-Encoding", "base64")
        header.endSection()
        var buffer = header.buffer
        buffer.writeString(Data(octets).base64EncodedString(options: [.lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed]))
        buffer.writeString("\r\n")
        return buffer
    }
}
