public import DNS
public import NIOCore
import NIOPosix
import SMTP
import TransportSecurity

/// Finds out whether a server still takes a version of TLS that is forbidden (RFC 8996): offers it and nothing else, and goes as soon as that is decided.
public struct TLSVersionInquiry: Sendable {
    /// An outdated version.
    public enum Version: String, Sendable, CaseIterable {
        case tls10 = "TLS 1.0"
        case tls11 = "TLS 1.1"
    }

    /// What came of it.
    public enum Outcome: Sendable, Hashable {
        /// The handshake succeeded, with this cipher suite.
        case accepted(String)
        /// The server ended it.
        case refused(String)
        /// It didn't come so far, or nothing came in time.
        case unclear(String)
    }

    private let group: any EventLoopGroup
    private let helloName: String
    private let timeLimit: Duration
    private let contexts: [Version: TLSClientContext]

    /// - Parameters:
    ///   - helloName: what we call ourselves where SMTP comes before TLS.
    ///   - timeLimit: for connecting, and for each answer.
    /// - Throws: ``TLSFailure``.
    public init(helloName: String, timeLimit: Duration = .seconds(15), group: any EventLoopGroup) throws {
        self.group = group
        self.helloName = helloName
        self.timeLimit = timeLimit
        contexts = Dictionary(uniqueKeysWithValues: try Version.allCases.map { ($0, try .outdated($0)) })
    }

    /// Tries a version.
    /// - Parameter afterSTARTTLS: whether the server speaks SMTP first.
    public func ask(_ version: Version, _ address: IPAddress, port: Int, serverName: String?, afterSTARTTLS: Bool) async -> Outcome {
        guard let context = contexts[version] else { return .unclear("\(version.rawValue) isn't known here") }
        let wire: SMTPInquiryWire
        do {
            let (channel, handler) = try await SMTPInquiryWire.connect(address, port, group: group, timeLimit: timeLimit)
            wire = SMTPInquiryWire(channel: channel, handler: handler, timeLimit: timeLimit)
        } catch {
            return .unclear(SMTPClientConnection.reason(error))
        }
        defer { wire.channel.close(promise: nil) }
        if afterSTARTTLS {
            do {
                var reply = try await wire.reply()
                for command in ["EHLO \(helloName)", "STARTTLS"] where reply.isPositive { reply = try await wire.command(command) }
                guard reply.isPositive else { return .unclear("\(reply)") }
            } catch {
                return .unclear("\(error)")
            }
        }
        do {
            return .accepted(try await wire.startTLS(context, serverName: serverName).cipherSuite ?? "")
        } catch let end as SMTPInquiryHandler.Ended where end.isLate {
            return .unclear(end.description)
        } catch {
            return .refused("\(error)")
        }
    }
}
