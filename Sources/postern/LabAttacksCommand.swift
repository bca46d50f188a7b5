import ArgumentParser
import Foundation
import Lab

/// `postern lab attacks`.
struct LabAttacksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attacks",
        abstract: "Play attacks on the way between Kartapuce's relay and the provider, with and without what stands against them.",
        discussion: """
            Brings up the laboratory on loopback with an attacker in the middle of SMTP and DNS, plays each attack on a domain of its own, and tells what \
            became of the message and what the attacker could read. Exit code 0 if everything is as it should be, 1 if not. Needs what lab run needs.
            """
    )

    @Option(help: ArgumentHelp("Only this attack, or this attack against this means; may be repeated.", valueName: "attack[/means]"))
    var only: [String] = []
    @Flag(help: "Tell the relay's journey of each message too.")
    var journeys = false
    @Flag(name: .customLong("json"), help: "Print the results as JSON; progress goes to standard error.")
    var isJSON = false
    @Flag(help: "Leave configurations, logs and data behind.")
    var keep = false
    @Option(help: ArgumentHelp("A new folder for everything; a temporary one where it is absent.", valueName: "folder"), completion: .directory)
    var folder: String?
    @Option(help: ArgumentHelp("The second octet of all addresses, 1 to 254.", valueName: "number"))
    var network = AddressPlan.defaultNetwork

    func validate() throws {
        guard (1...254).contains(network) else { throw ValidationError("--network must be a number from 1 to 254") }
        for name in only where AttackCase.named(name).isEmpty {
            let names = Attack.allCases.map { attack in
                "\(attack.rawValue)/{\(AttackCase.named(attack.rawValue).map(\.means.rawValue).joined(separator: ","))}"
            }
            throw ValidationError("there is no attack \(name); there are \(names.joined(separator: " "))")
        }
    }

    func run() async throws {
        guard let binary = Bundle.main.executablePath else { throw ValidationError("the path of this program can't be found out") }
        let options = Kartapuce.Options(binary: binary, plan: AddressPlan(network: network), folder: folder, keepsFolder: keep)
        let cases = only.isEmpty ? AttackCase.all : AttackCase.all.filter { item in only.contains { AttackCase.named($0).contains(item) } }
        let progress = isJSON ? FileHandle.standardError : FileHandle.standardOutput
        let results = try await LabTask.run { try await AttackSession(options, cases: cases).run { progress.write(Data("\($0)\n".utf8)) } }
        guard let results else { throw ExitCode(1) }
        if isJSON {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            FileHandle.standardOutput.write(try encoder.encode(results) + Data("\n".utf8))
        } else {
            print("\n\(AttackTable(results))")
            if journeys { for result in results { print("\n\(result.name):\n\(result.journey ?? "no journey")") } }
        }
        if results.count < cases.count || results.contains(where: { !$0.isRight }) { throw ExitCode(1) }
    }
}
