import MailMessage
import NIOCore

extension MilterSession {
    /// The filter's decision about CONNECT, HELO, MAIL, RCPT or DATA.
    public mutating func decide(_ decision: MilterVerdict.Decision) {
        guard case .awaitingDecision(let stage, let message) = state else { return }
        let response = Self.response(decision, at: stage)
        respond(response)
        guard let message else {
            state = .client
            return
        }
        state = .envelope(message)
        // A recipient that is refused leaves the others; whatever else isn't `continue` ends the message for this filter.
        let endsMessage = response == .accept || response == .discard || stage != .recipient
        if response != .continue, endsMessage { messageEnded() }
    }

    private static func response(_ decision: MilterVerdict.Decision, at stage: MilterStage) -> MilterResponse {
        switch decision {
        case .continue: .continue
        case .accept: .accept
        case .reject: .reject
        case .tempFail: .tempFail
        case .reply(let reply): .replyCode(reply.description)
        case .discard: stage == .connect || stage == .helo ? .tempFail : .discard
        case .quarantine: .tempFail
        }
    }

    /// The filter's verdict about the message that is complete.
    public mutating func verdict(_ verdict: MilterVerdict) {
        guard case .awaitingVerdict = state else { return }
        conclude(verdict, ending: nil)
    }

    /// Tells the MTA that the filter is still at work, so that it goes on waiting.
    public mutating func progress() {
        guard case .awaitingVerdict = state else { return }
        respond(.progress)
    }

    mutating func conclude(_ verdict: MilterVerdict, ending: MilterAction?) {
        var output = ByteBuffer()
        var refused: [MilterChange] = []
        var decision = verdict.decision
        if case .quarantine = decision, !(negotiation?.actions.contains(.quarantine) ?? false) { decision = .tempFail }
        if decision.keepsMessage {
            for change in verdict.changes {
                let responses = responses(to: change)
                if responses.isEmpty { refused.append(change) }
                for response in responses { response.packet.write(into: &output) }
            }
        }
        if case .quarantine(let reason) = decision {
            MilterResponse.quarantine(reason.isEmpty ? "quarantined" : reason).packet.write(into: &output)
            MilterResponse.continue.packet.write(into: &output)
        } else {
            Self.response(decision, at: .endOfMessage).packet.write(into: &output)
        }
        emit(.write(output))
        if !refused.isEmpty { emit(.changesRefused(refused)) }
        if let ending { emit(ending) }
        messages += 1
        messageEnded()
    }

    /// What asks for a change; nothing where it can't be asked for.
    private func responses(to change: MilterChange) -> [MilterResponse] {
        let can = negotiation?.actions ?? []
        switch change {
        case .addHeader(let name, let value):
            guard can.contains(.addHeaders), let (name, value) = field(name, value) else { return [] }
            return [.addHeader(name: name, value: value)]
        case .insertHeader(let index, let name, let value):
            guard can.contains(.addHeaders), let (name, value) = field(name, value) else { return [] }
            return [.insertHeader(index: index, name: name, value: value)]
        case .changeHeader(let name, let occurrence, let value):
            // An empty value would delete the field.
            guard can.contains(.changeHeaders), occurrence > 0, let (name, value) = field(name, value), value.readableBytes > 0 else { return [] }
            return [.changeHeader(index: occurrence, name: name, value: value)]
        case .deleteHeader(let name, let occurrence):
            guard can.contains(.changeHeaders), occurrence > 0, let (name, _) = field(name, ByteBuffer()) else { return [] }
            return [.changeHeader(index: occurrence, name: name, value: ByteBuffer())]
        case .addRecipient(let address, let parameters):
            if parameters.isEmpty, can.contains(.addRecipients) { return [.addRecipient("<\(address)>")] }
            guard can.contains(.addRecipientsWithParameters) else { return [] }
            return [.addRecipientWithParameters("<\(address)>", parameters.joined(separator: " "))]
        case .deleteRecipient(let path): return can.contains(.deleteRecipients) ? [.deleteRecipient(path.text)] : []
        case .changeSender(let address, let parameters):
            guard can.contains(.changeSender) else { return [] }
            let text = parameters.isEmpty ? nil : parameters.joined(separator: " ")
            return [.changeSender("<\(address?.description ?? "")>", parameters: text)]
        case .replaceBody(let body):
            guard can.contains(.changeBody) else { return [] }
            var rest = body
            var chunks: [MilterResponse] = []
            while let chunk = rest.readSlice(length: min(rest.readableBytes, MilterResponse.maximumBodyChunk)), chunk.readableBytes > 0 {
                chunks.append(.replaceBody(chunk))
            }
            return chunks.isEmpty ? [.replaceBody(ByteBuffer())] : chunks
        }
    }

    /// A field in the form that was negotiated; `nil` where it would break the header.
    private func field(_ name: String, _ value: ByteBuffer) -> (ByteBuffer, ByteBuffer)? {
        let name = ByteBuffer(string: name)
        let isExact = negotiation?.steps.contains(.leadingSpace) ?? false
        guard MilterHeaderOctets.isName(name), let value = MilterHeaderOctets.protocolValue(value, isExact: isExact),
            name.readableBytes + value.readableBytes < configuration.limits.packetLength
        else { return nil }
        return (name, value)
    }
}
