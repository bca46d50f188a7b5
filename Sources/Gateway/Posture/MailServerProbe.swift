public import DNS
import MailTransport
import NIOCore
import NIOPosix
public import Posture
import SMTP
import TransportSecurity

/// Speaks to mail servers for a check of a domain: politely, one connection to each address, and without sending anything.
public struct MailServerProbe: PostureSMTPProbe {
    private let inquiry: SMTPInquiry
    private let port: Int
    /// For tests, whose servers can't have port 25.
    private let places: [IPAddress: Int]

    /// - Parameters:
    ///   - helloName: what we call ourselves.
    ///   - places: other ports for some addresses.
    /// - Throws: what makes TLS unusable.
    public init(helloName: DomainName, timeLimit: Duration = .seconds(15), port: Int = 25, places: [IPAddress: Int] = [:]) throws {
        inquiry = try SMTPInquiry(helloName: helloName.ascii, timeLimit: timeLimit, group: MultiThreadedEventLoopGroup.singleton)
        self.port = port
        self.places = places
    }

    public func observe(host: DomainName, address: IPAddress, envelopes: [PostureEnvelope]) async -> PostureSMTPObservation {
        let result = await inquiry.ask(
            address, port: places[address] ?? port, serverName: host.ascii,
            envelopes: envelopes.map { SMTPInquiry.Envelope(sender: $0.sender, recipient: $0.recipient) })
        if let failure = result.connectionFailure {
            return PostureSMTPObservation(contact: failure == "refused" ? .refused("the connection was refused") : .unreachable(failure))
        }
        guard let greeting = result.greeting else { return PostureSMTPObservation(contact: .unreachable(result.interruption ?? "it says nothing")) }
        guard greeting.isPositive else { return PostureSMTPObservation(contact: .refused("\(greeting)"), greeting: greeting.lines.first ?? "") }
        var answers = zip(envelopes, result.answers).map { envelope, reply in
            PostureSMTPObservation.Answer(envelope: envelope, code: Int(reply.code), text: reply.lines.joined(separator: " "))
        }
        // What it didn't get to is unclear, and not refused.
        for envelope in envelopes.dropFirst(answers.count) {
            answers.append(.init(envelope: envelope, code: nil, text: result.interruption ?? "the server ended the connection"))
        }
        return PostureSMTPObservation(
            contact: .greeted, greeting: greeting.lines.first ?? "", extensions: Array((result.hello?.lines ?? []).dropFirst()), tls: result.tls,
            answers: answers)
    }
}
