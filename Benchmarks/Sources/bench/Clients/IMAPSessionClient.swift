import NIOCore
import NIOSSL

/// An IMAP session for measuring.
final class IMAPSessionClient {
    private let client: LineClient
    private var number = 0

    private init(_ client: LineClient) { self.client = client }

    /// Connects, reads the greeting and logs in.
    static func login(port: Int, tls: NIOSSLContext, source: String? = nil) async throws -> IMAPSessionClient {
        let client = try await LineClient.connect(port: port, tls: tls, source: source)
        let session = IMAPSessionClient(client)
        _ = try await client.exchange(ByteBuffer(), until: .line)
        try await session.command("LOGIN \(TestAccount.user) \(TestAccount.password)")
        return session
    }

    /// Sends a command; its whole answer, which must be OK.
    @discardableResult func command(_ text: String, literal: ByteBuffer? = nil) async throws -> ByteBuffer {
        number += 1
        let tag = "A\(number)"
        var buffer = ByteBuffer(string: "\(tag) \(text)")
        if let literal {
            buffer.writeString(" {\(literal.readableBytes)}\r\n")
            let answer = try await client.exchange(buffer, until: .line)
            guard answer.readableBytesView.first == UInt8(ascii: "+") else { throw BenchError("\(text.prefix(60)): \(String(buffer: answer).prefix(300))") }
            buffer = literal
        }
        buffer.writeString("\r\n")
        let answer = try await client.exchange(buffer, until: .tagged(tag))
        let end = String(decoding: answer.readableBytesView.suffix(8192), as: UTF8.self).split(separator: "\r\n").last ?? ""
        guard end.hasPrefix("\(tag) OK") else { throw BenchError("\(text.prefix(60)): \(end.prefix(300))") }
        return answer
    }

    func close() async { await client.close() }
}

/// The user of the mailboxes that are measured.
enum TestAccount {
    static let user = "bob@kartapuce.test"
    static let password = "correct-horse"
}
