import Foundation
import Testing

@testable import Lab

/// The laboratory's internet alone: signed names, a resolver that validates, and a provider that delivers. Real daemons on addresses of their own.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct InteropSmallInternetTests {
    @Test func namesAreSignedFromTheRootDownAndForgedOnesFail() async throws {
        try await withFolder { folder in
            let plan = AddressPlan(network: 81)
            let servers = try await NameServers(plan: plan, folder: folder)
            do {
                let exchanger = try await NameServers.query(LabNames.domain, "MX", at: plan.nsresolve)
                #expect(exchanger.status == "NOERROR")
                #expect(exchanger.isValidated)
                // The resolver may have asked before: the time to live, the second word, counts down.
                let records = exchanger.records.map { $0.split(separator: " ").enumerated().filter { $0.offset != 1 }.map(\.element) }
                #expect(records == [["kartapuce.test.", "IN", "MX", "10", "mail.kartapuce.test."]])

                let policy = try await NameServers.query(LabNames.providerDomain, "TXT", at: plan.nsresolve)
                #expect(policy.isValidated)
                #expect(policy.records.contains { $0.contains("v=spf1 ip4:127.81.3.10 -all") })

                let missing = try await NameServers.query("nobody.kartapuce.test", "A", at: plan.nsresolve)
                #expect(missing.status == "NXDOMAIN")
                #expect(missing.isValidated, "the absence of a name is signed too")

                for type in ["A", "MX", "SOA"] {
                    let bogus = try await NameServers.query(LabNames.bogusDomain, type, at: plan.nsresolve)
                    #expect(bogus.status == "SERVFAIL", "\(type)")
                }
                // The forged zone exists and answers when nobody validates: what refused it was the missing chain of trust.
                let unvalidated = try await NameServers.query(LabNames.bogusDomain, "A", at: plan.leafNameServer)
                #expect(unvalidated.records == ["bogus.test. 60 IN A 127.81.4.66"])
            } catch {
                await servers.stop()
                throw error
            }
            await servers.stop()
            #expect(try await NameServers.query(LabNames.domain, "MX", at: plan.nsresolve).status == "none")
        }
    }

    @Test func theProviderDeliversToItsUsersAndRelaysForNobodyElse() async throws {
        try await withFolder { folder in
            let plan = AddressPlan(network: 82)
            let servers = try await NameServers(plan: plan, folder: "\(folder)/dns")
            do {
                let authority = try await PublicAuthority(folder: "\(folder)/authority")
                let provider = try await MailProvider(
                    plan: plan, folder: "\(folder)/provider", authority: authority,
                    certificate: try await MailProvider.certificate(by: authority, plan: plan))
                try await provider.start()
                do {
                    try await checkDelivery(provider, plan: plan, authority: authority)
                } catch {
                    await provider.stop()
                    throw error
                }
                await provider.stop()
                #expect(await Waiting.accepts(address: plan.provider, port: 25) == false)
            } catch {
                await servers.stop()
                throw error
            }
            await servers.stop()
        }
    }

    private func checkDelivery(_ provider: MailProvider, plan: AddressPlan, authority: PublicAuthority) async throws {
        let message = SampleMessage.make(.init(from: "alice@gmail.test", to: "tom@gmail.test", subject: "Grüße an Tom", seed: 1, attachmentBytes: 200_000))
        let client = MailClient(plan: plan, authorityFile: authority.certificateFile)
        let outcome = try await client.send(
            message,
            to: ["tom@gmail.test"],
            from: "alice@gmail.test",
            by: .init(host: LabNames.providerHost, address: plan.provider, port: 25, security: .startTLS),
            as: nil,
            sourceAddress: plan.tomsLaptop
        )
        #expect(outcome.accepted, "\(outcome.dialogue)")
        let delivered = try await Waiting.until("delivery to Tom", timeout: .seconds(20)) { try provider.messages(of: "tom").first }
        #expect(ReceivedMessage(delivered).isUnchanged(message.content))

        let refused = try await client.send(
            message,
            to: ["jack@elsewhere.test"],
            from: "attacker@elsewhere.test",
            by: .init(host: LabNames.providerHost, address: plan.provider, port: 25, security: .startTLS),
            as: nil,
            sourceAddress: plan.attacker
        )
        #expect(refused.code == 554, "\(refused.dialogue)")
    }

    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = try LabFiles.temporaryFolder("lab-test")
        defer { LabFiles.remove(folder) }
        try await body(folder)
    }
}
