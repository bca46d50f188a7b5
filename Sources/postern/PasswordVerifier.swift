import SASL

extension PasswordEntry {
    /// What is stored of a password, with a fresh salt.
    static func makeVerifier(_ password: String) throws -> SCRAMVerifier {
        try SCRAMVerifier(password: password)
    }
}
