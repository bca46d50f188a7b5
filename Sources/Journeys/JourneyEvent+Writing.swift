import FoundationEssentials
import MailMessage
import SMTP

// How events are written into the journey log: the JSON that their `Codable` form reads, with times as seconds since 1970. It is written by
// hand because every message brings a dozen of events; a field that is added to a type is added here too, and a test compares.

extension JourneyEvent {
    /// - Parameter isWhole: with what the events of one step have in common: trace, host and role.
    func write(into writer: inout JSONWriter, isWhole: Bool = true) {
        writer.object {
            if isWhole { $0.field("trace", trace.description) }
            $0.field("time", time.timeIntervalSince1970)
            if isWhole {
                $0.field("host", host)
                $0.field("role", role)
            }
            $0.field("seconds", seconds)
            $0.key("operation")
            $0.object { writer in writer.object(named: operation.kind) { operation.writeFields(into: &$0) } }
        }
    }
}

extension JourneyEvent.Operation {
    fileprivate func writeFields(into writer: inout JSONWriter) {
        switch self {
        case .connected(let value):
            writer.field("listener", value.listener)
            writer.field("client", value.client)
            writer.field("clientPort", value.clientPort)
            writer.field("server", value.server)
            writer.field("serverPort", value.serverPort)
            writer.field("proxy", value.proxy)
        case .secured(let value):
            writer.field("peer", value.peer)
            writer.field("version", value.version)
            writer.field("cipher", value.cipher)
            writer.field("group", value.group)
            writer.field("verification", value.verification)
            writer.field("peerSubject", value.peerSubject)
            writer.field("peerRoles", value.peerRoles)
        case .protected(let value):
            writer.field("peer", value.peer)
            writer.field("nextHop", value.nextHop)
            writer.field("source", value.source)
            writer.field("level", value.level)
            writer.field("encrypted", value.encrypted)
            writer.field("authenticated", value.authenticated)
            writer.field("version", value.version)
            writer.field("cipher", value.cipher)
            writer.field("group", value.group)
            writer.field("dnssec", value.dnssec)
            writer.field("chain", value.chain)
            writer.field("checks", value.checks)
            writer.field("steps", value.steps)
            writer.field("failure", value.failure)
            writer.field("verdict", value.verdict)
            writer.field("reason", value.reason)
            if let report = value.tlsReport { writer.object("tlsReport") { write(report, into: &$0) } }
        case .authenticated(let value):
            writer.field("user", value.user)
            writer.field("mechanism", value.mechanism)
            writer.field("succeeded", value.succeeded)
        case .exchanged(let value):
            writer.field("peer", value.peer)
            writer.field("outbound", value.outbound)
            writer.field("command", value.command)
            writer.field("reply", value.reply)
        case .resolved(let value):
            writer.field("name", value.name)
            writer.field("type", value.type)
            writer.field("outcome", value.outcome)
            writer.field("records", value.records)
            writer.field("security", value.security)
        case .described(let value):
            writer.field("messageID", value.messageID)
            writer.field("from", value.from)
            writer.field("subject", value.subject)
            writer.field("byteCount", value.byteCount)
            writer.field("sha256", value.sha256)
        case .checked(let value):
            writer.field("check", value.check)
            writer.field("result", value.result)
            writer.field("explanation", value.explanation)
        case .judged(let value): writeFields(of: value, into: &writer)
        case .decided(let value):
            writer.field("recipient", value.recipient)
            writer.field("verdict", value.verdict)
            writer.field("reason", value.reason)
            writer.field("reply", value.reply)
        case .committed(let value):
            writer.field("queueID", value.queueID)
            writer.field("byteCount", value.byteCount)
            writer.field("recipients", value.recipients)
        case .routed(let value):
            writer.field("recipient", value.recipient)
            writer.field("destination", value.destination)
            writer.field("reason", value.reason)
        case .attempted(let value): writeFields(of: value, into: &writer)
        case .delivered(let value):
            writer.field("recipient", value.recipient)
            writer.field("user", value.user)
            writer.field("mailbox", value.mailbox)
            writer.field("uid", Int(value.uid))
            writer.field("uidValidity", Int(value.uidValidity))
            writer.field("isDuplicate", value.isDuplicate)
        case .notified(let value):
            writer.field("kind", value.kind)
            writer.field("recipient", value.recipient)
            writer.field("notified", value.notified)
            writer.field("notificationTrace", value.notificationTrace?.description)
            writer.field("reason", value.reason)
        case .queued(let value):
            writer.field("action", value.action)
            writer.field("queueID", value.queueID)
            writer.field("reason", value.reason)
        case .abandoned(let value): writer.field("reason", value.reason)
        }
    }

