import Foundation
import MailTesting
import Testing

/// All tests of faults, one after the other: each has the machine for itself, and many of them measure what others would disturb.
@Suite(.serialized) struct FaultTests {}

/// What a run of the tests is like.
enum FaultRun {
    /// `make faults` sets POSTERN_FAULTS=long; `make test` runs the short form.
    static let isLong = ProcessInfo.processInfo.environment["POSTERN_FAULTS"] == "long"

    /// POSTERN_FAULTS_SEED replays what another run did at random.
    static let seed = ProcessInfo.processInfo.environment["POSTERN_FAULTS_SEED"].flatMap { UInt64($0) } ?? 20_261_124

    /// Test processes that run at the same time keep out of each other's way.
    static let network = "127.86.\(ProcessInfo.processInfo.processIdentifier % 250 + 1)"

    static func address(_ number: Int) -> String { "\(network).\(number)" }

    /// Where peers listen.
    static let peerPort = 2500

    /// One line of what happened: always in the long form, in the short one it helps nobody.
    static func tell(_ line: String) {
        if isLong { print("faults: \(line)") }
    }

    /// How often something is done: more often in the long form.
    static func count(short: Int, long: Int) -> Int { isLong ? long : short }
}

/// Waits until something has happened; up to so many seconds, on a machine that others use too.
func eventually(within seconds: Int, _ condition: () async throws -> Bool) async rethrows -> Bool {
    for _ in 0..<(seconds * 20) {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(50))
    }
    return try await condition()
}

/// Waits a little while something else goes on.
func pause(milliseconds: Int) async { try? await Task.sleep(for: .milliseconds(milliseconds)) }
