import DNS
import MailMessage
import NIOCore

@testable import MailAuthentication

/// DMARC: a record, the author of a message, and the evaluation on a zone. The input is a zone, a line `====`, and a message.
enum DMARCTarget {
    static func run(_ data: [UInt8]) {
        let input = Input(data)
        let (zone, message) = input.halves
        record(input.octets)
        bareAuthor(message)
        author(message, fuzzedZone(zone), input)
    }

    private static func record(_ octets: [UInt8]) {
        if let record = try? DMARCRecord(parsing: octets) {
            require(record.aggregateReportURIs.count <= DMARCRecord.reportingURILimit, "\(record.aggregateReportURIs.count) addresses")
            require(record.failureReportURIs.count <= DMARCRecord.reportingURILimit, "\(record.failureReportURIs.count) addresses")
            require(DMARCRecord.beginsAsRecord(octets), "a record that doesn't begin as one")
            for uri in record.aggregateReportURIs + record.failureReportURIs {
                require(uri.uri.isPrintable && uri.uri.utf8.count <= DMARCReportingURI.octetLimit, "the address “\(uri.uri)”")
                _ = DMARCReportDestination(parsing: uri.uri)
            }
        }
        if octets.count <= 4_096 { _ = DMARCReportingURI(parsing: String(decoding: octets, as: UTF8.self)) }
    }

    /// The octets as a From field's value.
    private static func bareAuthor(_ octets: [UInt8]) {
        if let plain = DMARCAuthor.plain(octets) { require(plain == (try? DMARCAuthor(parsing: octets)), "the fast reader has another author") }
        guard let author = try? DMARCAuthor(from: octets) else { return }
        compare(author, AddressList(parsing: octets))
    }

    private static func author(_ octets: [UInt8], _ zone: ZoneResolver, _ input: Input) {
        let message = ByteBuffer(bytes: octets)
        let evaluation: DMARCEvaluation
        do throws(DMARCAuthorError) {
            let author = try DMARCAuthor(message: message)
            let fields = HeaderSection(parsing: message).all(named: "From")
            require(fields.count == 1, "an author of \(fields.count) From fields")
            compare(author, AddressList(parsing: fields.first?.unfoldedOctets ?? []))
            // The domain passes by itself, one above it where that is aligned.
            let signer = input.has(0) ? author.domain.parent ?? author.domain : author.domain
            evaluation = CallingThread.run {
                await DMARCEvaluator(resolver: zone).evaluate(
                    author, spf: [DMARCSPFResult(domain: "gmail.test", result: "pass")],
                    dkim: [DMARCDKIMResult(domain: signer.ascii, selector: "s", result: "pass")])
            }
            let walk = CallingThread.run { await DMARCPolicyDiscovery(resolver: zone).walk(from: author.domain) }
            require(walk.stops.count <= DMARCTreeWalk.queryLimit, "\(walk.stops.count) records")
            if let organization = walk.organizationalDomain {
                require(author.domain.isEqualOrSubdomain(of: organization), "\(author.domain) isn't below its organization's \(organization)")
            }
        } catch {
            require(!error.description.isEmpty, "an error without words")
            evaluation = DMARCEvaluator(resolver: zone).evaluate(error)
            require(evaluation.result != .pass, "pass without an author")
        }
        let decision = DMARCDispositionPolicy().decide(evaluation)
        require(evaluation.result != .pass || decision.disposition == DMARCDisposition.none, "\(decision.disposition) of what passes")
    }

    /// Every address that a mail program would show is of the author's domain.
    private static func compare(_ author: DMARCAuthor, _ list: AddressList) {
        let domains = list.mailboxes.map(\.domain).filter { !$0.isEmpty }
        require(!domains.isEmpty, "the author \(author.domain), and no address is shown")
        for domain in domains {
            require((try? DomainName(domain)) == author.domain, "the author is of \(author.domain), and an address of \(domain) is shown")
        }
        require((author.writtenFrom ?? "").count <= 1_000, "a long text of the field")
    }
}
