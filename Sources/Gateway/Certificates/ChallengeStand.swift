import ACME
import DNS
import DNSUpdate
import FoundationEssentials
import Logging
import NIOCore

/// The challenges of one order, set up and taken away again.
final class ChallengeStand {
    private let keeper: CertificateKeeper
    private let tasks: [ACMEChallengeTask]
    /// The listener, where no host runs that has one.
    private var listener: (any Channel)?

    init(keeper: CertificateKeeper, tasks: [ACMEChallengeTask]) {
        self.keeper = keeper
        self.tasks = tasks
    }

    /// Sets all of them up.
    func put(isServed: Bool) async throws {
        for task in tasks { try keeper.challenges.put(task, at: keeper.now()) }
        switch keeper.settings.challenge {
        case .http01, .tlsALPN01:
            guard !isServed else { return }
            let responder = ChallengeResponder(
                folder: keeper.challenges, settings: keeper.settings, group: keeper.group, logger: keeper.logger)
            do { listener = try await responder.bind() } catch {
                throw HostError(
                    "\(keeper.settings.challenge.rawValue) can't be answered at \(keeper.settings.address) port \(keeper.settings.challengePort): \(error)")
            }
        case .dns01:
            guard let updater = keeper.updater else { throw HostError("dns-01 needs acme.updateServer and acme.updateKeyFile") }
            // A name and its wildcard have their records under one name: what an earlier order left goes first, then all are added.
            let names = Set(tasks.compactMap(\.recordName))
            var changes = names.sorted().map { UpdateChange.deleteRecords($0, .txt) }
            for task in tasks {
                guard let name = task.recordName else { throw HostError("\(task.name) has no room for a challenge below it") }
                changes.append(.add(name, timeToLive: 60, .txt(Array(task.recordText.utf8))))
            }
            try await updater.update(changes, at: keeper.now())
            try await Task.sleep(for: .seconds(keeper.settings.updateSettleSeconds))
        }
    }

    /// Takes all of them away, as far as that goes.
    func remove() async {
        for task in tasks { keeper.challenges.remove(task) }
        try? await listener?.close().get()
        listener = nil
        guard keeper.settings.challenge == .dns01, let updater = keeper.updater else { return }
        do {
            try await updater.update(Set(tasks.compactMap(\.recordName)).sorted().map { .deleteRecords($0, .txt) }, at: keeper.now())
        } catch {
            keeper.logger.warning("the records of challenges stay in the zone", metadata: ["error": "\(error)"])
        }
    }
}
