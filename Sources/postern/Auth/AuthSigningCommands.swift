import ArgumentParser
import DNS
import FoundationEssentials
import Journeys
import MailAuthentication
import MailMessage
import NIOCore

/// Keys that sign.
struct AuthKeyOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The signing domain.", valueName: "domain"), transform: Self.name)
    var domain: DomainName
    @Option(help: ArgumentHelp("The selector; once for each key.", valueName: "name"), transform: Self.name)
    var selector: [DomainName]
    @Option(
        help: ArgumentHelp("The private key: PEM, or the 32 octets of an Ed25519 key in Base64; once for each selector.", valueName: "file"),
        completion: .file())
    var key: [String]

    @Sendable private static func name(_ text: String) throws -> DomainName {
        do {
            return try DomainName(text)
        } catch {
            throw ValidationError("\(error)")
        }
    }

    func validate() throws {
        if selector.count != key.count || key.isEmpty { throw ValidationError("give one --selector for each --key") }
    }

    func load(identity: String? = nil) throws -> [DKIMSigningKey] {
        try zip(selector, key).map { selector, file in
            do {
                let text = String(decoding: try InputFile.read(file), as: UTF8.self)
                return DKIMSigningKey(domain: domain, selector: selector, key: try DKIMPrivateKey(parsing: text), identity: identity)
            } catch let error as DKIMPrivateKeyError {
                throw CommandFailure(.badData, "\(file): \(error)")
            }
        }
    }
}

/// `postern auth dkim-sign`.
struct AuthDKIMSignCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "dkim-sign", abstract: "Sign a message with DKIM, and write it with its new fields.",
        discussion: "postern auth dkim-sign message.eml --domain kartapuce.test --selector a --key a.pem --selector b --key b.pem")

    @Argument(help: "The message; - for standard input.", completion: .file())
    var file: String
    @OptionGroup var keys: AuthKeyOptions
    @Option(help: ArgumentHelp("Who signs (i=).", valueName: "identity"))
    var identity: String?
    @Option(help: ArgumentHelp("How header and body may change: relaxed/relaxed, simple/simple, …", valueName: "c"))
    var canonicalization = "relaxed/relaxed"
    @Option(help: ArgumentHelp("The fields to sign, separated by colons; twice: signed once more than they are there.", valueName: "names"))
    var fields: String?
    @Option(help: ArgumentHelp("How long the signature holds.", valueName: "seconds"))
    var lifetime: UInt64?
    @Flag(help: "Leave the time of signing out.")
    var noTimestamp = false
    @Flag(help: "Write the new fields only.")
    var headerOnly = false
    @Option(help: ArgumentHelp("The time of signing, as RFC 3339 writes it; now if absent.", valueName: "time"))
    var at: String?
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let time = try SigningTime.parse(at)
        var options = DKIMSigningOptions()
        let parts = canonicalization.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard let header = parts.first.flatMap(DKIMCanonicalization.init(rawValue:)), parts.count <= 2,
            let body = parts.count < 2 ? .simple : DKIMCanonicalization(rawValue: parts[1])
        else { throw CommandFailure(.usage, "“\(canonicalization)” is no canonicalization; write relaxed/relaxed") }
        options.headerCanonicalization = header
        options.bodyCanonicalization = body
        options.signedFields = fields.map { $0.split(separator: ":").map(String.init) }
        options.includesTimestamp = !noTimestamp
        options.lifetimeSeconds = lifetime
        let message = try InputFile.message(file)
        let signer = DKIMSigner(keys: try keys.load(identity: identity), options: options)
        do {
            let section = HeaderSection(parsing: message.buffer)
            let signatures = try await signer.sign(header: section, content: message, at: time)
            SigningOutput.write(signatures, before: headerOnly ? nil : message)
        } catch let refusal as DKIMSigningRefusal {
            throw CommandFailure(.failure, "not signed: \(refusal)")
        }
    }
}

/// `postern auth arc-seal`.
struct AuthARCSealCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "arc-seal", abstract: "Seal a message that goes on to somebody else (RFC 8617 §5.1), and write it with its new fields.",
        discussion: "The chain is validated first. The results are those of all checks, or what --results says.")

    @Argument(help: "The message; - for standard input.", completion: .file())
    var file: String
    @OptionGroup var keys: AuthKeyOptions
    @Option(help: ArgumentHelp("The Authentication-Results to seal, without the authserv-id; absent: all checks are made.", valueName: "text"))
    var results: String?
    @Flag(help: "Write the new fields only.")
    var headerOnly = false
    @OptionGroup var client: AuthClientOptions
    @OptionGroup var sources: AuthSources
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let message = try InputFile.message(file)
        guard let key = try keys.load().first else { return }
        let verifier = SenderVerifier(resolver: try sources.resolver(), receivingHost: sources.authservID)
        let evaluation = try await verifier.verify(client.client, content: message, at: sources.time)
        let text = results.map { "\(sources.authservID); \($0)" } ?? evaluation.results(identifier: sources.authservID).description
        do {
            let section = HeaderSection(parsing: message.buffer)
            let body = message.buffer.getSlice(
                at: message.buffer.readerIndex + section.range.upperBound, length: message.byteCount - section.range.upperBound)
            let fields = try ARCSealer(key: key).seal(
                header: section, body: body ?? ByteBuffer(), chain: evaluation.arc.result, results: text, at: sources.time)
            SigningOutput.write(fields, before: headerOnly ? nil : message)
        } catch {
            throw CommandFailure(.failure, "not sealed: \(error)")
        }
    }
}

/// When something is signed.
enum SigningTime {
    static func parse(_ text: String?) throws -> Date {
        guard let text else { return Date() }
        guard let date = JourneyTime.parse(text) else { throw CommandFailure(.usage, "“\(text)” is no time; write 2026-11-23T21:13:05Z") }
        return date
    }
}

/// Messages on standard output, octet for octet.
enum SigningOutput {
    static func write(_ fields: ByteBuffer, before message: BufferedContent?) {
        Terminal.write(Array(fields.readableBytesView), to: 1)
        if let message { Terminal.write(Array(message.buffer.readableBytesView), to: 1) }
    }
}