    private func write(_ report: JourneyEvent.Protected.SessionReport, into writer: inout JSONWriter) {
        writer.field("record", report.record)
        writer.field("policyType", report.policyType)
        writer.field("policyDomain", report.policyDomain)
        writer.field("policyLines", report.policyLines)
        writer.field("policyHosts", report.policyHosts)
        writer.field("receivingHost", report.receivingHost)
        writer.field("receivingAddress", report.receivingAddress)
        writer.field("receivingHELO", report.receivingHELO)
        writer.field("sendingAddress", report.sendingAddress)
        writer.array("failures") { writer in
            for failure in report.failures {
                writer.object {
                    $0.field("type", failure.type)
                    $0.field("reason", failure.reason)
                }
            }
        }
    }

    private func writeFields(of value: JourneyEvent.Judged, into writer: inout JSONWriter) {
        writer.field("sourceIP", value.sourceIP)
        writer.field("envelopeFrom", value.envelopeFrom)
        writer.field("headerFrom", value.headerFrom)
        writer.field("result", value.result)
        writer.field("recordDomain", value.recordDomain)
        writer.field("record", value.record)
        if let spf = value.spf {
            writer.object("spf") {
                $0.field("domain", spf.domain)
                $0.field("scope", spf.scope)
                $0.field("result", spf.result)
            }
        }
        writer.array("signatures") { writer in
            for signature in value.signatures {
                writer.object { write(signature, into: &$0) }
            }
        }
        writer.field("isSPFAligned", value.isSPFAligned)
        writer.field("isDKIMAligned", value.isDKIMAligned)
        writer.field("disposition", value.disposition)
        writer.array("overrides") { writer in
            for override in value.overrides {
                writer.object {
                    $0.field("type", override.type)
                    $0.field("comment", override.comment)
                }
            }
        }
        guard let failure = value.failure else { return }
        writer.object("failure") {
            $0.field("results", failure.results)
            $0.field("reversePath", failure.reversePath)
            $0.field("header", failure.header)
            $0.field("spfRecords", failure.spfRecords)
            if let signature = failure.signature { $0.object("signature") { write(signature, into: &$0) } }
            $0.field("identity", failure.identity)
        }
    }

    private func write(_ signature: JourneyEvent.Judged.Signature, into writer: inout JSONWriter) {
        writer.field("domain", signature.domain)
        writer.field("selector", signature.selector)
        writer.field("result", signature.result)
    }

    private func writeFields(of value: JourneyEvent.Attempted, into writer: inout JSONWriter) {
        writer.field("queueID", value.queueID)
        writer.field("recipient", value.recipient)
        writer.field("destination", value.destination)
        writer.field("host", value.host)
        writer.field("address", value.address)
        writer.field("result", value.result)
        writer.field("reply", value.reply)
        writer.field("isLocal", value.isLocal)
        writer.field("attempt", value.attempt)
        writer.field("nextAttempt", value.nextAttempt?.timeIntervalSince1970)
        writer.field("failures", value.failures)
    }
}

extension JSONWriter {
    fileprivate mutating func field(_ name: StaticString, _ reply: SMTPReply?) {
        guard let reply else { return }
        object(name) {
            $0.field("code", Int(reply.code))
            if let status = reply.enhancedStatus {
                $0.object("enhancedStatus") {
                    $0.field("statusClass", Int(status.statusClass))
                    $0.field("subject", Int(status.subject))
                    $0.field("detail", Int(status.detail))
                }
            }
            $0.field("lines", reply.lines)
        }
    }
}
