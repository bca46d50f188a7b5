import DNS
import DNSUpdate
import FoundationEssentials

extension [UInt8] {
    /// The octets of digits; blanks are passed over.
    init(hex: String) {
        let digits = hex.filter { !$0.isWhitespace }
        var octets: [UInt8] = []
        var rest = Substring(digits)
        while !rest.isEmpty {
            octets.append(UInt8(rest.prefix(2), radix: 16) ?? 0)
            rest = rest.dropFirst(2)
        }
        self = octets
    }

    var hex: String { map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}

/// One update, its signatures and the answers to it, as dnspython 2.9.2 makes them.
enum Vector {
    static let time = Date(timeIntervalSince1970: 1_700_000_000)
    static let secret = [UInt8](0..<32)
    static let unsigned = """
        1234 2800 0001 0001 0003 0000 096b617274617075636504746573740000060001
        046d61696c096b6172746170756365047465737400 0001 00ff 00000000 0000
        0f5f61636d652d6368616c6c656e6765046d61696c096b6172746170756365047465737400 0010 00ff 00000000 0000
        0f5f61636d652d6368616c6c656e6765046d61696c096b6172746170756365047465737400 0010 0001 0000003c 0010 0f67666a3958712e2e2e526738356e4d
        035f3235045f746370046d61696c096b6172746170756365047465737400 0034 00fe 00000000 0023
        030101 808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f
        """
    static let codes: [TransactionKeyAlgorithm: String] = [
        .hmacSHA256: "f15521d704b45b1c1a6494d0fdcd3b7eae8b296677c4293147426c866441bf18",
        .hmacSHA384: "f9d028aa4c392a4e99011efbe442854bec0a0485e1e472b61ce79aef91d4803bfbdbb41515e41ead40c1c18142c1133e",
        .hmacSHA512: """
        193ae114b71e6a98fe2bca04bb7fb7f63df93572fcddd90879ede0be7ab43042
        d7ad2028bbf764642e37ccfa417776d8aa644b90bf6f560eefca1e7f0fb8c9a7
        """,
    ]
    private static let header = "1234a8000001000000000001 096b617274617075636504746573740000060001"
    private static let keyName = "07706f737465726e 096b61727461707563650474657374 00"
    private static let algorithm256 = "0b686d61632d73686132353600"
    static let success: [TransactionKeyAlgorithm: String] = [
        .hmacSHA256: """
        \(header) \(keyName) 00fa00ff00000000003d \(algorithm256) 00006553f102012c
        002002091149e696384fa439b7c8ff6c4bc74c973216707f49f8404ac9f9320657aa 123400000000
        """,
        .hmacSHA384: """
        \(header) \(keyName) 00fa00ff00000000004d 0b686d61632d73686133383400 00006553f102012c
        0030074506e6b5bb0fbfb233ec2057f4d1fcf273d98132a575bd3d51abbdd179ab5a20901311de39a6edba1a80e81204ad42 123400000000
        """,
        .hmacSHA512: """
        \(header) \(keyName) 00fa00ff00000000005d 0b686d61632d73686135313200 00006553f102012c
        0040f177986a52e208cf3db9c99cdae95999bfd81775b6925523d1542e4f193dd0da081020ecb9cbdc8ddb66f6ab58e10220765ef0365d955fa30984ddefe6735757
        123400000000
        """,
    ]
    /// The key's name ends in a pointer to the question's.
    static let compressed = """
        \(header) 07706f737465726ec00c 00fa00ff00000000003d \(algorithm256) 00006553f102012c
        002002091149e696384fa439b7c8ff6c4bc74c973216707f49f8404ac9f9320657aa 123400000000
        """
    static let refused = """
        1234a8050000000000000001 \(keyName) 00fa00ff00000000003d \(algorithm256) 00006553f102012c
        0020b8a3599fff1e4f966fd2d84612a642ee1e837f5ba3f0d20b85f75b3a307d3711 123400000000
        """
    static let badTime = """
        1234a8090001000000000001 096b617274617075636504746573740000060001 \(keyName) 00fa00ff000000000043 \(algorithm256) 00006553f100012c
        002014ec5d954693bc509349b72b1a1ba7b639cb472d8cb3870e3d17e05a26ac85a9 123400120006 0000655400a0
        """

    static func message() throws -> UpdateMessage {
        let zone = try DomainName("kartapuce.test")
        let mail = try DomainName("mail.kartapuce.test")
        let challenge = try DomainName("_acme-challenge.mail.kartapuce.test")
        return UpdateMessage(
            zone: zone, prerequisites: [.recordsExist(mail, .a)],
            changes: UpdateMessage.replacing(challenge, .txt, with: [.txt(Array("gfj9Xq...Rg85nM".utf8))], timeToLive: 60) + [
                .delete(try DomainName("_25._tcp.mail.kartapuce.test"), .tlsa(usage: 3, selector: 1, matching: 1, data: [UInt8](0x80..<0xA0)))
            ])
    }

    static func key(_ algorithm: TransactionKeyAlgorithm = .hmacSHA256) throws -> TransactionKey {
        try TransactionKey(name: DomainName("postern.kartapuce.test"), algorithm: algorithm, secret: secret)
    }

    static func request(_ algorithm: TransactionKeyAlgorithm = .hmacSHA256) throws -> SignedUpdate {
        try SignedUpdate(message(), identifier: 0x1234, key: key(algorithm), at: time)
    }
}
