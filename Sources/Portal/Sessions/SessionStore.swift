import Crypto
import FoundationEssentials
import MailMessage
import SASL
import Synchronization

/// Who is logged in.
///
/// The store can't open what it holds: a session is found by the SHA-256 of its identifier, and the password is encrypted with a key made of the
/// identifier itself, which only the browser has between two requests. Whoever reads this process's memory while nobody asks for anything gets no
/// password out of the store, and whoever logs out takes the key away.
final class SessionStore: Sendable {
    /// How many sessions there are, and how long.
    struct Limits: Sendable, Hashable {
        var idle = Duration.seconds(30 * 60)
        var absolute = Duration.seconds(12 * 3600)
        var sessions = 10_000
        var sessionsPerUser = 10
    }

    /// A session while a request is answered.
    struct Session: Sendable {
        let username: String
        let password: String
        /// What every form of this session carries.
        let formToken: String
        /// Begins again as a fresh value after each login; names the session in limits, and opens nothing.
        let number: UInt64
    }

    private struct Entry {
        let username: String
        /// AES-GCM of the password.
        let sealedPassword: Data
        let number: UInt64
        let began: ContinuousClock.Instant
        var lastUsed: ContinuousClock.Instant
    }

    private struct State {
        var entries: [Digest: Entry] = [:]
        var nextNumber: UInt64 = 1
    }

    private struct Digest: Hashable {
        let octets: [UInt8]
        init(of identifier: [UInt8]) { octets = Array(SHA256.hash(data: identifier)) }
    }

    private let limits: Limits
    private let now: @Sendable () -> ContinuousClock.Instant
    private let state = Mutex(State())

    /// - Parameter now: the clock.
    init(limits: Limits = Limits(), now: @escaping @Sendable () -> ContinuousClock.Instant) {
        self.limits = limits
        self.now = now
    }

    /// Sessions that have not ended.
    var count: Int { state.withLock { $0.entries.count } }

    /// Begins a session with a new identifier.
    /// - Returns: the identifier for the cookie; `nil` when there are too many sessions.
    func begin(username: String, password: String) throws -> String? {
        var generator = SystemRandomNumberGenerator()
        let identifier = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let digest = Digest(of: identifier)
        // The account is bound to the box: a box can't be given to another session.
        let box = try AES.GCM.seal(Array(password.utf8), using: Self.passwordKey(identifier), authenticating: Array(username.utf8))
        guard let sealed = box.combined else { return nil }
        let isStored = state.withLock { state in
            removeExpired(&state)
            let own = state.entries.filter { $0.value.username == username }
            if own.count >= limits.sessionsPerUser, let oldest = own.min(by: { $0.value.lastUsed < $1.value.lastUsed }) {
                state.entries[oldest.key] = nil
            }
            guard state.entries.count < limits.sessions else { return false }
            state.entries[digest] = Entry(username: username, sealedPassword: sealed, number: state.nextNumber, began: now(), lastUsed: now())
            state.nextNumber += 1
            return true
        }
        return isStored ? Self.text(identifier) : nil
    }

    /// The session of a cookie, whose idle time begins again; `nil` where there is none any more.
    func session(_ cookie: String) -> Session? {
        guard let identifier = Self.octets(cookie) else { return nil }
        let digest = Digest(of: identifier)
        let entry = state.withLock { state -> Entry? in
            guard var entry = state.entries[digest] else { return nil }
            guard isAlive(entry) else {
                state.entries[digest] = nil
                return nil
            }
            entry.lastUsed = now()
            state.entries[digest] = entry
            return entry
        }
        guard let entry, let box = try? AES.GCM.SealedBox(combined: entry.sealedPassword),
            let password = try? AES.GCM.open(box, using: Self.passwordKey(identifier), authenticating: Array(entry.username.utf8)),
            let text = String(validating: password, as: UTF8.self)
        else { return nil }
        return Session(username: entry.username, password: text, formToken: Self.formToken(identifier), number: entry.number)
    }

    /// Ends a session.
    func end(_ cookie: String) {
        guard let identifier = Self.octets(cookie) else { return }
        state.withLock { $0.entries[Digest(of: identifier)] = nil }
    }

    /// Forgets sessions whose time is over.
    func removeExpired() { state.withLock { removeExpired(&$0) } }

    /// Forgets all.
    func removeAll() { state.withLock { $0.entries = [:] } }

    private func removeExpired(_ state: inout State) { state.entries = state.entries.filter { isAlive($0.value) } }

    private func isAlive(_ entry: Entry) -> Bool {
        let now = now()
        return now - entry.lastUsed < limits.idle && now - entry.began < limits.absolute
    }

    // MARK: Derivation

    private static func passwordKey(_ identifier: [UInt8]) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: identifier), info: Array("postern webmail password".utf8), outputByteCount: 32)
    }

    /// What proves that a form came from a page of this session.
    private static func formToken(_ identifier: [UInt8]) -> String {
        text(Array(HMAC<SHA256>.authenticationCode(for: Array("postern webmail form".utf8), using: SymmetricKey(data: identifier))))
    }

    /// Octets as text that may stand in a cookie.
    static func text(_ octets: [UInt8]) -> String {
        HexDigits.text(octets)
    }

    private static func octets(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count == 64 else { return nil }
        var octets: [UInt8] = []
        for index in stride(from: 0, to: 64, by: 2) {
            guard let high = value(digits[index]), let low = value(digits[index + 1]) else { return nil }
            octets.append(high << 4 | low)
        }
        return octets
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }

    /// Whether two texts are the same, in a time that doesn't tell where they differ.
    static func areEqual(_ one: String, _ other: String) -> Bool {
        let (left, right) = (Array(one.utf8), Array(other.utf8))
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
