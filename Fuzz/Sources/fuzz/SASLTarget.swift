@testable import SASL

/// Messages of SASL, one a line: a client's to our server, whose user's password nobody can know, and a server's to our client.
enum SASLTarget {
    private static let verifier = SCRAMVerifier(
        salt: [1, 2, 3, 4], iterations: 4096, storedKey: [UInt8](repeating: 0x5A, count: 32), serverKey: [UInt8](repeating: 0xA5, count: 32))

    static func run(_ data: [UInt8]) {
        let input = Input(data)
        let mechanisms = SASLMechanism.allCases
        let mechanism = mechanisms[Int(input.options & 3) % mechanisms.count]
        // NUL separates the parts of PLAIN, so that lines separate the messages.
        let messages = input.octets.split(separator: 0x0A, omittingEmptySubsequences: false).map { Array($0) }
        server(mechanism, messages, binds: input.has(2))
        client(mechanism, messages, binds: input.has(2))
        encodings(input.octets)
    }

    private static func server(_ mechanism: SASLMechanism, _ messages: [[UInt8]], binds: Bool) {
        var server = SASLServer(
            mechanism: mechanism, channelBinding: binds ? .tlsServerEndPoint([1, 2, 3]) : nil, offersPlus: binds, nonce: "server", secret: [7])
        var step = server.start()
        var rest = messages[...]
        var steps = 0
        while true {
            steps += 1
            require(steps <= 20, "an exchange of more than 20 steps")
            switch step {
            case .challenge:
                guard let message = rest.popFirst() else { return }
                step = server.receive(message)
            case .needsVerifier(let username):
                require(username.utf8.allSatisfy { $0 != 0 }, "a NUL in a user's name")
                step = server.provide(verifier: verifier)
            case .succeeded(let username, _): require(false, "\(username) was let in without the password")
            case .failed: return
            }
        }
    }

    private static func client(_ mechanism: SASLMechanism, _ challenges: [[UInt8]], binds: Bool) {
        var client = SASLClient(
            mechanism: mechanism, username: "bob", password: "correct horse", channelBinding: binds ? .tlsServerEndPoint([1, 2, 3]) : nil,
            serverOffersPlus: binds, nonce: "client")
        _ = client.initialResponse()
        for challenge in challenges.prefix(5) {
            // A million rounds are allowed and take half a second: they are the mechanism's, not a finding.
            guard !String(decoding: challenge, as: UTF8.self).split(separator: "i=").contains(where: { (Int($0.prefix { $0.isNumber }) ?? 0) > 10_000 })
            else { return }
            guard (try? client.respond(to: challenge)) != nil else { break }
        }
        guard mechanism == .scramSHA256 || mechanism == .scramSHA256Plus else { return }
        require(!client.hasVerifiedServer, "a server without the password was taken for the right one")
    }

    private static func encodings(_ octets: [UInt8]) {
        let text = String(decoding: octets, as: UTF8.self)
        require(Base64.decode(Base64.encode(octets)) == octets, "Base64 isn't read as it was written")
        if let decoded = Base64.decode(text) { require(Base64.encode(decoded) == text, "two spellings of one Base64") }
        if let verifier = SCRAMVerifier(text) { require(SCRAMVerifier(verifier.encoded) == verifier, "a verifier is read otherwise") }
        if let prepared = try? SCRAM.prepare(text) {
            require((try? SCRAM.prepare(prepared)) == prepared, "“\(prepared)” is prepared otherwise the second time")
        }
    }
}
