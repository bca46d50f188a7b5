/// Something that the laboratory needs and didn't get. The text says what, and where to look.
public struct LabError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of fault it is.
    public enum Code: Sendable, Hashable {
        /// A program isn't installed, or the process may not bind the ports.
        case missingPrerequisite
        /// A program ended, or ended with an error.
        case processFailed
        /// Something didn't happen in time.
        case timedOut
        /// A file couldn't be read or written.
        case file
    }

    public let code: Code
    public let description: String

    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
