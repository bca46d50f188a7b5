import Foundation
import Testing

@testable import Lab

extension InteropKartapuceTests {
    /// TLS as others see it: Postfix, which validates by DANE, and programs that look for weaknesses of servers.
    @Suite struct InteropTransportTests {
        // MARK: DANE

        /// Postfix's own tool goes through all that its client does: MX, TLSA, the handshake, the certificate.
        @Test func postfixProvesTheEdgeByDANE() async throws {
            let kartapuce = try LabRunning.kartapuce
            let tried = try await probe("dane", kartapuce)
            #expect(tried.contains("Verified TLS connection established to mail.kartapuce.test[\(kartapuce.plan.mail)]:25: TLSv1.3"), "\(tried)")
            #expect(tried.contains("Matched DANE EE certificate at depth 0: 3 1 1"), "\(tried)")
        }

        /// Both directions between the relay, the edge and a Postfix that validates: each proves the other, and says so.
        @Test func mailGoesBothWaysUnderDANE() async throws {
            let kartapuce = try LabRunning.kartapuce
            let useCase = UseCase(kartapuce, seed: 77)
            // What they require of the journeys and of Postfix's log is theirs.
            #expect(try await useCase.bobToTom().detail.contains("proven by DANE"))
            #expect(try await useCase.tomToBob().detail.contains("proven by DANE"))
            #expect(kartapuce.provider.tlsLevels(with: "mail.kartapuce.test").allSatisfy { $0 == "Verified" })
        }

        /// `posttls-finger` with the laboratory's resolver in the place of the system's, and the provider's configuration.
        private func probe(_ level: String, _ kartapuce: Kartapuce) async throws -> String {
            let resolver = try #require(kartapuce.provider.resolverFile)
            let script = """
                mount --make-rprivate / && mount --bind "$1" /etc/resolv.conf
                MAIL_CONFIG="$2" exec posttls-finger -c -l "$3" -L summary,certmatch "$4"
                """
            let arguments = [resolver, kartapuce.provider.configurationFolder, level, LabNames.domain]
            let tried = try await Command.run("unshare", ["-m", "sh", "-c", script, "probe"] + arguments, timeout: .seconds(60))
            return tried.outputText + tried.errors
        }

        // MARK: Scanners

        /// One listener of each kind that strangers or people reach.
        struct Listener: Sendable, CustomTestStringConvertible {
            var kind: String
            var port: Int
            var address: @Sendable (AddressPlan) -> String
            /// What is spoken before TLS; `nil`: nothing.
            var startTLS: String?
            /// The name that people and other mail servers know it by.
            var host: String
            var testDescription: String { "\(kind), port \(port)" }
        }

        static let listeners = [
            Listener(kind: "smtp", port: 25, address: \.mail, startTLS: "smtp", host: "mail.kartapuce.test"),
            Listener(kind: "submissions", port: 465, address: \.msa, host: "msa.kartapuce.test"),
            Listener(kind: "submission", port: 587, address: \.msa, startTLS: "smtp", host: "msa.kartapuce.test"),
            Listener(kind: "imap", port: 143, address: \.imap, startTLS: "imap", host: "imap.kartapuce.test"),
            Listener(kind: "imaps", port: 993, address: \.imap, host: "imap.kartapuce.test"),
            Listener(kind: "https", port: 443, address: \.webmail, host: "webmail.kartapuce.test"),
            Listener(kind: "policy", port: 443, address: \.mail, host: "mta-sts.kartapuce.test"),
        ]

        /// What testssl.sh objects to and what stays as it is, each with the reason; everything else above “info” fails.
        static let accepted: [String: String] = [
            "sessionresumption_ID": "the scanner's check fails by itself behind STARTTLS",
            "sessionresumption_ticket": "the scanner's check fails by itself where the server speaks first",
        ]

        private struct Finding: Decodable {
            var id: String
            var severity: String
            var finding: String
        }

