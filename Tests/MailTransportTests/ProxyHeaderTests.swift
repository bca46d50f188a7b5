import DNS
import MailMessage
import MailTesting
import NIOCore
import NIOSSL
import SMTP
import Testing

@testable import MailTransport

/// The PROXY protocol: what a trusted proxy says of the client.
@Suite(.timeLimit(.minutes(1))) struct ProxyHeaderTests {
    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    private func read(_ octets: [UInt8]) throws -> ProxyHeader? {
        var buffer = ByteBuffer(bytes: octets)
        return try ProxyHeader.read(from: &buffer)
    }

    /// A header of version 2.
    private static func binary(_ body: [UInt8]) -> [UInt8] { binary(0x21, 0x11, body) }

    private static func binary(_ command: UInt8, _ family: UInt8, _ body: [UInt8]) -> [UInt8] {
        signature + [command, family, UInt8(body.count >> 8), UInt8(body.count & 0xFF)] + body
    }

    private static let four: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 2, 0xDC, 0x04, 0x00, 0x19]
    private static let tom = ProxyHeader(source: .init(.v4(0xC000_0201), 56324), destination: .init(.v4(0xC633_6402), 25))

    @Test(
        arguments: [
            ("PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\n", tom),
            (
                "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n",
                ProxyHeader(source: .init(.v6(0x2001_0db8_0000_0000, 1), 1), destination: .init(.v6(0x2001_0db8_0000_0000, 2), 65535))
            ), ("PROXY UNKNOWN\r\n", ProxyHeader(source: nil, destination: nil)),
            ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", ProxyHeader(source: nil, destination: nil)),
        ] as [(String, ProxyHeader)]
    )
    func linesAreRead(line: String, expected: ProxyHeader) throws {
        var buffer = ByteBuffer(string: line + "EHLO x\r\n")
        #expect(try ProxyHeader.read(from: &buffer) == expected)
        #expect(String(buffer: buffer) == "EHLO x\r\n")
        // However it is cut, it is the same, and nothing is taken before it is whole.
        for count in 0..<line.utf8.count {
            var part = ByteBuffer(bytes: line.utf8.prefix(count))
            #expect(try ProxyHeader.read(from: &part) == nil)
            #expect(part.readableBytes == count)
        }
    }

    @Test(
        arguments: [
            "EHLO x\r\n", "PROXY\r\n", "PROXY \r\n", "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 +2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n", "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
            "PROXY TCP4 \u{0} 1.2.3.4 1 2\r\n", "PROXY UNKNOWN " + String(repeating: "x", count: 200), "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        ]
    )
    func otherLinesAreRefused(line: String) {
        #expect(throws: ProxyHeaderError.self) { try read(Array(line.utf8)) }
    }

    @Test func binaryHeadersAreRead() throws {
        #expect(try read(Self.binary(Self.four)) == Self.tom)
        let six = [UInt8](repeating: 0, count: 15) + [1] + [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 1, 2, 3, 4] + [0, 1, 0, 2]
        #expect(try read(Self.binary(0x21, 0x21, six)) == ProxyHeader(source: .init(.v6(0, 1), 1), destination: .init(.v4(0x0102_0304), 2)))
        // LOCAL, and a family that isn't known to the proxy.
        #expect(try read(Self.binary(0x20, 0x11, Self.four)) == ProxyHeader(source: nil, destination: nil))
        #expect(try read(Self.binary(0x20, 0x00, [])) == ProxyHeader(source: nil, destination: nil))
        #expect(try read(Self.binary(0x21, 0x00, [1, 2, 3])) == ProxyHeader(source: nil, destination: nil))
        // Extensions are passed over.
        #expect(try read(Self.binary(Self.four + [0x02, 0, 3, 1, 2, 3, 0x04, 0, 0])) == Self.tom)
        let whole = Self.binary(Self.four)
        for count in 0..<whole.count { #expect(try read(Array(whole.prefix(count))) == nil) }
    }

    @Test func otherBinaryHeadersAreRefused() {
        for octets in [
            Self.binary(0x11, 0x11, Self.four), Self.binary(0x22, 0x11, Self.four), Self.binary(0x21, 0x31, [UInt8](repeating: 0, count: 216)),
            Self.binary(0x21, 0x12, Self.four), Self.binary(Array(Self.four.dropLast())), Self.binary(0x21, 0x21, Self.four),
            Self.binary(Self.four + [0x04]), Self.binary(Self.four + [0x04, 0, 9, 1]), Self.binary(Self.four + [0x03, 0, 2, 1, 2]),
            Self.binary(Self.four + [0x03, 0, 4, 1, 2, 3, 4]), Self.signature + [0x21, 0x11, 0xFF, 0xFF],
        ] {
            #expect(throws: ProxyHeaderError.self) { try read(octets) }
        }
    }

    @Test func theChecksumIsCompared() throws {
        // RFC 3720 Appendix B.4
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
        func header(_ sum: UInt32) -> [UInt8] {
            let octets = [UInt32(24), 16, 8, 0].map { UInt8(truncatingIfNeeded: sum >> $0) }
            let extensions: [UInt8] = [0x04, 0, 1, 9, 0x03, 0, 4] + octets + [0x04, 0, 0]
            return Self.binary(Self.four + extensions)
        }
        let sum = CRC32C.checksum(header(0))
        #expect(try read(header(sum)) == Self.tom)
        for bit in 0..<32 { #expect(throws: ProxyHeaderError.self) { try read(header(sum ^ 1 << UInt32(bit))) } }
    }

    @Test func nothingCrashesTheReader() {
        var generator = SeededGenerator(state: 41)
        for _ in 0..<20_000 {
            var octets = Array("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n".utf8)
            if Bool.random(using: &generator) { octets = Self.binary(Self.four + [0x03, 0, 4, 1, 2, 3, 4]) }
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                octets[Int.random(in: 0..<octets.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            octets = Array(octets.prefix(Int.random(in: 0...octets.count, using: &generator)))
            var buffer = ByteBuffer(bytes: octets)
            _ = try? ProxyHeader.read(from: &buffer)
            #expect(buffer.readableBytes <= octets.count)
        }
    }

    private static let loopback = [IPNetwork(address: .v4(0x7F00_0000), prefixLength: 8)]

    @Test func theClientIsWhomTheProxyNames() async throws {
        let service = ServerRecordingService()
        try await withServer(service: service, proxies: Self.loopback) { _, port in
            let client = try await ServerTestClient(port: port)
            // The header in pieces, and what the client says after the greeting.
            client.push(ByteBuffer(string: "PROXY TCP4 192.0.2.1 198.5"))
            try await Task.sleep(for: .milliseconds(30))
            client.push(ByteBuffer(string: "1.100.2 56324 25\r\n"))
            #expect(await client.reply() == ["220 mail.kartapuce.test ESMTP"])
            for line in ["EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA"] { _ = try await client.say(line) }
            #expect(try await client.say("Subject: x\r\n\r\nx\r\n.") == "250 2.0.0 Taken")
            await client.close()
        }
        let session = try #require(service.seen.messages.first).transaction.session
        #expect(session.remoteAddress == .v4(0xC000_0201) && session.remotePort == 56324)
        #expect(session.localAddress == .v4(0xC633_6402) && session.localPort == 25)
        #expect(session.proxyAddress == .v4(0x7F00_0001))
    }

    @Test func aConnectionOfAProxyWithoutAHeaderIsClosed() async throws {
        let service = ServerRecordingService()
        try await withServer(service: service, proxies: Self.loopback) { server, port in
            let client = try await ServerTestClient(port: port)
            client.push(ByteBuffer(string: "EHLO x.test\r\n"))
            #expect(await client.reply().isEmpty)
            #expect(server.openSessions == 0)
        }
    }

    @Test func theProxyMaySpeakForItself() async throws {
        let service = ServerRecordingService()
        try await withServer(service: service, proxies: Self.loopback) { _, port in
            let client = try await ServerTestClient(port: port)
            client.push(ByteBuffer(bytes: Self.binary(0x20, 0x00, [])))
            #expect(await client.reply().first?.hasPrefix("220") == true)
            #expect(try await client.say("QUIT").hasPrefix("221"))
        }
    }

    @Test func whoIsNoProxyIsNotBelieved() async throws {
        let service = ServerRecordingService()
        let elsewhere = [IPNetwork(address: .v4(0xC000_0200), prefixLength: 24)]
        try await withServer(service: service, proxies: elsewhere) { _, port in
            let client = try await ServerTestClient(port: port)
            #expect(await client.reply().first?.hasPrefix("220") == true)
            #expect(try await client.say("PROXY TCP4 192.0.2.1 198.51.100.2 56324 25").hasPrefix("500"))
            await client.close()
        }
        #expect(service.seen.sessions.allSatisfy { $0.remoteAddress == .v4(0x7F00_0001) })
    }
}
