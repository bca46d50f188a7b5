import Foundation
import MailTesting
import Testing

@testable import Lab

/// Attacks on the way from the relay to the provider, each with and without what stands against it.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct InteropAttackTests {
    /// A few of them with every run; and one that is wrongly expected to fail: a play that finds nothing wrong would prove nothing.
    @Test func theSelectionEndsAsItShouldAndWhatGoesWrongIsNoticed() async throws {
        let naive = AttackCase(
            attack: .selfSigned, means: .opportunistic, expectation: .held(status: "4.7.5"), sayings: [], warmUps: 0, number: 200)
        let results = try await play(AttackCase.selection + [naive])
        #expect(results.count == AttackCase.selection.count + 1)
        for result in results.dropLast() { #expect(result.isRight, "\(result.name): \(result.fault ?? "")") }
        let noticed = try #require(results.last)
        #expect(!noticed.isRight && noticed.attackerSaw == "the whole message", "\(noticed)")
        #expect("\(AttackTable(results))".contains("WRONG: self-signed/none"))
    }

    @Test(.enabled(if: ZoneWorlds.areWanted, "make zones runs it")) func allOfThemEndAsTheyShould() async throws {
        let results = try await play(AttackCase.all)
        print("\(AttackTable(results))")
        #expect(results.count == AttackCase.all.count)
        for result in results { #expect(result.isRight, "\(result.name): \(result.fault ?? "")") }
        #expect(Set(results.map(\.attack)) == Set(Attack.allCases))
    }

    private func play(_ cases: [AttackCase]) async throws -> [AttackResult] {
        try await AttackSession(.init(binary: try posternBinary(), plan: AddressPlan(network: 88)), cases: cases).run { print("lab: \($0)") }
    }
}

/// What is told of attacks, without playing any.
@Suite struct AttackCaseTests {
    @Test func eachAttackIsPlayedWithAndWithoutMeans() {
        for attack in Attack.allCases {
            let cases = AttackCase.named(attack.rawValue)
            #expect(cases.contains { $0.means == .opportunistic } && cases.contains { $0.means == .dane || $0.means == .mtaSTS }, "\(attack)")
        }
        #expect(Set(AttackCase.all.map(\.domain)).count == AttackCase.all.count)
        #expect(AttackCase.all.allSatisfy { $0.label.utf8.count <= 63 && $0.number < 255 })
        #expect(AttackCase.named("expired/dane").map(\.name) == ["expired/dane"])
        #expect(AttackCase.named("nothing").isEmpty)
    }

    @Test func theDocumentationHasTheSameTable() throws {
        let text = try String(contentsOfFile: "\(SystemdUnits.root)/Documentation/lab.md", encoding: .utf8)
        for attack in Attack.allCases {
            let cells = Means.allCases.map { means -> String in
                switch AttackCase.all.first(where: { $0.attack == attack && $0.means == means })?.expectation {
                case .read: "read"
                case .held(let status): status
                case nil: ""
                }
            }
            let row = "| `\(attack.rawValue)`: \(attack.summary) | \(cells.joined(separator: " | ")) |"
            #expect(text.contains("\(row)\n"), "\(row)")
        }
    }
}
