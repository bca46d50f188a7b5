import MailMessage
public import NIOCore

/// A message on its way: which recipients have an answer, and which transaction of the peer's is open for the next of them.
struct SMTPOpenTransaction: Sendable {
    enum Phase: Sendable, Equatable {
        case envelope
        /// The message's octets are being sent from this position on.
        case content(position: Int)
        /// All octets were sent, or given up.
        case sent
    }
    let input: SMTPClientTransaction
    var answers: [SMTPClientResult.Answer?]
    /// Recipients that no transaction has tried yet, in order.
    var pending: [Int]
    var nothingWasAnswered = true

    // Of the transaction that is open at the peer:
    var phase = Phase.envelope
    var batch: [Int] = []
    var nextRecipient = 0
    var accepted: [Int] = []
    /// Refused with "too many recipients": they belong to a later transaction (RFC 5321 §4.5.3.1.10).
    var postponed: [Int] = []
    var mailRefusal: SMTPReply?
    var usesChunks = false
    var dataWasSent = false
    var stuffing = SMTPDotStuffing()
    var check = SMTPContentProfile()
    var chunkRefusal: SMTPReply?
    var chunksInFlight = 0
}

extension SMTPClientSession {
    /// Begins to send a message; ``Action/finished(_:)`` tells what came of it.
    /// - Precondition: ``Action/ready`` was seen, and no other transaction is under way.
    public mutating func start(_ said: SMTPClientTransaction, at now: Duration) -> [Action] {
        precondition(transaction == nil, "one transaction at a time")
        let input = extensions.smtpUTF8 ? said : said.withASCIIDomains
        var open = SMTPOpenTransaction(
            input: input,
            answers: Array(repeating: nil, count: input.envelope.recipients.count),
            pending: []
        )
        guard case .ready = state else {
            transaction = open
            var actions: [Action] = []
            fail(SMTPReply(451, EnhancedStatusCode(4, 4, 2), "the connection is closed"), isLocal: true, &actions)
            return actions
        }
        let refusal = refusal(of: input)
        for (index, recipient) in input.envelope.recipients.enumerated() {
            if let reply = refusal ?? self.refusal(of: recipient) {
                open.answers[index] = .local(reply)
            } else {
                open.pending.append(index)
            }
        }
        transaction = open
        var actions: [Action] = []
        beginBatch(&actions, now)
        return flush(actions)
    }

    /// Hands over the octets that ``Action/readContent(_:)`` asked for.
    public mutating func content(_ bytes: ByteBuffer, at now: Duration) -> [Action] {
        var actions: [Action] = []
        guard var open = transaction, case .content(let position) = open.phase else { return [] }
        let total = open.input.profile.byteCount
        guard bytes.readableBytes == min(configuration.chunkOctets, total - position) else {
            fail(SMTPReply(451, EnhancedStatusCode(4, 3, 0), "the message could not be read"), isLocal: true, &actions)
            return actions
        }
        if open.input.envelope.bodyType != .binaryMIME {
            // The octets are checked as they leave, whatever a check before has found: what was stored may have changed since.
            open.check.consume(bytes)
            guard open.check.isUnambiguousText else {
                fail(Self.ambiguousContent, isLocal: true, &actions)
                return actions
            }
        }
        let isLast = position + bytes.readableBytes == total
        if open.usesChunks {
            // RFC 3030 §2: BDAT, a space, the number of octets; LAST ends the message. All chunks may be pipelined.
            let command = "BDAT \(bytes.readableBytes)\(isLast ? " LAST" : "")"
            output.reserveCapacity(command.utf8.count + 2 + bytes.readableBytes)
            output.writeString(command)
            output.writeStaticString("\r\n")
            output.writeImmutableBuffer(bytes)
            open.chunksInFlight += 1
            expect(.chunk(isLast: isLast), command, now)
        } else {
            output.reserveCapacity(bytes.readableBytes + bytes.readableBytes / 64 + 8)
            open.stuffing.encode(bytes, into: &output)
            if isLast {
                // RFC 5321 §4.1.1.4: the final dot stands on a line of its own.
                if !open.check.endsWithLineEnd { output.writeStaticString("\r\n") }
                output.writeStaticString(".\r\n")
                let command = "(message, \(total) octets)"
                if configuration.isLMTP {
                    for index in open.accepted { expect(.delivery(index), command, now) }
                } else {
                    expect(.message, command, now)
                }
            }
        }
        open.phase = .sent
        if !isLast {
            let next = position + bytes.readableBytes
            open.phase = .content(position: next)
            // RFC 3030 §4.2: without PIPELINING each chunk waits for the reply to the one before.
            if !open.usesChunks || extensions.pipelining {
                actions.append(.readContent(range(from: next, total)))
            }
        }
        transaction = open
        return flush(actions)
    }

