import MailMessage
import NIOCore

extension SMTPServerSession {
    /// Runs one command line.
    mutating func run(_ line: [UInt8]) {
        var record = record(line)
        let followsAuthenticate = lastWasAuthenticate
        lastWasAuthenticate = false
        let command: SMTPCommand
        do {
            command = try SMTPCommand.parse(line, postmasterDomain: configuration.postmasterDomain ?? configuration.hostname)
        } catch {
            // After a refused AUTH a client may send its password nevertheless.
            if followsAuthenticate { record = SMTPServerCommandRecord("(a line after AUTH)", isInTransaction: false) }
            refuse(error.reply, record)
            if error.endsSession { close(reason: "not SMTP") }
            return
        }
        if configuration.security == .startTLSRequired, !isSecured {
            switch command {
            case .noop, .ehlo, .startTLS, .quit: break
            case .authenticate:
                lastWasAuthenticate = true
                return refuse(.make(530, (5, 7, 0), "Must issue a STARTTLS command first"), record)
            case .helo, .mail, .recipient, .data, .reset, .verify, .expand, .help:
                // RFC 3207 §4.
                return refuse(.make(530, (5, 7, 0), "Must issue a STARTTLS command first"), record)
            case .chunk(let octets, let isLast):
                return beginChunk(octets, isLast, record, rejection: .make(530, (5, 7, 0), "Must issue a STARTTLS command first"))
            }
        }
        switch command {
        case .helo(let name): greeted(name, extended: false, record)
        case .ehlo(let name): greeted(name, extended: true, record)
        case .mail(let reversePath, let parameters): mail(reversePath, parameters, record)
        case .recipient(let address, let parameters): recipient(address, parameters, record)
        case .data: beginData(record)
        case .chunk(let octets, let isLast): beginChunk(octets, isLast, record, rejection: nil)
        case .reset:
            idle(.make(250, (2, 0, 0), "Reset"), record)
            abandonTransaction(reason: "RSET")
        case .noop: idle(.make(250, (2, 0, 0), "OK"), record)
        case .quit:
            emit(.make(221, (2, 0, 0), "\(configuration.hostname) closing the connection"), record)
            close(reason: "quit")
        case .verify:
            // RFC 5321 §7.3: tells nobody who has a mailbox here.
            idle(.make(252, (2, 0, 0), "Cannot verify the user, but will take a message and try to deliver it"), record)
        case .expand: refuse(.make(502, (5, 5, 1), "EXPN is not available"), record)
        case .help:
            idle(
                SMTPReply(
                    214, EnhancedStatusCode(2, 0, 0),
                    lines: [
                        "Commands: HELO EHLO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY HELP AUTH STARTTLS",
                        "See RFC 5321; the administrator is postmaster@\(configuration.hostname)",
                    ]), record)
        case .authenticate(let mechanism, let initialResponse): authenticate(mechanism, initialResponse, record)
        case .startTLS: startTLS(record)
        }
    }

    /// Answers a command that moves no mail; too many of them in a row end the session.
    private mutating func idle(_ reply: SMTPReply, _ record: SMTPServerCommandRecord) {
        idleCommands += 1
        emit(reply, record)
        if idleCommands > configuration.limits.idleCommands {
            emit(.make(421, (4, 7, 0), "\(configuration.hostname) Too many commands without mail, closing the connection"))
        }
    }

    /// HELO and EHLO (RFC 5321 §4.1.1.1); both end an open transaction (§4.1.4).
    private mutating func greeted(_ name: String, extended: Bool, _ record: SMTPServerCommandRecord) {
        helo = name
        usesExtensions = extended
        let own = SMTPServerCommandRecord(record.text, isInTransaction: false)
        idle(extended ? SMTPReply(250, nil, lines: extensionLines(name)) : SMTPReply(250, nil, configuration.hostname), own)
        abandonTransaction(reason: extended ? "EHLO" : "HELO")
    }

    private func extensionLines(_ name: String) -> [String] {
        var lines = [
            "\(configuration.hostname) greets \(name)", "PIPELINING", "SIZE \(configuration.limits.messageSize)", "8BITMIME", "SMTPUTF8",
            "ENHANCEDSTATUSCODES", "CHUNKING", "BINARYMIME", "DSN",
        ]
        if offersStartTLS { lines.append("STARTTLS") }
        let mechanisms = offeredMechanisms
        if !mechanisms.isEmpty { lines.append("AUTH " + mechanisms.joined(separator: " ")) }
        // RFC 9422 §3.
        lines.append("LIMITS RCPTMAX=\(configuration.limits.recipients) MAILMAX=\(configuration.limits.transactions)")
        if offersRequireTLS { lines.append("REQUIRETLS") }
        if offersTrace { lines.append("XTRACE") }
        return lines
    }

    private var offersStartTLS: Bool {
        switch configuration.security {
        case .startTLS, .startTLSRequired: !isSecured
        case .none, .implicit: false
        }
    }
    private var offersRequireTLS: Bool { configuration.offersRequireTLS && isSecured }
    private var offersTrace: Bool { configuration.acceptsTraces && !peerRoles.isEmpty }

