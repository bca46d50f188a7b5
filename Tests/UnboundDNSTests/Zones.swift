import Foundation
import Lab

/// The zone files of the small internet.
struct Zones: Sendable {
    let folder: String

    static let leaves = ["kartapuce.test", "nsec3.test", "plain.test", "bogus.test", "tampered.test", "expired.test"]
    /// An address that the owner of `tampered.test` never wrote.
    static let forgedAddress = "192.0.2.66"

    static func servedFile(_ zone: String) -> String { (zone == "." ? "root" : zone) + (zone == "plain.test" ? ".zone" : ".zone.signed") }

    private static let address = "mail IN A 192.0.2.1"

    private static let kartapuce =
        [
            "@ IN MX 10 mail", "@ IN MX 20 mail.plain.test.", "@ IN TXT \"v=spf1 \" \"-all\"", address, "mail IN AAAA 2001:db8::1", "www IN CNAME mail",
            "away IN CNAME mail.plain.test.", "nowhere IN CNAME gone", "null IN MX 0 .", "_25._tcp.mail IN TLSA 3 1 1 \(String(repeating: "ab", count: 32))",
            "_imaps._tcp IN SRV 0 1 993 mail", "*.wild IN MX 10 mail", "there.wild IN A 192.0.2.2", "octets IN TXT \"a\\000\\255\"",
        ] + (0..<40).map { "large IN TXT \"\($0) \(String(repeating: "x", count: 240))\"" }

    /// Writes and signs the zones, leaves first: a parent needs its children's DS records before it is signed.
    func make() async throws {
        var delegations: [String] = []
        for zone in Self.leaves {
            let records = zone == "kartapuce.test" ? Self.kartapuce : ["@ IN MX 10 mail", Self.address]
            try write(zone, records)
            if zone == "plain.test" { continue }
            let key = try await makeKey(zone)
            let options =
                switch zone {
                case "nsec3.test": ["-n"]
                case "expired.test": ["-i", "20200101000000", "-e", "20200201000000"]
                default: [] as [String]
                }
            try await sign(zone, key, options)
            // Deliberate: the parent of bogus.test vouches for a key that never signed it.
            delegations.append(try text("\(zone == "bogus.test" ? try await makeKey(zone) : key).ds"))
        }
        let tampered = try text("tampered.test.zone.signed").replacing("192.0.2.1", with: Self.forgedAddress)
        try Data(tampered.utf8).write(to: URL(filePath: "\(folder)/tampered.test.zone.signed"))
        for (zone, server) in Self.leaves.map({ ($0, SmallInternet.leafServer) }) + [
            ("down.test", SmallInternet.deadServer), ("silent.test", SmallInternet.silentServer),
        ] { delegations += ["\(zone). IN NS ns.\(zone).", "ns.\(zone). IN A \(server)"] }
        try write("test", delegations, server: SmallInternet.testServer)
        let testKey = try await makeKey("test")
        try await sign("test", testKey)
        try write(".", [try text("\(testKey).ds"), "test. IN NS ns.test.", "ns.test. IN A \(SmallInternet.testServer)"], server: SmallInternet.rootServer)
        let rootKey = try await makeKey(".")
        try await sign(".", rootKey)
        try Data(try text("\(rootKey).key").utf8).write(to: URL(filePath: "\(folder)/root.key"))
        try Data(". 3600000 IN NS ns.\nns. 3600000 IN A \(SmallInternet.rootServer)\n".utf8).write(to: URL(filePath: "\(folder)/root.hints"))
    }

    private func write(_ zone: String, _ records: [String], server: String = SmallInternet.leafServer) throws {
        let origin = zone == "." ? "." : "\(zone)."
        let nameServer = zone == "." ? "ns." : "ns.\(zone)."
        let head = [
            "$ORIGIN \(origin)", "$TTL 60", "@ IN SOA \(nameServer) hostmaster.\(zone == "." ? "" : origin) 1 3600 600 86400 60", "@ IN NS \(nameServer)",
            "\(nameServer) IN A \(server)",
        ]
        try Data(((head + records).joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: "\(folder)/\(fileName(zone))"))
    }

    private func sign(_ zone: String, _ key: String, _ options: [String] = []) async throws {
        let file = fileName(zone)
        let origin = zone == "." ? "." : "\(zone)."
        try await Command.require("ldns-signzone", options + ["-o", origin, "-f", "\(file).signed", file, key], folder: folder)
    }

    private func fileName(_ zone: String) -> String { (zone == "." ? "root" : zone) + ".zone" }

    /// Makes a key and returns its base name.
    private func makeKey(_ zone: String) async throws -> String {
        let made = try await Command.require("ldns-keygen", ["-a", "ECDSAP256SHA256", "-k", zone], folder: folder)
        return made.outputText.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func text(_ file: String) throws -> String {
        try String(contentsOf: URL(filePath: "\(folder)/\(file)"), encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