        /// All listeners at once: a scan waits most of the time.
        @Test(
            .enabled(if: PeerLayer.areInstalled, "needs testssl.sh; make interop installs it beside the system"), .timeLimit(.minutes(5)))
        func testsslFindsNothingToObjectTo() async throws {
            let kartapuce = try LabRunning.kartapuce
            let layer = try PeerLayer("scanners")
            // It goes by names, and asks for more than their addresses.
            let overrides = "\(kartapuce.folder)/scanner-etc"
            try LabFiles.makeFolder(overrides)
            try LabFiles.write("nameserver \(kartapuce.plan.nsresolve)\n", to: "\(overrides)/resolv.conf")
            try await withThrowingTaskGroup(of: (Listener, [Finding]).self) { group in
                for listener in Self.listeners {
                    group.addTask {
                        let file = "\(kartapuce.folder)/testssl-\(listener.kind).json"
                        // It would miss the engine for GOST in its own OpenSSL.
                        var arguments = [
                            "NO_ENGINE=true", "/usr/bin/testssl", "--quiet", "--warnings", "off", "--color", "0", "--ip", "one", "--connect-timeout", "10",
                            "--openssl-timeout", "10", "--add-ca",
                            kartapuce.authorityFile, "--protocols", "--std", "--pfs", "--server-preference", "--server-defaults", "--vulnerable", "--jsonfile",
                            file,
                        ]
                        if let protocolName = listener.startTLS { arguments += ["--starttls", protocolName] }
                        arguments.append("\(listener.host):\(listener.port)")
                        // Its exit code counts findings; a scan that didn't come to its end has no findings.
                        let scan = try await layer.run(overrides: overrides, program: "/usr/bin/env", arguments, timeout: .seconds(290))
                        guard LabFiles.exists(file) else { throw LabError(.processFailed, "testssl \(listener.port): \(scan.outputText.suffix(1000))") }
                        return (listener, try JSONDecoder().decode([Finding].self, from: try LabFiles.read(file)))
                    }
                }
                for try await (listener, findings) in group {
                    let answers = Dictionary(findings.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
                    // What a scan that saw the server must say, so that one that saw nothing isn't taken for a good one.
                    #expect(answers["TLS1_3"]?.finding.hasPrefix("offered") == true && answers["TLS1_2"]?.finding.hasPrefix("offered") == true, "\(listener)")
                    #expect(answers["heartbleed"] != nil && answers["cert_chain_of_trust"]?.severity == "OK" && findings.count > 60, "\(listener)")
                    #expect(answers["cert_crlDistributionPoints"]?.finding == PublicAuthority.revocationList, "\(listener)")
                    #expect(answers["DNS_CAArecord"]?.finding.contains(LabNames.authorityDomain) == true, "\(listener)")
                    for finding in findings where !["OK", "INFO", "DEBUG"].contains(finding.severity) {
                        let reason = Self.accepted[finding.id]
                        #expect(reason != nil, "\(listener.testDescription): \(finding.severity) \(finding.id): \(finding.finding)")
                    }
                }
            }
        }

        /// The scanner doesn't fetch lists: it would ask strangers on the internet at the same time.
        @Test func theAuthoritysListHasNoCertificateOfOurs() async throws {
            let kartapuce = try LabRunning.kartapuce
            let list = "\(kartapuce.folder)/fetched.crl"
            let resolved = "\(LabNames.authorityDomain):80:\(kartapuce.plan.revocationHost)"
            try await Command.require("curl", ["-sSf", "--max-time", "20", "--resolve", resolved, "-o", list, PublicAuthority.revocationList])
            for host in kartapuce.hosts where host.plan.hasPublicCertificate {
                let certificate = "\(host.folder)/public.pem"
                let said = try await Command.require("openssl", ["x509", "-in", certificate, "-noout", "-ext", "crlDistributionPoints"])
                #expect(said.outputText.contains("URI:\(PublicAuthority.revocationList)"))
                let checked = try await Command.run(
                    "openssl", ["verify", "-crl_check", "-CAfile", kartapuce.authorityFile, "-CRLfile", list, certificate])
                #expect(checked.succeeded, "\(host.plan.hostname): \(checked.outputText)\(checked.errors)")
            }
        }

        @Test(
            .enabled(if: PeerLayer.areInstalled, "needs sslscan; make interop installs it beside the system"), arguments: listeners)
        func sslscanFindsNothingToObjectTo(listener: Listener) async throws {
            let kartapuce = try LabRunning.kartapuce
            let file = "\(kartapuce.folder)/sslscan-\(listener.kind).xml"
            var arguments = ["--no-colour", "--xml=\(file)"]
            if let protocolName = listener.startTLS { arguments.append("--starttls-\(protocolName)") }
            arguments.append("\(listener.address(kartapuce.plan)):\(listener.port)")
            let scan = try await PeerLayer("scanners").run(overrides: nil, program: "/usr/bin/sslscan", arguments, timeout: .seconds(60))
            let lines = try LabFiles.readText(file).split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            let enabled = lines.filter { $0.hasPrefix("<protocol") && $0.contains("enabled=\"1\"") }
            #expect(enabled == ["1.2", "1.3"].map { "<protocol type=\"tls\" version=\"\($0)\" enabled=\"1\" />" }, "\(scan.outputText)\(scan.errors)")
            #expect(lines.contains("<renegotiation supported=\"0\" secure=\"0\" />"))
            let heartbleed = lines.filter { $0.hasPrefix("<heartbleed") }
            #expect(!heartbleed.isEmpty && heartbleed.allSatisfy { $0.contains("vulnerable=\"0\"") })
            let ciphers = lines.filter { $0.hasPrefix("<cipher ") }
            #expect(
                ciphers.count >= 6
                    && ciphers.allSatisfy { $0.contains("curve=") && ($0.contains("strength=\"strong\"") || $0.contains("strength=\"acceptable\"")) })
            // CBC is for old mail servers, and for nobody else.
            #expect(ciphers.allSatisfy { $0.contains("GCM") || $0.contains("POLY1305") }, "\(ciphers)")
        }
    }
}
