import FoundationEssentials
public import IMAP
public import NIOCore
import NIOSSL
import SASL

/// A connection on which a user has logged in. Commands go one after the other.
public final class IMAPClientConnection {
    private let channel: any Channel
    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private let limits: IMAPClientLimits
    private var reader: IMAPResponseReader
    private var commandCount = 0
    /// What the server can do, in upper case.
    public private(set) var capabilities: Set<String> = []

    init(
        channel: any Channel, inbound: NIOAsyncChannelInboundStream<ByteBuffer>, outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>,
        limits: IMAPClientLimits
    ) {
        self.channel = channel
        self.inbound = inbound.makeAsyncIterator()
        self.outbound = outbound
        self.limits = limits
        reader = IMAPResponseReader(limits: limits)
    }

    // MARK: Commands

    /// All mailboxes.
    public func mailboxes() async throws -> [IMAPServerMailbox] {
        var found: [IMAPServerMailbox] = []
        for case .mailbox(let mailbox) in try await run(.list) { found.append(mailbox) }
        return found
    }

    /// Numbers of a mailbox by their names in upper case, such as `UNSEEN` (RFC 9051 §6.3.11).
    public func status(of mailbox: String, _ items: [String]) async throws -> [String: UInt64] {
        for case .mailboxStatus(_, let numbers) in try await run(.status(mailbox: mailbox, items)) { return numbers }
        return [:]
    }

    /// Opens a mailbox.
    /// - Returns: the number of its messages and its UIDVALIDITY.
    public func select(_ mailbox: String, readOnly: Bool) async throws -> (messages: Int, uidValidity: UInt32) {
        var messages = 0
        var uidValidity: UInt32 = 0
        for response in try await run(readOnly ? .examine(mailbox: mailbox) : .select(mailbox: mailbox)) {
            switch response {
            case .exists(let count): messages = count
            case .status(let status): uidValidity = status.argument(of: "UIDVALIDITY").flatMap { UInt32($0) } ?? uidValidity
            default: break
            }
        }
        return (messages, uidValidity)
    }

    /// Messages by their numbers in the open mailbox.
    public func fetch(_ range: ClosedRange<Int>, items: String) async throws -> [IMAPServerMessage] {
        Self.messages(try await run(.fetch(range, items: items)))
    }

    /// Messages by their UIDs; those that are gone are left out.
    public func fetch(uids: [UInt32], items: String) async throws -> [IMAPServerMessage] {
        guard !uids.isEmpty else { return [] }
        return Self.messages(try await run(.uidFetch(uids, items: items))).filter { $0.uid.map(uids.contains) ?? false }
    }

    /// Sets flags or takes them away.
    public func setFlags(_ flags: [String], to isSet: Bool, uids: [UInt32]) async throws {
        _ = try await run(.uidStore(uids, adding: isSet, flags: flags))
    }

    /// Moves messages (RFC 6851).
    public func move(uids: [UInt32], to mailbox: String) async throws { _ = try await run(.uidMove(uids, to: mailbox)) }

    /// Removes messages for good (RFC 4315 §2.1).
    public func remove(uids: [UInt32]) async throws {
        try await setFlags(["\\Deleted"], to: true, uids: uids)
        _ = try await run(.uidExpunge(uids))
    }

    /// The UIDs of messages that have a text anywhere.
    public func search(text: String) async throws -> [UInt32] {
        var found: [UInt32] = []
        for case .search(let numbers) in try await run(.uidSearchText(text)) { found += numbers }
        return found
    }

    /// Puts a message into a mailbox.
    public func append(_ message: ByteBuffer, to mailbox: String, flags: [String]) async throws {
        _ = try await run(.append(mailbox: mailbox, flags: flags, message: message))
    }

    private static func messages(_ responses: [IMAPServerResponse]) -> [IMAPServerMessage] {
        // A server may tell a message's flags apart from what was asked for.
        var byNumber: [Int: IMAPServerMessage] = [:]
        for case .fetch(let message) in responses {
            guard var known = byNumber[message.sequenceNumber] else {
                byNumber[message.sequenceNumber] = message
                continue
            }
            known.uid = message.uid ?? known.uid
            known.flags = message.flags ?? known.flags
            known.size = message.size ?? known.size
            known.internalDate = message.internalDate ?? known.internalDate
            known.sections.merge(message.sections) { _, new in new }
            byNumber[message.sequenceNumber] = known
        }
        return byNumber.values.sorted { $0.sequenceNumber < $1.sequenceNumber }
    }

    // MARK: Opening and closing

    /// Hears the greeting and logs in with the best mechanism that there is.
    func open(username: String, password: String) async throws {
        guard case .status(let greeting) = try await nextResponse() else { throw Self.violation("a greeting") }
        // Deliberate: PREAUTH would mean that somebody else's identity counts.
        guard greeting.condition == .ok else { throw IMAPClientError(.loginUnavailable, "the server greets with \(greeting.condition.rawValue)") }
        learnCapabilities(greeting)
        if capabilities.isEmpty { try await askCapabilities() }
        try await authenticate(username: username, password: password)
        if capabilities.isEmpty { try await askCapabilities() }
    }

    func logOut() async { _ = try? await run(.logout) }

    private func askCapabilities() async throws {
        for case .capability(let names) in try await run(.capability) { capabilities = Set(names) }
    }

    private func learnCapabilities(_ status: IMAPServerStatus) {
        if let names = status.argument(of: "CAPABILITY") { capabilities = Set(names.uppercased().split(separator: " ").map(String.init)) }
    }

