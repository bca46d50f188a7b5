import ArgumentParser
import Gateway
import MailMessage
import SASL

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// How a password reaches a command: never as an argument, which every user of the machine could read.
struct PasswordOptions: ParsableArguments {
    @Flag(name: .long, help: "Read the password from standard input, up to the end of its first line.")
    var passwordStdin = false
    @Flag(name: .long, help: "Take a password that is easy to guess; for labs.")
    var allowWeakPassword = false

    /// Asks for a password and makes the verifier that is stored of it.
    func verifier(for user: EmailAddress) throws -> SCRAMVerifier {
        let password = passwordStdin ? try PasswordEntry.readLine() : try PasswordEntry.prompt(for: user)
        if let weakness = PasswordQuality.weakness(of: password, user: user), !allowWeakPassword {
            throw CommandFailure(.badData, "the password \(weakness); choose a longer or less regular one")
        }
        guard !password.isEmpty else { throw CommandFailure(.badData, "the password is empty") }
        return try PasswordEntry.makeVerifier(password)
    }
}

/// What makes a password easy to guess. A floor, no measure of strength: length is what counts (NIST SP 800-63B-4 §3.1.1.2).
enum PasswordQuality {
    static let minimumLength = 10
    static let maximumBytes = 1024
    private static let wellKnown: Set<String> = [
        "1234567890", "0123456789", "qwertyuiop", "password12", "password123", "password1234", "passwordpassword", "letmeinplease",
        "administrator", "iloveyou123", "welcome123", "changeme123", "azertyuiop",
    ]

    /// Why a password is refused, as the end of a sentence; `nil` where it may be taken.
    static func weakness(of password: String, user: EmailAddress) -> String? {
        let lowered = password.lowercased()
        if password.count < minimumLength { return "has fewer than \(minimumLength) characters" }
        if password.utf8.count > maximumBytes { return "has more than \(maximumBytes) bytes" }
        if Set(lowered).count < 5 { return "repeats fewer than five characters" }
        if wellKnown.contains(lowered) { return "is among the first that everybody tries" }
        let name = user.localPart.lowercased()
        if name.count >= 3, lowered.contains(name), lowered.count - name.count < minimumLength - 2 {
            return "is the user's name with a little more"
        }
        return nil
    }
}

enum PasswordEntry {
    /// The first line of standard input without its end.
    static func readLine() throws -> String {
        var bytes: [UInt8] = []
        while bytes.count <= PasswordQuality.maximumBytes {
            var byte: UInt8 = 0
            // One byte is read into the one byte there is.
            let count = unsafe read(STDIN_FILENO, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1, byte != 0x0A else { break }
            bytes.append(byte)
        }
        if bytes.last == 0x0D { bytes.removeLast() }
        guard bytes.count <= PasswordQuality.maximumBytes, let text = String(validating: bytes, as: UTF8.self) else {
            throw CommandFailure(.badData, "the password isn't UTF-8, or is longer than \(PasswordQuality.maximumBytes) bytes")
        }
        return text
    }

    /// Asks twice on the terminal, without echo.
    static func prompt(for user: EmailAddress) throws -> String {
        guard isatty(STDIN_FILENO) == 1 else {
            throw CommandFailure(.usage, "there is no terminal to ask for the password; use --password-stdin")
        }
        let first = try withoutEcho { try ask("Password for \(user): ") }
        let second = try withoutEcho { try ask("Once more: ") }
        guard first == second else { throw CommandFailure(.badData, "the two passwords differ; nothing was changed") }
        return first
    }

    private static func ask(_ question: String) throws -> String {
        Terminal.write(Array(question.utf8), to: STDERR_FILENO)
        defer { Terminal.write([0x0A], to: STDERR_FILENO) }
        return try readLine()
    }

    private static func withoutEcho(_ body: () throws -> String) throws -> String {
        var settings = termios()
        // The structure lives on this stack during each call.
        guard unsafe tcgetattr(STDIN_FILENO, &settings) == 0 else {
            throw CommandFailure(.unavailable, "the terminal can't be asked without echo; use --password-stdin")
        }
        var silent = settings
        silent.c_lflag &= ~tcflag_t(ECHO)
        guard unsafe tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0 else {
            throw CommandFailure(.unavailable, "the terminal can't be asked without echo; use --password-stdin")
        }
        defer { _ = unsafe tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings) }
        return try body()
    }
}
