import ArgumentParser
import Gateway
import MailStore

/// What the exit code says; the numbers over 63 are those of sysexits(3).
enum ExitStatus: Int32, Sendable {
    case failure = 1
    case usage = 64
    case badData = 65
    case notFound = 66
    case unavailable = 69
    case temporary = 75
    case configuration = 78

    /// The status that an error leads to.
    init(_ error: any Error) {
        switch error {
        case let error as CommandFailure: self = error.status
        case is ConfigurationError: self = .configuration
        case let error as StoreError: self = Self.status(of: error)
        case let error as PKIError: self = Self.status(of: error)
        case is CancellationError: self = .temporary
        default: self = .failure
        }
    }

    private static func status(of error: StoreError) -> ExitStatus {
        switch error.code {
        case .exists: .failure
        case .notFound: .notFound
        case .invalidName, .corrupted: .badData
        case .full, .busy: .temporary
        case .unsupportedSchema, .inputOutput: .unavailable
        }
    }

    private static func status(of error: PKIError) -> ExitStatus {
        switch error.code {
        case .exists: .failure
        case .notFound: .notFound
        case .invalid, .invalidRequest: .badData
        case .inputOutput: .unavailable
        }
    }
}

/// A failure that a command itself found.
struct CommandFailure: Error, CustomStringConvertible {
    var status: ExitStatus
    var message: String
    var description: String { message }

    init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }
}
