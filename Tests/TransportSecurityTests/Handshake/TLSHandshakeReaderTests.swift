import NIOCore
import Testing

@testable import TransportSecurity

@Suite struct TLSHandshakeReaderTests {
    private static func number(_ value: Int, octets: Int) -> [UInt8] {
        (0..<octets).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    private static func record(_ type: UInt8, _ body: [UInt8]) -> [UInt8] { [type, 3, 3] + number(body.count, octets: 2) + body }

    private static func message(_ type: UInt8, _ body: [UInt8]) -> [UInt8] { [type] + number(body.count, octets: 3) + body }

    private static func hello(cipher: Int, random: [UInt8] = Array(repeating: 7, count: 32), extensions: [(Int, [UInt8])]?) -> [UInt8] {
        var body: [UInt8] = [3, 3] + random + [32] + Array(repeating: 9, count: 32) + number(cipher, octets: 2) + [0]
        if let extensions {
            let all = extensions.flatMap { number($0.0, octets: 2) + number($0.1.count, octets: 2) + $0.1 }
            body += number(all.count, octets: 2) + all
        }
        return message(2, body)
    }

    private static let version13: (Int, [UInt8]) = (43, [3, 4])
    private static let retryRandom: [UInt8] = [
        0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91, 0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E,
        0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
    ]

    private static let tls13 = record(22, hello(cipher: 0x1302, extensions: [(51, [0x11, 0xEC, 4, 0x60] + Array(repeating: 1, count: 1120)), version13]))
    private static let retried =
        record(22, hello(cipher: 0x1301, random: retryRandom, extensions: [(51, [0, 0x17]), version13])) + record(20, [1])
        + record(22, hello(cipher: 0x1301, extensions: [version13, (51, [0, 0x17, 0, 65] + Array(repeating: 1, count: 65))]))
    private static let certificate = message(11, Array(repeating: 0xAB, count: 40_000))
    private static let tls12 =
        record(22, hello(cipher: 0xC02F, extensions: [(65281, [0])])) + record(22, Array(certificate.prefix(16_000)))
        + record(22, Array(certificate.dropFirst(16_000).prefix(16_000)))
        + record(22, Array(certificate.dropFirst(32_000)) + message(12, [3, 0, 0x1D, 32] + Array(repeating: 2, count: 300)) + message(14, []))
    private static let withoutExchange = record(22, hello(cipher: 0x009C, extensions: nil) + message(11, [1, 2, 3]) + message(14, []))
    private static let resumed = record(22, hello(cipher: 0xC030, extensions: [])) + record(20, [1])
    private static let unknown = record(22, hello(cipher: 0x1F2E, extensions: [(51, [0x0A, 0x0B, 0, 0]), version13]))

    @Test(
        "What a server chose",
        arguments: [
            (tls13, "TLS_AES_256_GCM_SHA384", "X25519MLKEM768"), (retried, "TLS_AES_128_GCM_SHA256", "secp256r1"),
            (tls12, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "x25519"), (withoutExchange, "TLS_RSA_WITH_AES_128_GCM_SHA256", nil),
            (resumed, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", nil), (unknown, "0x1F2E", "0x0A0B"),
        ] as [([UInt8], String, String?)])
    func choices(_ octets: [UInt8], cipher: String, group: String?) {
        for size in [1, 2, 5, 7, 1000, octets.count] {
            var reader = TLSHandshakeReader(.server)
            var rest = octets[...]
            while !rest.isEmpty {
                reader.read(ByteBuffer(bytes: rest.prefix(size)).readableBytesView)
                rest = rest.dropFirst(size)
            }
            #expect(reader.isFinished)
            #expect(reader.choice?.cipherSuiteName == cipher, "\(size)")
            #expect(reader.choice?.groupName == group, "\(size)")
            #expect(reader.serverName == nil)
        }
    }

    private static func clientHello(_ extensions: [UInt8]?) -> [UInt8] {
        var body: [UInt8] = [3, 3] + Array(repeating: 7, count: 32) + [0, 0, 2, 0x13, 0x01, 1, 0]
        if let extensions { body += number(extensions.count, octets: 2) + extensions }
        return message(1, body)
    }

    private static func name(_ text: String, type: UInt8 = 0) -> [UInt8] {
        let name = Array(text.utf8)
        return [0, 0] + number(name.count + 5, octets: 2) + number(name.count + 3, octets: 2) + [type] + number(name.count, octets: 2) + name
    }

    @Test(
        "What a client asks for",
        arguments: [
            (clientHello([0, 10, 0, 1, 5] + name("mail.kartapuce.test") + [0, 11, 0, 0]), "mail.kartapuce.test"), (clientHello(nil), nil),
            (clientHello([0, 10, 0, 1, 5]), nil), (clientHello(name("mail.kartapuce.test", type: 1)), nil), (clientHello(name("a\u{0}b")), nil),
            (clientHello(name(String(repeating: "a", count: 300))), nil),
        ] as [([UInt8], String?)])
    func names(_ hello: [UInt8], expected: String?) {
        for size in [1, 30, hello.count] {
            var reader = TLSHandshakeReader(.client)
            var rest = hello[...]
            while !rest.isEmpty {
                reader.read(ByteBuffer(bytes: Self.record(22, Array(rest.prefix(size)))).readableBytesView)
                rest = rest.dropFirst(size)
            }
            #expect(reader.isFinished)
            #expect(reader.serverName == expected)
            #expect(reader.choice == nil)
        }
    }

    @Test(
        "What is no handshake ends the reading without a result",
        arguments: [
            Array("220 mail.gmail.test ESMTP\r\n".utf8), record(21, [2, 40]), record(22, []), record(23, [1, 2, 3]), record(22, [2, 1, 0, 0, 1]),
            record(22, Array(hello(cipher: 0x1301, extensions: [(51, [])]).dropLast()) + [1]), record(22, message(2, [3, 3])), record(22, message(1, [3, 3])),
            record(20, [1, 1]), record(22, message(12, [3, 0, 0x1D])),
        ] as [[UInt8]])
    func otherOctets(_ octets: [UInt8]) {
        var reader = TLSHandshakeReader(.server)
        reader.read(ByteBuffer(bytes: octets).readableBytesView)
        #expect(reader.isFinished)
        #expect(reader.choice == nil)
        #expect(reader.serverName == nil)
    }

    @Test func whatNeverEndsIsNotFollowed() {
        var reader = TLSHandshakeReader(.server)
        var octets = 0
        // A certificate message that says it has 16 MiB.
        reader.read(ByteBuffer(bytes: Self.record(22, Self.hello(cipher: 0xC02F, extensions: nil) + [11, 0xFF, 0xFF, 0xFF])).readableBytesView)
        while !reader.isFinished, octets < 2 * TLSHandshakeReader.longestFlight {
            reader.read(ByteBuffer(bytes: Self.record(22, Array(repeating: 0, count: 16_000))).readableBytesView)
            octets += 16_000
        }
        #expect(octets < 2 * TLSHandshakeReader.longestFlight)
        #expect(reader.choice?.cipherSuite == 0xC02F)
    }
}
