import Crypto
import CryptoExtras

/// What a server keeps of a password: enough to verify it, not enough to log in elsewhere (RFC 5802 §2.2, RFC 7677).
///
/// It verifies SCRAM and, by deriving the keys again, a password in the clear. A second hash of the same password beside it would
/// protect nothing: whoever steals the accounts attacks the weaker of the two.
public struct SCRAMVerifier: Hashable, Sendable {
    /// The salt.
    public let salt: [UInt8]
    /// The number of PBKDF2 rounds.
    public let iterations: Int
    /// H(ClientKey), 32 octets.
    public let storedKey: [UInt8]
    /// The key that proves the server, 32 octets.
    public let serverKey: [UInt8]

    /// The rounds of new verifiers. RFC 7677 §4 asks for at least 4,096.
    public static let defaultIterations = 50_000
    /// More rounds than this would make a verifier a weapon against whoever uses it.
    static let iterationLimit = 10_000_000

    /// Takes the parts of a verifier.
    public init(salt: [UInt8], iterations: Int, storedKey: [UInt8], serverKey: [UInt8]) {
        self.salt = salt
        self.iterations = iterations
        self.storedKey = storedKey
        self.serverKey = serverKey
    }

    /// Makes a verifier of a password.
    /// - Throws: ``SASLError`` for a password that can't be used (RFC 4013 §2.3), an empty salt, or a number of rounds out of range.
    public init(password: String, salt: [UInt8], iterations: Int = defaultIterations) throws(SASLError) {
        guard !salt.isEmpty else { throw SASLError(.malformed, "a verifier needs a salt") }
        let salted = try SCRAM.saltedPassword(password, salt: salt, iterations: iterations)
        let clientKey = SCRAM.hmac(salted, "Client Key")
        self.init(salt: salt, iterations: iterations, storedKey: SCRAM.hash(clientKey), serverKey: SCRAM.hmac(salted, "Server Key"))
    }

    /// Whether this is the password. Takes the time of all rounds: not on an event loop.
    public func verify(password: String) -> Bool {
        guard let other = try? SCRAMVerifier(password: password, salt: salt, iterations: iterations) else { return false }
        return SCRAM.areEqual(other.storedKey, storedKey) && SCRAM.areEqual(other.serverKey, serverKey)
    }

    /// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, the form that PostgreSQL made common.
    public var encoded: String {
        "SCRAM-SHA-256$\(iterations):\(Base64.encode(salt))$\(Base64.encode(storedKey)):\(Base64.encode(serverKey))"
    }

    /// Reads the text form; `nil` for anything else.
    public init?(_ encoded: String) {
        let parts = encoded.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "SCRAM-SHA-256" else { return nil }
        let rounds = parts[1].split(separator: ":", omittingEmptySubsequences: false)
        let keys = parts[2].split(separator: ":", omittingEmptySubsequences: false)
        guard rounds.count == 2, keys.count == 2, let iterations = SCRAM.iterations(rounds[0]), (1...Self.iterationLimit).contains(iterations),
            let salt = Base64.decode(rounds[1]), !salt.isEmpty, let storedKey = Base64.decode(keys[0]), storedKey.count == 32,
            let serverKey = Base64.decode(keys[1]), serverKey.count == 32
        else { return nil }
        self.init(salt: salt, iterations: iterations, storedKey: storedKey, serverKey: serverKey)
    }
}

/// The functions of RFC 5802 §2.2 with SHA-256.
enum SCRAM {
    /// RFC 5802 §5: longer messages have no honest use.
    static let messageLimit = 4096
    static let passwordLimit = 1024

    /// A number of rounds: digits alone, none of them a leading zero (`posit-number`, RFC 5802 §7).
    static func iterations(_ text: some StringProtocol) -> Int? {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), text.utf8.first != 0x30 else { return nil }
        return Int(text)
    }

    static func hash(_ octets: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: octets)) }

    static func hmac(_ key: [UInt8], _ text: String) -> [UInt8] { hmac(key, Array(text.utf8)) }

    static func hmac(_ key: [UInt8], _ octets: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: octets, using: SymmetricKey(data: key)))
    }

    static func xor(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] { zip(left, right).map { $0 ^ $1 } }

    /// Compares in a time that doesn't depend on where they differ.
    static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    static func saltedPassword(_ password: String, salt: [UInt8], iterations: Int) throws(SASLError) -> [UInt8] {
        let prepared = try prepare(password)
        guard (1...SCRAMVerifier.iterationLimit).contains(iterations) else {
            throw SASLError(.malformed, "an iteration count of \(iterations)")
        }
        do {
            let key = try KDF.Insecure.PBKDF2.deriveKey(
                from: Array(prepared.utf8), salt: salt, using: .sha256, outputByteCount: 32, unsafeUncheckedRounds: iterations)
            // The bytes are copied while they are borrowed.
            return unsafe key.withUnsafeBytes { unsafe Array($0) }
        } catch {
            throw SASLError(.malformed, "the key can't be derived: \(error)")
        }
    }

    /// SASLprep (RFC 4013) as far as the standard library's Unicode data goes: other spaces become a space, characters that are
    /// commonly mapped to nothing vanish, and what is prohibited (§2.3: control characters, marks that change the direction of text,
    /// private use, noncharacters) is refused.
    ///
    /// Deliberate, and told in Documentation/protocols.md: no compatibility composition (§2.2), no check of text that runs in both
    /// directions (§2.4), no check for code points that Unicode 3.2 didn't know (§2.5). The tables of the first would cost a full
    /// Foundation, and neither the standard library nor libidn2 gives them away. What follows: the server prepares a password alike
    /// when it is set and when it comes in the clear, so PLAIN and LOGIN agree with themselves; a SCRAM client that does compose
    /// (`e` with a combining acute becomes `é`, a ligature its letters) agrees where the password was set in composed form already,
    /// as keyboards type it. ASCII is never concerned.
    static func prepare(_ text: String) throws(SASLError) -> String {
        guard text.utf8.count <= passwordLimit else { throw SASLError(.malformed, "longer than \(passwordLimit) octets") }
        if text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { return text }
        var prepared = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0xAD, 0x34F, 0x1806, 0x180B...0x180D, 0x200B...0x200D, 0x2060, 0xFE00...0xFE0F, 0xFEFF: continue
            case 0...0x1F, 0x7F...0x9F, 0x06DD, 0x070F, 0x180E, 0x2028, 0x2029, 0x2061...0x2063, 0x206A...0x206F, 0xFFF9...0xFFFD,
                0x1D173...0x1D17A, 0xE0001, 0xE0020...0xE007F:
                throw SASLError(.malformed, "a control character (RFC 4013 §2.3)")
            case 0x340, 0x341, 0x200E, 0x200F, 0x202A...0x202E, 0x2FF0...0x2FFB, 0xE000...0xF8FF, 0xF0000...0x10FFFF:
                throw SASLError(.malformed, "a prohibited character (RFC 4013 §2.3)")
            default:
                guard !scalar.properties.isNoncharacterCodePoint else {
                    throw SASLError(.malformed, "a prohibited character (RFC 4013 §2.3)")
                }
                prepared.append(scalar.properties.generalCategory == .spaceSeparator ? " " : scalar)
            }
        }
        return String(prepared)
    }
}
