import Logging
import Synchronization
import Testing
import UnboundDNS

@testable import Gateway

@Suite struct DNSSECProofTests {
    @Test func whatChangesIsSaid() async {
        let proofs = Mutex<[UnboundResolver.ValidationProof]>([
            .proven("the root is secure"), .proven("the root is secure"), .notProven("the root can't be validated"), .notProven("still"), .proven("again"),
        ])
        let log = LineLog()
        let proof = DNSSECProof(
            prove: { proofs.withLock { $0.isEmpty ? .notProven("nothing left") : $0.removeFirst() } }, logger: log.logger)
        var worked: Bool?
        var said: [[String]] = []
        for _ in 0..<5 {
            await proof.look(&worked)
            said.append(log.take())
        }
        #expect(said.map(\.count) == [1, 0, 1, 0, 1])
        #expect(said[0] == ["DNSSEC validation works"] && said[4] == said[0])
        #expect(said[2].first?.hasPrefix("DNSSEC VALIDATION DOES NOT WORK") == true)
        #expect(worked == true)
    }
}
