import SASL

extension PasswordEntry {
    /// What is stored of a password, with a fresh salt of 16 octets (RFC 7677 §4 and RFC 5802 §9 ask for one that nobody can guess).
    static func makeVerifier(_ password: String) throws -> SCRAMVerifier {
        var generator = SystemRandomNumberGenerator()
        let salt = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        do {
            return try SCRAMVerifier(password: password, salt: salt)
        } catch {
            throw CommandFailure(.badData, "the password can't be used: \(error)")
        }
    }
}
