import Foundation
import MailMessage
import MailTesting
import NIOCore
import Testing

@testable import Lab

/// A real MTA that asks a milter, on loopback, with a mailbox for Bob: what tests of the filter need of Postfix and of Sendmail alike.
protocol MilterMTA: Sendable {
    /// Where it listens: the first port has its milter at an address, the second at a socket of the file system.
    var ports: [Int] { get }
    /// The messages that were delivered, with the line ends that SMTP has.
    var delivered: [Data] { get throws }
    /// The messages that were put aside.
    var held: Int { get }
    /// What an investigation needs.
    var log: String { get }

    /// Makes the client of an open session a user who has authenticated.
    func authenticate(_ client: ServerTestClient) async throws -> Bool
    /// Hands a message in on the host itself; its lines end by LF.
    func handIn(_ message: [UInt8], from sender: String) async throws
    /// Ends it, and removes what it wrote.
    func stop() async
}

extension MilterMTA {
    /// Sends a message to Bob as a client; returns the last reply.
    /// - Parameters:
    ///   - address: the client's own, of this host; `nil` for any.
    ///   - prepare: what the client does before the transaction, behind EHLO.
    func send(
        _ text: String, from sender: String, client address: String? = nil, listener: Int = 0, prepare: (ServerTestClient) async throws -> Void = { _ in }
    ) async throws -> String {
        let client = try await ServerTestClient(port: ports[listener], from: address)
        _ = await client.reply()
        _ = try await client.say("EHLO mail.gmail.test")
        try await prepare(client)
        for line in ["MAIL FROM:<\(sender)>", "RCPT TO:<bob@kartapuce.test>", "DATA"] {
            let reply = try await client.say(line)
            guard reply.hasPrefix("2") || reply.hasPrefix("3") else { return reply }
        }
        client.push(ByteBuffer(string: "\(text).\r\n"))
        let reply = await client.reply().last ?? ""
        _ = try await client.say("QUIT")
        return reply
    }

    /// The delivered message with something in it, from its first trace field on: what delivery puts in front is left out.
    func delivered(with mark: String) throws -> ByteBuffer? {
        for data in try delivered where String(decoding: data, as: UTF8.self).contains(mark) {
            let message = ByteBuffer(bytes: data)
            let header = HeaderSection(parsing: message)
            let start = header.first { !["return-path", "x-original-to", "delivered-to"].contains($0.name.lowercased()) }?.range.lowerBound ?? 0
            return message.getSlice(at: start, length: message.readableBytes - start)
        }
        return nil
    }
}

/// Which MTA.
enum MilterMTAKind: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case postfix, sendmail

    var testDescription: String { rawValue }

    /// Those that this machine has.
    static let installed = allCases.filter { $0 == .postfix ? MilterPostfix.isInstalled : MilterSendmail.isInstalled }

    /// - Parameter submissionPort: the first of its ports, where a test must know it before.
    func start(milterPort: Int, milterPath: String, submissionPort: Int? = nil) async throws -> any MilterMTA {
        switch self {
        case .postfix: try await MilterPostfix(milterPort: milterPort, milterPath: milterPath, version: 6, firstPort: submissionPort)
        case .sendmail: try await MilterSendmail(milterPort: milterPort, milterPath: milterPath, firstPort: submissionPort)
        }
    }
}