    /// The octets that were asked for cannot be read.
    public mutating func contentFailed(_ reason: String) -> [Action] {
        abort(SMTPReply(451, EnhancedStatusCode(4, 3, 0), "the message could not be read: \(reason)"))
    }

    // MARK: Refusals made here

    static let ambiguousContent = SMTPReply(
        554, EnhancedStatusCode(5, 6, 0), "the message contains bare line feeds or carriage returns (RFC 5321 §2.3.8)")

    /// Why the peer cannot get the message at all.
    private func refusal(of input: SMTPClientTransaction) -> SMTPReply? {
        let envelope = input.envelope
        if let limit = extensions.sizeLimit, input.profile.byteCount > limit {
            // RFC 1870 §6.1: not even tried.
            let text = "the message has \(input.profile.byteCount) octets, the peer takes \(limit)"
            return SMTPReply(552, EnhancedStatusCode(5, 3, 4), text)
        }
        if !envelope.mayGoInClear {
            // RFC 8689 §4.2.1
            guard isEncrypted, isVerified else {
                return SMTPReply(550, EnhancedStatusCode(5, 7, 10), "REQUIRETLS: no TLS session with a verified peer")
            }
            guard extensions.requireTLS else {
                return SMTPReply(550, EnhancedStatusCode(5, 7, 30), "REQUIRETLS: the peer does not support it")
            }
        }
        if envelope.bodyType == .binaryMIME {
            guard extensions.binaryMIME, extensions.chunking else {
                return SMTPReply(554, EnhancedStatusCode(5, 6, 3), "the message is binary, and the peer lacks BINARYMIME")
            }
        } else if !input.profile.isUnambiguousText {
            return Self.ambiguousContent
        }
        if input.profile.hasEightBit, !extensions.eightBitMIME, !extensions.smtpUTF8 {
            // RFC 6152 §3. Deliberate: no conversion, for it would break every signature on the message.
            return SMTPReply(554, EnhancedStatusCode(5, 6, 3), "the message has 8-bit octets, and the peer lacks 8BITMIME")
        }
        if !extensions.smtpUTF8 {
            if envelope.usesSMTPUTF8, input.profile.hasEightBitHeader {
                return SMTPReply(554, EnhancedStatusCode(5, 6, 7), "the header is internationalised, and the peer lacks SMTPUTF8")
            }
            if let reversePath = envelope.reversePath, SMTPClientTransaction.isInternationalised(reversePath) {
                return SMTPReply(553, EnhancedStatusCode(5, 6, 7), "the sender's address needs SMTPUTF8, which the peer lacks")
            }
        }
        if SMTPClientCommand.mail(input, extensions, handsOnTrace: false) == nil {
            return SMTPReply(553, EnhancedStatusCode(5, 1, 7), "the sender's address cannot be written")
        }
        return nil
    }

    /// Why one recipient cannot be named to the peer.
    private func refusal(of recipient: EnvelopeRecipient) -> SMTPReply? {
        if !extensions.smtpUTF8, SMTPClientTransaction.isInternationalised(recipient.address) {
            return SMTPReply(553, EnhancedStatusCode(5, 6, 7), "the address needs SMTPUTF8, which the peer lacks")
        }
        if SMTPClientCommand.recipient(recipient, extensions) == nil {
            return SMTPReply(553, EnhancedStatusCode(5, 1, 3), "the address cannot be written")
        }
        return nil
    }

    // MARK: The envelope

    /// Opens a transaction for as many pending recipients as the peer takes at once.
    private mutating func beginBatch(_ actions: inout [Action], _ now: Duration) {
        guard var open = transaction else { return }
        guard !open.pending.isEmpty else {
            return finishTransaction(remaining: .notTried, isUsable: true, &actions)
        }
        if let limit = extensions.mailLimit, transactionCount >= limit {
            return finishTransaction(remaining: .notTried, isUsable: false, &actions)
        }
        transactionCount += 1
        open.batch = batch(of: open)
        open.pending.removeFirst(open.batch.count)
        open.phase = .envelope
        open.nextRecipient = 0
        open.accepted = []
        open.postponed = []
        open.mailRefusal = nil
        open.usesChunks = extensions.chunking
        open.dataWasSent = false
        open.stuffing = SMTPDotStuffing()
        open.check = SMTPContentProfile()
        open.chunkRefusal = nil
        open.chunksInFlight = 0
        transaction = open
        if needsReset {
            needsReset = false
            send("RSET", expecting: .reset, now)
            guard extensions.pipelining else { return }
        }
        sendMail(now)
        guard extensions.pipelining else { return }
        // RFC 2920 §3.1: the envelope goes out in one piece, and DATA may be its last command.
        while sendNextRecipient(now) {}
        if !open.usesChunks {
            sendData(now)
        } else if open.input.profile.byteCount <= configuration.earlyContentOctets, !configuration.isLMTP {
            beginContent(&actions, now)
        }
    }

