import ArgumentParser
import FoundationEssentials
import Gateway
import Journeys
import MailMessage
import MailStore

extension Configuration {
    /// Opens the queue and the journeys of this host; the server may be running meanwhile.
    func openSpool() async throws -> SpoolStore {
        try requireDataFolder()
        return try await SpoolStore.open(folder: dataFolder, host: hostname)
    }

    /// Opens users and mailboxes of this host; the server may be running meanwhile.
    func openMailboxes() async throws -> MailboxStore {
        guard !roles.isDisjoint(with: [.store, .submission, .internal]) else {
            throw CommandFailure(
                .unavailable, "this host holds no users (roles: \(roles.map(\.rawValue).sorted().joined(separator: ", "))); run this on the store")
        }
        return try await MailboxStore.open(folder: dataFolder)
    }

    /// Looking into a queue must not create one by a mistyped path.
    private func requireDataFolder() throws {
        guard FileManager.default.fileExists(atPath: dataFolder) else {
            throw CommandFailure(.notFound, "the data folder \(dataFolder) doesn't exist; has this host ever been started?")
        }
    }
}

/// Times as people read them.
enum PeopleTime {
    /// `2026-11-23 21:13:05`, UTC.
    static func text(_ date: Date) -> String {
        let time = JourneyTime(date)
        return "\(time.day) \(time.clock.prefix(8))"
    }
}

extension EmailAddress {
    /// An address from the command line.
    static func argument(_ text: String) throws -> EmailAddress {
        do {
            return try EmailAddress(parsing: text)
        } catch {
            throw ValidationError("“\(text)” is no mail address: \(error)")
        }
    }
}
