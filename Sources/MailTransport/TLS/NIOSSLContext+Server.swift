internal import CNIOBoringSSL
import NIOSSL

extension NIOSSLContext {
    /// For how long a client of TLS 1.3 may come back with a ticket, in seconds: half a day, within RFC 8446 §4.6.1's seven. The keys of tickets
    /// change as often as the library wants it, every other day.
    private static let ticketSeconds: UInt32 = 12 * 3600

    /// Lets the server choose the cipher suite of TLS 1.2, in the order of ``TLSPolicy``, and shortens the life of tickets.
    ///
    /// BoringSSL can do both; NIOSSL (2.37) has a setting for neither, and keeps BoringSSL's context to itself, so it is found by its name.
    /// Where a later NIOSSL keeps it in another place, the client chooses among the same suites, and tickets live for two days.
    func setServerPreferences() {
        guard let context = unsafe Mirror(reflecting: self).children.first(where: { $0.label == "sslContext" })?.value as? OpaquePointer else { return }
        // The pointer is BoringSSL's own, of which `self` is the owner; nobody else uses it yet.
        withExtendedLifetime(self) {
            unsafe SSL_CTX_set_options(context, UInt32(SSL_OP_CIPHER_SERVER_PREFERENCE))
            unsafe SSL_CTX_set_session_psk_dhe_timeout(context, Self.ticketSeconds)
        }
    }
}