    /// STARTTLS (RFC 3207 §4).
    private mutating func startTLS(_ record: SMTPServerCommandRecord) {
        guard !isSecured else { return refuse(.make(503, (5, 5, 1), "TLS is active already"), record) }
        guard offersStartTLS else { return refuse(.make(502, (5, 5, 1), "STARTTLS is not available"), record) }
        // RFC 3207 §4.2: whoever sends more before the handshake lets somebody in between speak inside of the TLS session.
        guard input.readableBytes == 0 else {
            refuse(.make(554, (5, 5, 0), "Protocol violation: octets after STARTTLS before the handshake"), record)
            return close(reason: "octets in clear after STARTTLS")
        }
        emit(.make(220, (2, 0, 0), "Ready to start TLS"), SMTPServerCommandRecord(record.text, isInTransaction: false))
        abandonTransaction(reason: "STARTTLS")
        state = .awaitingTLS
        ask(.startTLS)
    }

    /// MAIL (RFC 5321 §4.1.1.2).
    private mutating func mail(_ reversePath: EmailAddress?, _ said: [SMTPParameter], _ record: SMTPServerCommandRecord) {
        guard helo != nil else { return refuse(.make(503, (5, 5, 1), "Say EHLO first"), record) }
        guard transaction == nil else { return refuse(.make(503, (5, 5, 1), "A transaction is open already"), record) }
        let own = SMTPServerCommandRecord(record.text, isInTransaction: true)
        guard configuration.authentication != .required || authenticatedUser != nil else {
            return refuse(.make(530, (5, 7, 0), "Authentication required"), record)
        }
        transactionsBegun += 1
        guard transactionsBegun <= configuration.limits.transactions else {
            return emit(.make(421, (4, 7, 0), "\(configuration.hostname) Too many messages in one session"), record)
        }
        let parameters: MailParameters
        do {
            let offer = MailParameters.Offer(
                usesExtensions: usesExtensions, authentication: configuration.authentication != .none, requireTLS: offersRequireTLS,
                trace: offersTrace)
            parameters = try MailParameters(said, offer: offer)
        } catch {
            return refuse(error.reply, record)
        }
        if let reversePath, !reversePath.isASCII, !parameters.usesSMTPUTF8 {
            return refuse(.make(553, (5, 6, 7), "The address needs the parameter SMTPUTF8"), record)
        }
        guard parameters.declaredSize ?? 0 <= configuration.limits.messageSize else {
            return refuse(messageTooLarge, record)
        }
        guard !refusesMessages else { return refuse(insufficientStorage, record) }
        let envelope = Envelope(
            reversePath: reversePath, bodyType: parameters.bodyType, usesSMTPUTF8: parameters.usesSMTPUTF8,
            envelopeID: parameters.envelopeID, dsnReturn: parameters.dsnReturn, requiresTLS: parameters.requiresTLS)
        let opened = Transaction(
            envelope: envelope, trace: parameters.trace, textCheck: ChunkedTextCheck(lineLimit: configuration.limits.textLineLength))
        state = .awaitingReversePath(opened, own)
        ask(.requestReversePath(envelope, trace: parameters.trace))
    }

    /// The service has judged the sender.
    public mutating func reversePathAnswered(_ reply: SMTPReply) {
        guard case .awaitingReversePath(let opened, let record) = state else { return }
        state = .commands
        if reply.isPositive {
            transaction = opened
            emit(reply, record)
        } else {
            refuse(reply, SMTPServerCommandRecord(record.text, isInTransaction: false))
        }
        returnToCommands()
    }

    /// RCPT (RFC 5321 §4.1.1.3).
    private mutating func recipient(_ address: EmailAddress, _ said: [SMTPParameter], _ record: SMTPServerCommandRecord) {
        guard let transaction else { return refuse(.make(503, (5, 5, 1), "Need MAIL before RCPT"), record) }
        guard !transaction.contentBegan else { return refuse(.make(503, (5, 5, 1), "The message has begun already"), record) }
        // RFC 5321 §4.5.3.1.10: 452, so that the client sends the rest in another transaction.
        guard transaction.envelope.recipients.count < configuration.limits.recipients else {
            self.transaction?.surplusRecipients += 1
            guard transaction.surplusRecipients < configuration.limits.surplusRecipients else {
                return emit(.make(421, (4, 7, 0), "\(configuration.hostname) Far too many recipients, closing the connection"), record)
            }
            return refuse(.make(452, (4, 5, 3), "Too many recipients, send the rest in another transaction"), record)
        }
        guard address.isASCII || transaction.envelope.usesSMTPUTF8 else {
            return refuse(.make(553, (5, 6, 7), "The address needs SMTPUTF8 in the MAIL command"), record)
        }
        let parameters: RecipientParameters
        do { parameters = try RecipientParameters(said, usesExtensions: usesExtensions) } catch { return refuse(error.reply, record) }
        let recipient = EnvelopeRecipient(address: address, notify: parameters.notify, originalRecipient: parameters.originalRecipient)
        state = .awaitingRecipient(recipient, record)
        ask(.requestRecipient(recipient, envelope: transaction.envelope))
    }

    /// The service has judged a recipient.
    public mutating func recipientAnswered(_ reply: SMTPReply) {
        guard case .awaitingRecipient(let recipient, let record) = state else { return }
        state = .commands
        if reply.isPositive {
            transaction?.envelope.recipients.append(recipient)
            emit(reply, record)
        } else {
            refuse(reply, record)
        }
        returnToCommands()
    }

    var messageTooLarge: SMTPReply {
        .make(552, (5, 3, 4), "The message is larger than \(configuration.limits.messageSize) octets")
    }
    var insufficientStorage: SMTPReply { .make(452, (4, 3, 1), "Not enough memory for a message now, try again later") }
}
