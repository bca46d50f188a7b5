import Foundation
import MailTesting
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