    /// The next recipients that fit the peer's limits (RFC 9422 §4.2, §4.3).
    private func batch(of open: SMTPOpenTransaction) -> [Int] {
        let limit = max(1, extensions.recipientLimit.map { min($0, 1000) } ?? configuration.recipientLimit)
        guard let domainLimit = extensions.recipientDomainLimit else { return Array(open.pending.prefix(limit)) }
        var domains: Set<String> = []
        return Array(
            open.pending.prefix(limit).prefix { index in
                domains.insert(open.input.envelope.recipients[index].address.domain)
                return domains.count <= domainLimit
            })
    }

    private mutating func sendMail(_ now: Duration) {
        guard let open = transaction,
            let command = SMTPClientCommand.mail(open.input, extensions, handsOnTrace: configuration.handsOnTrace)
        else { return }
        send(command, expecting: .mail, now)
    }

    /// - Returns: whether there was one left.
    private mutating func sendNextRecipient(_ now: Duration) -> Bool {
        guard let open = transaction, open.nextRecipient < open.batch.count else { return false }
        let index = open.batch[open.nextRecipient]
        transaction?.nextRecipient += 1
        // Recipients without a spelling were answered for before.
        guard let command = SMTPClientCommand.recipient(open.input.envelope.recipients[index], extensions) else { return true }
        send(command, expecting: .recipient(index), now)
        return true
    }

    private mutating func sendData(_ now: Duration) {
        transaction?.dataWasSent = true
        send("DATA", expecting: .data, now)
    }

    private func range(from position: Int, _ total: Int) -> Range<Int> {
        position..<min(total, position + configuration.chunkOctets)
    }

    private mutating func beginContent(_ actions: inout [Action], _ now: Duration) {
        guard let total = transaction?.input.profile.byteCount else { return }
        transaction?.phase = .content(position: 0)
        if total == 0 {
            actions += content(ByteBuffer(), at: now)
        } else {
            actions.append(.readContent(range(from: 0, total)))
        }
    }

    // MARK: Replies

    mutating func transactionAnswered(
        _ reply: SMTPReply, to kind: Expectation.Kind, _ actions: inout [Action], _ now: Duration
    ) {
        guard transaction != nil else { return }
        guard reply.code / 100 != 3 || kind == .data else { return violated("\(reply)", &actions) }
        if kind != .reset { transaction?.nothingWasAnswered = false }
        switch kind {
        case .reset:
            guard reply.isPositive else { return fail(reply, isLocal: false, &actions) }
            if !extensions.pipelining { sendMail(now) }
        case .mail: mailAnswered(reply, &actions, now)
        case .recipient(let index): recipientAnswered(reply, index, &actions, now)
        case .data: dataAnswered(reply, &actions, now)
        case .message:
            settle(reply)
            endBatch(&actions, now)
        case .emptyMessage:
            // Whatever the peer made of the empty message, nobody was to get it.
            endBatch(&actions, now)
        case .delivery(let index):
            transaction?.answers[index] = .peer(reply)
            if expectations.isEmpty { endBatch(&actions, now) }
        case .chunk(let isLast): chunkAnswered(reply, isLast: isLast, &actions, now)
        case .greeting, .ehlo, .helo, .startTLS, .authentication, .quit: return
        }
    }

    private mutating func mailAnswered(_ reply: SMTPReply, _ actions: inout [Action], _ now: Duration) {
        if !reply.isPositive {
            transaction?.mailRefusal = reply
            if !extensions.pipelining { return endBatch(&actions, now) }
        }
        if !extensions.pipelining { _ = sendNextRecipient(now) }
    }

