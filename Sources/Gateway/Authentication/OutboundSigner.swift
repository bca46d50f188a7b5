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

    /// What came of it: the fields to put on top, none where nothing could be signed, and what a journey says of it.
    struct Signatures: Sendable {
        var fields = ByteBuffer()
        /// `signed`, `sealed` or `none`.
        var result = "none"
        var explanation = ""
    }

    /// Puts the signatures into `outcome`. A message that can't be signed leaves without a signature, and its journey says why.
    /// - Parameter capsule: what the edge found out, where the message came from outside.
    func sign(
        _ transaction: SMTPTransaction, _ description: MessageDescription, capsule: AuthenticationCapsule?,
        into outcome: inout ReceptionAuthentication.Outcome, at time: Date
    ) async throws {
        let start = ContinuousClock.now
        let check: String
        let signatures: Signatures
        if let capsule, capsule.author == nil {
            guard settings.sealsForwarded else { return }
            check = "arc seal"
            signatures = try await seal(transaction.content, header: description.header, results: capsule.results, at: time)
        } else if capsule == nil, !Self.isOurs(transaction.session) {
            check = "dkim signature"
            signatures = Signatures(explanation: "it wasn't submitted by a user of ours: whoever hands it over passes on other people's mail")
        } else {
            check = "dkim signature"
            signatures = try await sign(
                transaction.content, head: description.head, header: description.header, usesSMTPUTF8: transaction.envelope.usesSMTPUTF8, at: time)
        }
        outcome.fields.writeImmutableBuffer(signatures.fields)
        outcome.steps.append(
            (
                .checked(.init(check: check, result: signatures.result, explanation: signatures.explanation)),
                (ContinuousClock.now - start).seconds
            ))
    }

    /// Whether a message was written by somebody who authenticated, here or at the host that hands it over. The store only passes on what aliases
    /// lead outside, and that may be anybody's.
    private static func isOurs(_ session: SMTPSessionInfo) -> Bool {
        let roles = [Configuration.Role.submission, .internal].map(\.rawValue)
        return session.authenticatedUser != nil || !(session.tls?.peerRoles ?? []).isDisjoint(with: roles)
    }

    /// Seals a message that came from outside.
    /// - Parameter results: the value of the Authentication-Results field with what was found when it came, `arc` among it.
    /// - Throws: what reading the message throws.
    func seal(_ content: any MessageContent, header: HeaderSection, results: String, at time: Date) async throws -> Signatures {
        guard let domain = domains.first, let key = keys.active(for: domain).first else {
            return Signatures(explanation: "no active key of our own domain; make one with postern dkim generate")
        }
        do {
            let found = try AuthenticationResults(parsing: results)
            let chain = found.results(of: "arc").first.flatMap { ARCResult(rawValue: $0.result) } ?? .none
            var sealing = try ARCSealer(key: key).begin(header, chain: chain, results: results)
            try await content.pieces(from: header.range.upperBound) { sealing.update($0) }
            return Signatures(
                fields: try sealing.finish(at: time), result: "sealed", explanation: "d=\(key.domain) s=\(key.selector), cv=\(chain.rawValue)")
        } catch let refusal as ARCSealingRefusal {
            return Signatures(explanation: "\(refusal)")
        } catch let error as AuthenticationResultsError {
            return Signatures(explanation: "\(error)")
        }
    }

    /// Signs a message of our own with all active keys of its author's domain.
    /// - Parameters:
    ///   - head: the beginning of the message, with all of its header.
    ///   - usesSMTPUTF8: whether it is an internationalised message (RFC 6531), whose header may be signed as it is.
    ///   - fieldsAddedLater: those that another program adds after us where they are missing.
    /// - Throws: what reading the message throws.
    func sign(
        _ content: any MessageContent, head: ByteBuffer, header: HeaderSection, usesSMTPUTF8: Bool, fieldsAddedLater: Set<String> = [], at time: Date
    ) async throws -> Signatures {
        let author: DomainName
        do {
            author = try DMARCAuthor(message: head).domain
        } catch {
            return Signatures(explanation: "\(error)")
        }
        // Aligned with the author's domain, or with what lies above it (RFC 9989 §4.4.1).
        guard let domain = domains.filter({ author.isEqualOrSubdomain(of: $0) }).max(by: { $0.ascii.utf8.count < $1.ascii.utf8.count }) else {
            return Signatures(explanation: "\(author) is none of our domains")
        }
        let active = keys.active(for: domain)
        guard !active.isEmpty else {
            return Signatures(explanation: "\(domain) has no active key; make one with postern dkim generate --domain \(domain)")
        }
        do {
            var options = DKIMSigningOptions()
            options.allowsInternationalizedHeader = usesSMTPUTF8
            options.fieldsAddedLater = fieldsAddedLater
            let fields = try await DKIMSigner(keys: active, options: options).sign(header: header, content: content, at: time)
            return Signatures(
                fields: fields, result: "signed",
                explanation: active.map { "d=\($0.domain) s=\($0.selector) (\($0.key.algorithm.rawValue))" }.joined(separator: ", "))
        } catch let refusal as DKIMSigningRefusal {
            return Signatures(explanation: "\(refusal)")
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
