import Foundation

/// Brings up Kartapuce with an attacker on the ways between its relay and the provider, and plays attacks.
public struct AttackSession: Sendable {
    let options: Kartapuce.Options
    let cases: [AttackCase]
    /// So many are played at the same time: most of them wait most of the time.
    private static let width = 6

    /// - Parameter options: on loopback; the attacker's addresses are there.
    public init(_ options: Kartapuce.Options, cases: [AttackCase] = AttackCase.all) {
        var options = options
        options.attacks = cases
        // Two sessions under TLS make a host known for it, so that nobody has to wait for five.
        options.relaySettings = ["transport:", "  suspicionSessions: 2"]
        let destinations = cases.compactMap(\.destination)
        if !destinations.isEmpty { options.relaySettings += ["  destinations:"] + destinations.map { "    \($0)" } }
        self.options = options
        self.cases = cases
    }

    /// Plays all of them.
    ///
    /// - Parameter report: gets a line for each step.
    /// - Returns: the results in the order of the cases.
    /// - Throws: ``LabError`` where the laboratory can't be brought up.
    public func run(report: @escaping @Sendable (String) -> Void = { _ in }) async throws -> [AttackResult] {
        let kartapuce = try await Kartapuce.start(options, report: report)
        do {
            report("Attacker: taking his places on the way to \(cases.count) domains of the provider's")
            let attacker = try await Attacker(kartapuce, cases: cases)
            let results = await play(on: kartapuce, attacker, report)
            await attacker.stop()
            await kartapuce.stop()
            return results
        } catch {
            await kartapuce.stop()
            throw error
        }
    }

    private func play(on kartapuce: Kartapuce, _ attacker: Attacker, _ report: @escaping @Sendable (String) -> Void) async -> [AttackResult] {
        await withTaskGroup(of: (Int, AttackResult).self) { group in
            var results = [AttackResult?](repeating: nil, count: cases.count)
            var next = 0
            func begin() {
                guard next < cases.count, !Task.isCancelled else { return }
                let (index, item) = (next, cases[next])
                next += 1
                group.addTask { (index, await AttackPlay(kartapuce: kartapuce, attacker: attacker, item: item).run()) }
            }
            for _ in 0..<Self.width { begin() }
            while let (index, result) = await group.next() {
                report("  \(result.isRight ? "as it should be" : "WRONG") after \(String(format: "%.1f", result.seconds)) s: \(cases[index].name)")
                results[index] = result
                begin()
            }
            return results.compactMap { $0 }
        }
    }
}
