import NIOCore
import SASL

@testable import IMAP

/// A session of the IMAP server: in one piece, octet by octet and in random pieces.
enum IMAPServerTarget {
    static func run(_ data: [UInt8]) {
        let input = Input(data)
        var whole = IMAPRun(input)
        whole.feed(Cut.whole.pieces(input.octets))
        var cut = IMAPRun(input)
        cut.feed(Cut.random.pieces(input.octets))
        // What comes after STARTTLS in the same piece is thrown away.
        guard !String(decoding: input.octets, as: UTF8.self).uppercased().contains("STARTTLS") else { return }
        whole.requireSame(cut, "random pieces")
        guard input.octets.count < 4_000 else { return }
        var single = IMAPRun(input)
        single.feed(Cut.single.pieces(input.octets))
        whole.requireSame(single, "single octets")
    }
}

/// What the session asked for. Flags are a set, whose description has them in any order: commands are compared as values. So is what may come
/// by the ten thousand: descriptions would take more time than the session.
private struct Asked: Equatable {
    var text: String
    var command: IMAPCommand?
    var append: AppendRequest?
    var message: [UInt8]?
}

private struct IMAPRun {
    private var session: IMAPSession
    private var written = ByteBuffer()
    private var asked: [Asked] = []
    private var appended: [UInt8]?
    private var announced = 0
    private var closed = false
    private var performed = 0
    private let limits: IMAPLimits

    private static let verifier = try? SCRAMVerifier(password: "correct horse", salt: [1, 2, 3, 4], iterations: 4096)

    init(_ input: Input) {
        var configuration = IMAPSession.Configuration(hostname: "imap.kartapuce.test", security: input.has(0) ? .startTLS : .implicit)
        configuration.limits.commandLength = 2_000
        configuration.limits.literalLength = 300
        configuration.limits.nonSynchronisingLength = 200
        configuration.limits.literalCount = 5
        configuration.limits.messageLength = 1_000
        configuration.limits.nestingDepth = 8
        configuration.limits.listLength = 20
        configuration.limits.rangeCount = 20
        limits = configuration.limits
        session = IMAPSession(configuration: configuration, authenticationSecret: [7], makeNonce: { "nonce" })
        if !input.has(0) { session.tlsEstablished(channelBinding: [1, 2, 3]) }
        session.greet()
        perform()
        guard !input.has(1) else { return }
        session.receive(ByteBuffer(string: "l LOGIN bob \"correct horse\"\r\n"))
        perform()
    }

    mutating func feed(_ pieces: [ArraySlice<UInt8>]) {
        for piece in pieces where !closed {
            session.receive(ByteBuffer(bytes: piece))
            perform()
            require(
                session.octetsHeld <= 8 * (limits.commandLength + limits.literalLength + piece.count) + 4_096, "the session holds \(session.octetsHeld) octets")
        }
        require(written.readableBytesView.hasWholeLineEnds, "a bare CR or LF in what the server says")
    }

    private mutating func perform() {
        while let action = session.next() {
            require(!closed, "an action after the end")
            switch action {
            case .write(let octets): written.writeImmutableBuffer(octets)
            case .startTLS(let reply):
                written.writeImmutableBuffer(reply)
                session.tlsEstablished(channelBinding: [4])
            case .findVerifier: session.provide(verifier: Self.verifier)
            case .authenticationEnded(let username, let mechanism, let succeeded): asked.append(Asked(text: "\(mechanism) \(username) \(succeeded)"))
            case .perform(let tag, let command):
                asked.append(Asked(text: tag, command: command))
                list(command)
                performed += 1
                let effect: IMAPCompletion.Effect = if case .select = command { .selected } else { .none }
                session.complete(performed % 5 == 4 ? .no("Not this\r\ntime", code: "NONEXISTENT") : .ok("Done", effect: effect))
            case .beginAppend(let request):
                asked.append(Asked(text: "append", append: request))
                require(request.length <= 1_000, "a message of \(request.length) octets was let in")
                announced = request.length
                if request.length % 2 == 1 {
                    session.complete(.no("No such mailbox", code: "TRYCREATE"))
                } else {
                    appended = []
                    session.acceptAppend()
                }
            case .appendOctets(let octets):
                require(appended != nil, "octets of no message")
                appended? += octets.readableBytesView
            case .endAppend:
                require(appended?.count == announced, "a message of \(appended?.count ?? -1) instead of \(announced) octets")
                asked.append(Asked(text: "appended", message: appended))
                appended = nil
                session.complete(.ok("Appended"))
            case .abandonAppend: appended = nil
            case .idle: asked.append(Asked(text: "idle"))
            case .idleEnded: session.complete(.ok("Idle no more"))
            case .close(let reason):
                asked.append(Asked(text: "close \(reason)"))
                closed = true
            }
        }
    }

    private static let mailboxes = MailboxList(
        ["INBOX", "Archive", "Archive/2026/November", "Entwürfe", "a/b/c/d"].map { .init(name: $0, isSubscribed: true, specialUse: nil) })

    /// What the gateway would compute of a command's values.
    private mutating func list(_ command: IMAPCommand) {
        switch command {
        case .list(let query): for listing in Self.mailboxes.listings(for: query) { IMAPResponse.list(listing).write(into: &written, isRev2: false) }
        default: break
        }
    }

    func requireSame(_ other: IMAPRun, _ what: String) {
        require(written == other.written, "\(what): other responses:\n\(String(buffer: written))\n----\n\(String(buffer: other.written))")
        require(asked == other.asked, "\(what): other commands:\n\(asked)\n----\n\(other.asked)")
    }
}
