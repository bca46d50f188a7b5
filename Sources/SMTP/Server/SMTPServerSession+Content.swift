import MailMessage
import NIOCore

extension SMTPServerSession {
    /// How far a message may grow beyond its limit while it is thrown away; then the connection ends.
    private var toleratedOctets: Int {
        let product = configuration.limits.messageSize.multipliedReportingOverflow(by: 3)
        return product.overflow ? .max : product.partialValue
    }

    // MARK: - DATA

    /// DATA (RFC 5321 §4.1.1.4).
    mutating func beginData(_ record: SMTPServerCommandRecord) {
        guard let transaction else { return refuse(.make(503, (5, 5, 1), "Need MAIL before DATA"), record) }
        guard !transaction.contentBegan else { return refuse(.make(503, (5, 5, 1), "DATA cannot follow BDAT (RFC 3030 2)"), record) }
        guard transaction.envelope.bodyType != .binaryMIME else {
            return refuse(.make(503, (5, 5, 1), "BINARYMIME needs BDAT (RFC 3030 3)"), record)
        }
        guard !transaction.envelope.recipients.isEmpty else { return refuse(.make(554, (5, 5, 1), "No valid recipients"), record) }
        guard !refusesMessages else {
            refuse(insufficientStorage, record)
            return abandonTransaction(reason: "memory is short")
        }
        self.transaction?.contentBegan = true
        emit(SMTPReply(354, nil, "Start mail input; end with <CRLF>.<CRLF>"), record)
        ask(.contentBegan)
        state = .data(
            DataDecoder(allowsBareLineFeeds: allowsBareLineFeeds, lineLimit: configuration.limits.textLineLength))
    }

    mutating func advanceData(_ before: DataDecoder) -> Bool {
        var decoder = before
        let piece = decoder.next(&input)
        state = .data(decoder)
        if let fault = decoder.fault { refuseContent(fault.reply(limits: configuration.limits)) }
        switch piece {
        case .needsMore: return false
        case .content(let octets):
            take(octets)
            return true
        case .end:
            completeMessage()
            return true
        }
    }

    // MARK: - BDAT

    /// BDAT (RFC 3030 §2). The octets follow whatever the reply will be.
    mutating func beginChunk(_ size: Int, _ isLast: Bool, _ record: SMTPServerCommandRecord, rejection: SMTPReply?) {
        guard size <= toleratedOctets else {
            refuse(messageTooLarge, record)
            return close(reason: "chunk too large")
        }
        var rejection = rejection
        if rejection == nil {
            if transaction == nil {
                rejection = .make(503, (5, 5, 1), "Need MAIL before BDAT")
            } else if transaction?.envelope.recipients.isEmpty == true {
                rejection = .make(554, (5, 5, 1), "No valid recipients")
            } else if refusesMessages, transaction?.contentBegan == false {
                rejection = insufficientStorage
            } else if transaction?.contentBegan == false {
                transaction?.contentBegan = true
                ask(.contentBegan)
            }
        }
        state = .chunk(Chunk(size: size, remaining: size, isLast: isLast, rejection: rejection, record: record))
    }

    mutating func advanceChunk(_ before: Chunk) -> Bool {
        var chunk = before
        if chunk.remaining > 0 {
            guard input.readableBytes > 0, let octets = input.readSlice(length: min(chunk.remaining, input.readableBytes)) else { return false }
            chunk.remaining -= octets.readableBytes
            state = .chunk(chunk)
            if chunk.rejection == nil {
                if transaction?.envelope.bodyType != .binaryMIME {
                    transaction?.textCheck.check(octets)
                    if let fault = transaction?.textCheck.fault { refuseContent(fault.reply(limits: configuration.limits)) }
                }
                take(octets)
            }
            return true
        }
        if let rejection = chunk.rejection {
            state = .commands
            refuse(rejection, chunk.record)
            returnToCommands()
            return true
        }
        if chunk.isLast, transaction?.envelope.bodyType != .binaryMIME {
            transaction?.textCheck.finish()
            if let fault = transaction?.textCheck.fault { refuseContent(fault.reply(limits: configuration.limits)) }
        }
        if chunk.isLast || transaction?.refusal != nil {
            completeMessage()
        } else {
            state = .commands
            emit(.make(250, (2, 0, 0), "\(chunk.size) octets received"), chunk.record)
        }
        return true
    }

    // MARK: - Both

    private mutating func take(_ octets: ByteBuffer) {
        guard transaction != nil else { return }
        transaction?.octets += octets.readableBytes
        let total = transaction?.octets ?? 0
        if total > configuration.limits.messageSize { refuseContent(messageTooLarge) }
        guard total <= toleratedOctets else {
            refuse(messageTooLarge, messageRecord)
            return close(reason: "message too large")
        }
        if transaction?.refusal == nil { ask(.content(octets)) }
    }

    /// The message will get `reply`; the first reason counts. What follows of it is thrown away.
    private mutating func refuseContent(_ reply: SMTPReply) {
        guard transaction != nil, transaction?.refusal == nil else { return }
        transaction?.refusal = reply
        ask(.contentRefused)
    }

    /// The message could not be kept: it will get `reply` when it is complete.
    public mutating func contentFailed(_ reply: SMTPReply) {
        guard transaction != nil, transaction?.refusal == nil else { return }
        transaction?.refusal = reply
    }

    private var messageRecord: SMTPServerCommandRecord {
        SMTPServerCommandRecord("(message, \(transaction?.octets ?? 0) octets)", isInTransaction: true)
    }

    private mutating func completeMessage() {
        guard let transaction else { return returnToCommands() }
        let record = messageRecord
        if let first = transaction.refusal {
            // Whether the size or another fault was seen first depends on how the octets were cut; what the client is told does not.
            let refusal = transaction.octets > configuration.limits.messageSize ? messageTooLarge : first
            state = .commands
            refuse(refusal, record)
            abandonTransaction(reason: refusal.description)
            return returnToCommands()
        }
        state = .awaitingVerdict(record)
        ask(.requestVerdict(envelope: transaction.envelope, trace: transaction.trace, octets: transaction.octets))
    }

    /// The service has taken the message, or refused it.
    public mutating func verdictAnswered(_ reply: SMTPReply) {
        guard case .awaitingVerdict(let record) = state else { return }
        state = .commands
        transaction = nil
        if reply.isPositive {
            countMessage()
            emit(reply, record)
        } else {
            refuse(reply, record)
        }
        returnToCommands()
    }
}