    private func authenticate(username: String, password: String) async throws {
        let binding = try await channelBinding()
        let offered = capabilities.filter { $0.hasPrefix("AUTH=") }.map { String($0.dropFirst(5)) }
        let preferred: [SASLMechanism] = binding == nil ? [.scramSHA256, .plain] : [.scramSHA256Plus, .scramSHA256, .plain]
        guard let mechanism = preferred.first(where: { offered.contains($0.rawValue) }) else {
            throw IMAPClientError(.loginUnavailable, "the server offers no mechanism that may be used")
        }
        var client = SASLClient(
            mechanism: mechanism, username: username, password: password, channelBinding: binding,
            serverOffersPlus: offered.contains(SASLMechanism.scramSHA256Plus.rawValue), nonce: Self.makeNonce())
        let sendsInitialResponse = capabilities.contains("SASL-IR") || capabilities.contains("IMAP4REV2")
        let tag = nextTag()
        var command = "\(tag) AUTHENTICATE \(mechanism.rawValue)"
        var initial = client.initialResponse().map(Base64.encode)
        if sendsInitialResponse, let response = initial {
            command += " \(response.isEmpty ? "=" : response)"
            initial = nil
        }
        // What the server could do before the login doesn't count after it.
        capabilities = []
        try await outbound.write(ByteBuffer(string: command + "\r\n"))
        for _ in 0..<limits.responseCount {
            switch try await nextResponse() {
            case .continuation(let challenge):
                let answer: String
                if let response = initial {
                    answer = response
                    initial = nil
                } else {
                    guard let octets = Base64.decode(challenge) else { throw Self.violation("a challenge in Base64") }
                    answer = Base64.encode(try client.respond(to: octets))
                }
                try await outbound.write(ByteBuffer(string: answer + "\r\n"))
            case .completion(tag, let status):
                try Self.judge(status)
                guard client.hasVerifiedServer else { throw IMAPClientError(.notTrusted, "the server didn't prove that it knows the password") }
                learnCapabilities(status)
                return
            case .capability(let names): capabilities = Set(names)
            case .status(let status) where status.condition == .bye: throw IMAPClientError(.loginUnavailable, "the server says BYE")
            default: break
            }
        }
        throw Self.violation("an end of the login")
    }

    /// RFC 9051 §7.1: UNAVAILABLE and its like say nothing about the password.
    private static func judge(_ status: IMAPServerStatus) throws(IMAPClientError) {
        guard status.condition != .ok else { return }
        let code = status.code?.uppercased()
        let isTemporary = ["UNAVAILABLE", "CONTACTADMIN", "LIMIT", "INUSE", "SERVERBUG"].contains { code?.hasPrefix($0) ?? false }
        throw IMAPClientError(
            status.condition == .no && !isTemporary ? .loginRefused : .loginUnavailable, responseCode: code,
            "the login was answered with \(status.condition.rawValue)")
    }

    private func channelBinding() async throws -> ChannelBinding? {
        let channel = channel
        let certificate = try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self).peerCertificate?.toDERBytes()
        }.get()
        return certificate.flatMap { try? .tlsServerEndPoint(TLSServerContext.endPointBinding(derBytes: $0)) }
    }

    private static func makeNonce() -> String {
        var generator = SystemRandomNumberGenerator()
        return Base64.encode((0..<24).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    // MARK: Octets

    private static func violation(_ expected: String) -> IMAPClientError { IMAPClientError(.protocolViolation, "\(expected) expected") }

    private func nextTag() -> String {
        commandCount += 1
        return "p\(commandCount)"
    }

    private func nextResponse() async throws -> IMAPServerResponse {
        while true {
            if let text = try reader.next() { return try IMAPServerResponse(parsing: text, limits: limits) }
            guard let octets = try await inbound.next(isolation: #isolation) else {
                throw IMAPClientError(.connection, "the server closed the connection")
            }
            reader.receive(octets)
        }
    }

    /// Runs a command to its end.
    /// - Returns: the untagged responses.
    private func run(_ command: IMAPClientCommand) async throws -> [IMAPServerResponse] {
        let tag = nextTag()
        var responses: [IMAPServerResponse] = []
        var pieces = command.pieces(tag: tag)[...]
        while let piece = pieces.popFirst() {
            switch piece {
            case .text(let text): try await outbound.write(ByteBuffer(string: text))
            case .literal(let octets):
                guard try await awaitContinuation(tag, &responses) else { throw Self.violation("a continuation") }
                try await outbound.write(octets)
            }
        }
        while true {
            switch try await nextResponse() {
            case .completion(tag, let status):
                try Self.check(status)
                return responses
            case .completion: throw Self.violation("the end of another command")
            case .continuation: throw Self.violation("no continuation")
            case let response:
                guard responses.count < limits.responseCount else { throw Self.violation("an end of the responses") }
                responses.append(response)
            }
        }
    }

    private func awaitContinuation(_ tag: String, _ responses: inout [IMAPServerResponse]) async throws -> Bool {
        for _ in 0..<limits.responseCount {
            switch try await nextResponse() {
            case .continuation: return true
            case .completion(_, let status):
                try Self.check(status)
                return false
            case let response: responses.append(response)
            }
        }
        return false
    }

    private static func check(_ status: IMAPServerStatus) throws(IMAPClientError) {
        guard status.condition != .ok else { return }
        let code = status.code?.split(separator: " ").first.map { $0.uppercased() }
        throw IMAPClientError(.refused, responseCode: code, "a command was answered with \(status.condition.rawValue) \(status.text.prefix(200))")
    }
}
