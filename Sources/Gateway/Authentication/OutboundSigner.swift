import DNS
import FoundationEssentials
import Journeys
import MailAuthentication
import MailMessage
import MailTransport
import NIOCore

/// Signs what leaves the organisation: mail of our own domains with DKIM, mail that came from outside and goes on with ARC.
struct OutboundSigner: Sendable {
    let keys: DKIMKeyFolder.Keys
    let settings: Configuration.SigningSettings
    let domains: [DomainName]
    let hostname: String

    /// Puts the signatures into `outcome`. A message that can't be signed leaves without a signature, and its journey says why.
    /// - Parameter capsule: what the edge found out, where the message came from outside.
    func sign(
        _ transaction: SMTPTransaction, _ description: MessageDescription, capsule: AuthenticationCapsule?,
        into outcome: inout ReceptionAuthentication.Outcome, at time: Date
    ) async throws {
        let content = transaction.content
        let header = description.header
        let start = ContinuousClock.now
        func tell(_ check: String, _ result: String, _ explanation: String) {
            outcome.steps.append((.checked(.init(check: check, result: result, explanation: explanation)), (ContinuousClock.now - start).seconds))
        }
        if let capsule {
            guard settings.sealsForwarded else { return }
            guard let domain = domains.first, let key = keys.active(for: domain).first else {
                return tell("arc seal", "none", "no active key of our own domain; make one with postern dkim generate")
            }
            do {
                let results = try AuthenticationResults(parsing: capsule.results)
                let chain = results.results(of: "arc").first.flatMap { ARCResult(rawValue: $0.result) } ?? .none
                var sealing = try ARCSealer(key: key).begin(header, chain: chain, results: capsule.results)
                try await content.pieces(from: header.range.upperBound) { sealing.update($0) }
                outcome.fields.writeImmutableBuffer(try sealing.finish(at: time))
                tell("arc seal", "sealed", "d=\(key.domain) s=\(key.selector), cv=\(chain.rawValue)")
            } catch let refusal as ARCSealingRefusal {
                tell("arc seal", "none", "\(refusal)")
            } catch let error as AuthenticationResultsError {
                tell("arc seal", "none", "\(error)")
            }
            return
        }
        let author: DomainName
        do {
            author = try DMARCAuthor(message: description.head).domain
        } catch {
            return tell("dkim signature", "none", "\(error)")
        }
        // Aligned with the author's domain, or with what lies above it (RFC 9989 §4.4.1).
        guard let domain = domains.filter({ author.isEqualOrSubdomain(of: $0) }).max(by: { $0.ascii.utf8.count < $1.ascii.utf8.count }) else {
            return tell("dkim signature", "none", "\(author) is none of our domains")
        }
        let active = keys.active(for: domain)
        guard !active.isEmpty else {
            return tell("dkim signature", "none", "\(domain) has no active key; make one with postern dkim generate --domain \(domain)")
        }
        do {
            var options = DKIMSigningOptions()
            options.allowsInternationalizedHeader = transaction.envelope.usesSMTPUTF8
            var signing = try DKIMSigner(keys: active, options: options).begin(header)
            try await content.pieces(from: header.range.upperBound) { signing.update($0) }
            outcome.fields.writeImmutableBuffer(try signing.finish(at: time))
            tell("dkim signature", "signed", active.map { "d=\($0.domain) s=\($0.selector) (\($0.key.algorithm.rawValue))" }.joined(separator: ", "))
        } catch let refusal as DKIMSigningRefusal {
            tell("dkim signature", "none", "\(refusal)")
        }
    }
}

extension MessageContent {
    /// Reads the octets from one place on, piece by piece.
    func pieces(from start: Int, _ body: (ByteBuffer) -> Void) async throws {
        var offset = start
        while offset < byteCount {
            let end = min(offset + 256 * 1024, byteCount)
            body(try await read(offset..<end))
            offset = end
        }
    }
}