    private mutating func recipientAnswered(_ reply: SMTPReply, _ index: Int, _ actions: inout [Action], _ now: Duration) {
        guard let open = transaction else { return }
        if open.mailRefusal == nil {
            if reply.isPositive {
                transaction?.accepted.append(index)
            } else if Self.meansTooManyRecipients(reply), !open.accepted.isEmpty {
                transaction?.postponed.append(index)
            } else {
                transaction?.answers[index] = .peer(reply)
            }
        }
        if !extensions.pipelining, sendNextRecipient(now) { return }
        guard index == open.batch.last, open.phase == .envelope, !open.dataWasSent else { return }
        guard let open = transaction else { return }
        if open.mailRefusal != nil {
            endBatch(&actions, now)
        } else if open.accepted.isEmpty {
            needsReset = true
            endBatch(&actions, now)
        } else if open.usesChunks {
            beginContent(&actions, now)
        } else {
            sendData(now)
        }
    }

    /// RFC 5321 §4.5.3.1.10: 452 after some recipients means that the rest shall come in another transaction.
    private static func meansTooManyRecipients(_ reply: SMTPReply) -> Bool {
        guard reply.code == 452 else { return false }
        return reply.enhancedStatus == nil || reply.enhancedStatus == EnhancedStatusCode(4, 5, 3)
    }

    private mutating func dataAnswered(_ reply: SMTPReply, _ actions: inout [Action], _ now: Duration) {
        guard let open = transaction else { return }
        if reply.code == 354 {
            if open.accepted.isEmpty {
                // RFC 2920 §3.1: DATA succeeded although every recipient was refused; an empty message must follow.
                output.writeStaticString(".\r\n")
                expect(.emptyMessage, "(empty message)", now)
                transaction?.phase = .sent
                return
            }
            return beginContent(&actions, now)
        }
        guard reply.code / 100 >= 4 else { return violated("\(reply) as a reply to DATA", &actions) }
        settle(reply)
        needsReset = true
        endBatch(&actions, now)
    }

    private mutating func chunkAnswered(_ reply: SMTPReply, isLast: Bool, _ actions: inout [Action], _ now: Duration) {
        transaction?.chunksInFlight -= 1
        guard let open = transaction else { return }
        if !reply.isPositive, open.chunkRefusal == nil {
            // RFC 3030 §2: after a refused chunk the rest is refused too; nothing more is sent.
            transaction?.chunkRefusal = reply
            transaction?.phase = .sent
            needsReset = true
        }
        if let refusal = transaction?.chunkRefusal {
            if open.chunksInFlight == 0 {
                settle(refusal)
                endBatch(&actions, now)
            }
            return
        }
        if isLast {
            guard configuration.isLMTP else {
                settle(reply)
                return endBatch(&actions, now)
            }
            // RFC 2033 §4.3: BDAT LAST has a reply for each recipient that was accepted; this was the first.
            guard let first = open.accepted.first else { return endBatch(&actions, now) }
            transaction?.answers[first] = .peer(reply)
            for index in open.accepted.dropFirst() { expect(.delivery(index), "BDAT LAST", now) }
            if expectations.isEmpty { endBatch(&actions, now) }
        } else if case .content(let position) = open.phase, !extensions.pipelining {
            actions.append(.readContent(range(from: position, open.input.profile.byteCount)))
        }
    }

    /// Gives the recipients that the peer accepted their answer.
    private mutating func settle(_ reply: SMTPReply) {
        guard let open = transaction else { return }
        for index in open.accepted { transaction?.answers[index] = .peer(reply) }
    }

    // MARK: Ends

    private mutating func endBatch(_ actions: inout [Action], _ now: Duration) {
        guard let open = transaction else { return }
        if let refusal = open.mailRefusal {
            // What the sender is refused for holds for the recipients of later transactions too.
            for index in open.batch + open.pending { transaction?.answers[index] = .peer(refusal) }
            transaction?.pending = []
        } else if !open.postponed.isEmpty {
            transaction?.pending = open.postponed + open.pending
        }
        transaction?.phase = .envelope
        beginBatch(&actions, now)
    }

    /// Ends the transaction; recipients without an answer get `remaining`.
    mutating func finishTransaction(remaining: SMTPClientResult.Answer, isUsable: Bool, _ actions: inout [Action]) {
        guard let open = transaction else { return }
        transaction = nil
        let result = SMTPClientResult(
            answers: open.answers.map { $0 ?? remaining },
            peerHandlesDSN: extensions.dsn,
            connectionIsUsable: isUsable,
            // When the whole message was sent on trust, the peer may have it: that is not nothing.
            nothingWasAnswered: open.nothingWasAnswered && !isUsable && open.phase != .sent
        )
        actions.append(.finished(result))
    }
}
