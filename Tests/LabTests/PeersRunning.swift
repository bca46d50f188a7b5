import Foundation
import MailTesting
import Testing

@testable import Lab

/// The servers of other makes that mail is exchanged with.
enum PeerKind: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case postfix, exim, opensmtpd

    var testDescription: String { rawValue }

    func neighbour(_ plan: AddressPlan) -> Neighbour {
        switch self {
        case .postfix: Neighbour(name: rawValue, number: 1, plan: plan)
        case .exim: Neighbour(name: rawValue, number: 2, plan: plan)
        case .opensmtpd: Neighbour(name: rawValue, number: 3, plan: plan)
        }
    }

    func start(_ files: PeerFolder) async throws -> any MailPeer {
        switch self {
        case .postfix: try await PostfixPeer(files)
        case .exim: try await EximPeer(files)
        case .opensmtpd: try await OpenSMTPDPeer(files)
        }
    }

    /// Another number for each peer, so that no two messages are the same.
    func seed(_ number: UInt64) -> UInt64 { number * 10 + UInt64(PeerKind.allCases.firstIndex(of: self) ?? 9) }

    /// What Debian's OpenSMTPD can't do: its TLS server ends every handshake by an alert (6.8.0 was made for OpenSSL 1.1), and it doesn't know SMTPUTF8.
    var hasTLSServer: Bool { self != .opensmtpd }
    var hasSMTPUTF8: Bool { self != .opensmtpd }
    var hasChunking: Bool { self != .opensmtpd }
}

/// Kartapuce together with three mail servers of other makes and an LMTP server, for a suite and all suites in it.
struct PeersRunning: SuiteTrait, TestScoping {
    let network: Int

    @TaskLocal private static var running: PeersRunning.Servers?

    struct Servers: Sendable {
        var kartapuce: Kartapuce
        var mail: [PeerKind: any MailPeer]
        var dovecot: DovecotPeer
    }

    static var servers: Servers {
        get throws { try #require(running, "the suite doesn't bring up peers") }
    }

    @concurrent
    func provideScope(for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void) async throws {
        let plan = AddressPlan(network: network)
        var options = Kartapuce.Options(binary: try posternBinary(), plan: plan)
        options.neighbours = PeerKind.allCases.map { $0.neighbour(plan) }
        let dovecot = Neighbour(name: "dovecot", number: 4, plan: plan)
        options.relayRoutes = PeerKind.allCases.map { kind in
            let neighbour = kind.neighbour(plan)
            let security = kind.hasTLSServer ? "verified" : "plain"
            return "\(neighbour.routedDomain): {host: \(neighbour.host), address: \(neighbour.address), security: \(security)}"
        }
        options.relayRoutes.append(
            "\(dovecot.routedDomain): {host: \(dovecot.host), address: \(dovecot.address), port: \(DovecotPeer.port), transport: lmtp}"
        )
        let kartapuce = try await Kartapuce.start(options) { print("lab: \($0)") }
        var stops: [@Sendable () async -> Void] = [{ await kartapuce.stop() }]
        do {
            var mail: [PeerKind: any MailPeer] = [:]
            for kind in PeerKind.allCases {
                let neighbour = kind.neighbour(plan)
                print("lab: starting \(neighbour.host) at \(neighbour.address)")
                let folder = "\(kartapuce.folder)/\(neighbour.name)"
                let peer = try await kind.start(PeerFolder(neighbour: neighbour, plan: plan, path: folder, authority: kartapuce.authority))
                stops.append { await peer.stop() }
                mail[kind] = peer
            }
            let lmtp = try await DovecotPeer(
                PeerFolder(neighbour: dovecot, plan: plan, path: "\(kartapuce.folder)/dovecot", authority: kartapuce.authority)
            )
            stops.append { await lmtp.stop() }
            let servers = Servers(kartapuce: kartapuce, mail: mail, dovecot: lmtp)
            try await Self.$running.withValue(servers) { try await LabRunning.$running.withValue(kartapuce) { try await function() } }
        } catch {
            for stop in stops.reversed() { await stop() }
            throw error
        }
        for stop in stops.reversed() { await stop() }
    }
}

extension SuiteTrait where Self == PeersRunning {
    /// The suite's tests find Kartapuce on addresses 127.N.0.0/16, with neighbours.
    static func peers(network: Int) -> Self { PeersRunning(network: network) }
}

/// All tests with programs that aren't part of the laboratory, one after the other.
@Suite(
    .serialized,
    .timeLimit(.minutes(5)),
    .enabled(if: PeerLayer.areInstalled, "needs Exim, OpenSMTPD, Dovecot and mail programs; make interop installs them beside the system"),
    .peers(network: 86)
)
struct InteropPeersTests {}
