import DNS
import DNSUpdate
import FoundationEssentials

/// A name server's answers to an update, signed and unsigned, and the file of a key.
enum DNSUpdateTarget {
    private static let time = Date(timeIntervalSince1970: 1_700_000_000)

    static func run(_ data: [UInt8]) {
        let input = Input(data)
        guard let zone = try? DomainName("kartapuce.test"), let name = try? DomainName("postern.kartapuce.test"),
            let key = try? TransactionKey(name: name, algorithm: .hmacSHA256, secret: [UInt8](0..<32)),
            let message = try? message(zone), let signed = try? SignedUpdate(message, identifier: 0x1234, key: key, at: time),
            let unsigned = try? SignedUpdate(message, identifier: 0x1234, key: nil, at: time)
        else { return require(false, "no update") }
        if let response = try? signed.response(input.octets, at: time) {
            // Nobody but the seeds knows the secret's use: only refusals come without it, and none of them is a success.
            require(!response.isSuccess || response.isAuthenticated, "a success that nobody signed: \(response)")
        }
        if let response = try? unsigned.response(input.octets, at: time) {
            require(!response.isAuthenticated, "a signature that nobody can have checked")
            require(response.reason.utf8.count < 200, "a long reason")
        }
        var stream = input.octets[...]
        var count = 0
        while let taken = SignedUpdate.takeStreamMessage(&stream) { count += taken.count + 2 }
        require(count + stream.count == input.octets.count, "octets of the stream got lost")
        if let key = try? TransactionKey(text: String(decoding: input.octets, as: UTF8.self)) {
            require((try? SignedUpdate(message, identifier: 1, key: key, at: time)) != nil, "a key that doesn't sign")
        }
    }

    /// What the seeds' answers were signed for.
    private static func message(_ zone: DomainName) throws -> UpdateMessage {
        let challenge = try zone.prefixed(with: "_acme-challenge.mail")
        return UpdateMessage(
            zone: zone, prerequisites: [.recordsExist(try zone.prefixed(with: "mail"), .a)],
            changes: UpdateMessage.replacing(challenge, .txt, with: [.txt(Array("gfj9Xq...Rg85nM".utf8))], timeToLive: 60) + [
                .delete(try zone.prefixed(with: "_25._tcp.mail"), .tlsa(usage: 3, selector: 1, matching: 1, data: [UInt8](0x80..<0xA0)))
            ])
    }
}
